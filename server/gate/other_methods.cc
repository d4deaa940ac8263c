#include "server/gate/other_methods.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpc/grpc.h"
#include "server/gate/call_credentials.h"

namespace actserve {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerInterceptorFactoryInterface;
using grpc::experimental::ServerRpcInfo;

class AdminOnly final : public Interceptor {
 public:
  AdminOnly(ServerRpcInfo* info, const Authenticator* authenticator)
      : info_(*info), authenticator_(*authenticator) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      Check();
    }
    methods->Proceed();
  }

 private:
  void Check() {
    grpc::ServerContextBase& context = *info_.server_context();
    const absl::Status status =
        authenticator_.Authorize(CredentialsOf(context), Role::kAdmin).status();
    if (status.ok()) return;
    // gRPC answers with this status; what the handler writes goes nowhere.
    grpc_call_cancel_with_status(
        context.c_call(), static_cast<grpc_status_code>(status.code()),
        std::string(status.message()).c_str(), nullptr);
  }

  ServerRpcInfo& info_;
  const Authenticator& authenticator_;
};

class Factory final : public ServerInterceptorFactoryInterface {
 public:
  Factory(const std::vector<std::string>& services,
          const Authenticator* authenticator)
      : authenticator_(authenticator) {
    for (const std::string& service : services) {
      prefixes_.push_back(absl::StrCat("/", service, "/"));
    }
  }

  Interceptor* CreateServerInterceptor(ServerRpcInfo* info) override {
    const absl::string_view method = info->method();
    const bool checks_itself =
        std::ranges::any_of(prefixes_, [&](const std::string& prefix) {
          return absl::StartsWith(method, prefix);
        });
    return checks_itself ? nullptr : new AdminOnly(info, authenticator_);
  }

 private:
  std::vector<std::string> prefixes_;
  const Authenticator* const authenticator_;
};

}  // namespace

std::unique_ptr<ServerInterceptorFactoryInterface> GuardOtherMethods(
    const std::vector<std::string>& services,
    const Authenticator* authenticator) {
  return std::make_unique<Factory>(services, authenticator);
}

}  // namespace actserve
