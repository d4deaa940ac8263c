#include "server/kserve/rpc/service.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "kernels/base/status_macros.h"
#include "server/kserve/model.h"
#include "server/kserve/model_description.h"
#include "server/kserve/rpc/infer_call.h"
#include "server/kserve/rpc/infer_stream.h"
#include "server/kserve/rpc/kserve.h"
#include "server/metrics/calls/call_reactor.h"
#include "server/observe/service_name.h"
#include "server/rpc/caller.h"

namespace actserve::kserve {
namespace {

using Context = Service::Context;
using Bytes = Service::Bytes;
using Reactor = Service::Reactor;

constexpr char kNoRepository[] =
    "every model is loaded; texts are registered by "
    "actserve.v1.ActivationService/RegisterActivation";

// A call of any method without tensors.
ControlCall CallOf(absl::string_view name, Context* context,
                   const Bytes* request, Bytes* response,
                   Role role = Role::kCompute) {
  ControlCall call = {.context = context,
                      .method = Method::kOther,
                      .request = request,
                      .response = response};
  call.role = role;
  call.service = kKserveServiceName;
  call.name = name;
  return call;
}

ControlCall HealthCall(absl::string_view name, Context* context,
                       const Bytes* request, Bytes* response) {
  ControlCall call = CallOf(name, context, request, response);
  call.is_health = true;
  return call;
}

// True for a peer on this machine, unless a proxy stands between.
bool IsLocal(Context* context) {
  const std::string peer = context->peer();
  return absl::StartsWith(peer, "unix") ||
         absl::StartsWith(peer, "ipv4:127.") ||
         absl::StartsWith(peer, "ipv6:[::1]") ||
         absl::StartsWith(peer, "ipv6:%5B::1%5D");
}

}  // namespace

FurtherService KserveService(const std::string& version, bool shared_memory) {
  return {inference::GRPCInferenceService::service_full_name(),
          [version, shared_memory](const ServiceParts& parts) {
            return std::make_unique<Service>(parts, version, shared_memory);
          }};
}

Service::Service(const ServiceParts& parts, std::string version,
                 bool shared_memory)
    : parts_(parts),
      version_(std::move(version)),
      regions_(shared_memory ? std::make_unique<Regions>() : nullptr),
      state_{statistics_, known_, regions_.get()},
      control_calls_(&parts.serving.memory, &parts.calls, parts.metrics,
                     &parts.observer, parts.authenticator) {}

template <typename Request, typename Work>
Reactor* Service::Serve(const ControlCall& call, Work work) {
  // What is wrong with a request is known when it is answered.
  return control_calls_.Serve<Request>(
      call, [](const Request&) { return absl::OkStatus(); }, std::move(work));
}

template <typename Request, typename Response>
Reactor* Service::NotServed(const ControlCall& call, absl::string_view why) {
  return Serve<Request>(call, [why](const CallerId&, const Request&) {
    return absl::StatusOr<Response>(absl::UnimplementedError(why));
  });
}

template <typename Request>
absl::StatusOr<Model> Service::Find(const CallerId& caller,
                                    const Request& asked) {
  return FindModel(asked.name(), asked.version(), parts_.serving.registry,
                   caller.tenant);
}

Reactor* Service::ModelInfer(Context* context, const Bytes* request,
                             Bytes* response) {
  const absl::StatusOr<CallerId> caller =
      Admit(*context, Role::kCompute, parts_.authenticator);
  if (!caller.ok()) {
    ControlCall call = CallOf({}, context, request, response);
    call.method = Method::kModelInfer;
    return control_calls_.Deny(call, caller.status());
  }
  if (!parts_.calls.Enter()) {
    return control_calls_.Refuse(context, Method::kModelInfer);
  }
  auto* const reactor = new CallReactor(parts_.metrics, Method::kModelInfer);
  (new InferCall(*caller, parts_.serving, state_, &parts_.calls,
                 &parts_.observer, context, reactor, request, response))
      ->Start();
  return reactor;
}

StreamReactor* Service::ModelStreamInfer(Context* context) {
  const absl::StatusOr<CallerId> caller =
      Admit(*context, Role::kCompute, parts_.authenticator);
  if (!caller.ok()) {
    return new RefusedStream(caller.status(), Method::kModelStreamInfer,
                             parts_.metrics, context);
  }
  return new InferStream(*caller, parts_, state_, context);
}

Reactor* Service::ServerLive(Context* context, const Bytes* request,
                             Bytes* response) {
  using Response = inference::ServerLiveResponse;
  return Serve<inference::ServerLiveRequest>(
      HealthCall("ServerLive", context, request, response),
      [this](const CallerId&, const auto&) -> absl::StatusOr<Response> {
        Response answer;
        answer.set_live(parts_.is_alive());
        return answer;
      });
}

Reactor* Service::ServerReady(Context* context, const Bytes* request,
                              Bytes* response) {
  using Response = inference::ServerReadyResponse;
  return Serve<inference::ServerReadyRequest>(
      HealthCall("ServerReady", context, request, response),
      [this](const CallerId&, const auto&) -> absl::StatusOr<Response> {
        Response answer;
        answer.set_ready(parts_.is_ready());
        return answer;
      });
}

Reactor* Service::ServerMetadata(Context* context, const Bytes* request,
                                 Bytes* response) {
  using Response = inference::ServerMetadataResponse;
  return Serve<inference::ServerMetadataRequest>(
      CallOf("ServerMetadata", context, request, response),
      [this](const CallerId&, const auto&) -> absl::StatusOr<Response> {
        Response answer;
        answer.set_name("actserve");
        answer.set_version(version_);
        answer.add_extensions("model_configuration");
        answer.add_extensions("binary_tensor_data");
        answer.add_extensions("parameters");
        answer.add_extensions("statistics");
        if (regions_ != nullptr) answer.add_extensions("system_shared_memory");
        return answer;
      });
}

Reactor* Service::ModelReady(Context* context, const Bytes* request,
                             Bytes* response) {
  using Response = inference::ModelReadyResponse;
  return Serve<inference::ModelReadyRequest>(
      CallOf("ModelReady", context, request, response),
      [this](const CallerId& caller,
             const auto& asked) -> absl::StatusOr<Response> {
        Response answer;
        answer.set_ready(parts_.is_ready() && Find(caller, asked).ok());
        return answer;
      });
}

Reactor* Service::ModelMetadata(Context* context, const Bytes* request,
                                Bytes* response) {
  using Response = inference::ModelMetadataResponse;
  return Serve<inference::ModelMetadataRequest>(
      CallOf("ModelMetadata", context, request, response),
      [this](const CallerId& caller,
             const auto& asked) -> absl::StatusOr<Response> {
        ACTSERVE_ASSIGN_OR_RETURN(const Model model, Find(caller, asked));
        return MetadataOf(model, asked.name());
      });
}

Reactor* Service::ModelConfig(Context* context, const Bytes* request,
                              Bytes* response) {
  using Response = inference::ModelConfigResponse;
  return Serve<inference::ModelConfigRequest>(
      CallOf("ModelConfig", context, request, response),
      [this](const CallerId& caller,
             const auto& asked) -> absl::StatusOr<Response> {
        ACTSERVE_ASSIGN_OR_RETURN(const Model model, Find(caller, asked));
        Response answer;
        *answer.mutable_config() = ConfigOf(model, asked.name());
        return answer;
      });
}

Reactor* Service::ModelStatistics(Context* context, const Bytes* request,
                                  Bytes* response) {
  using Response = inference::ModelStatisticsResponse;
  return Serve<inference::ModelStatisticsRequest>(
      CallOf("ModelStatistics", context, request, response),
      [this](const CallerId& caller,
             const auto& asked) -> absl::StatusOr<Response> {
        if (asked.name().empty()) return statistics_.OfAll(caller.tenant);
        ACTSERVE_RETURN_IF_ERROR(Find(caller, asked).status());
        Response answer;
        *answer.add_model_stats() = statistics_.Of(caller.tenant, asked.name());
        return answer;
      });
}

Reactor* Service::RepositoryIndex(Context* context, const Bytes* request,
                                  Bytes* response) {
  using Response = inference::RepositoryIndexResponse;
  return Serve<inference::RepositoryIndexRequest>(
      CallOf("RepositoryIndex", context, request, response),
      [this](const CallerId& caller,
             const auto& asked) -> absl::StatusOr<Response> {
        if (!asked.repository_name().empty()) {
          return absl::UnimplementedError(
              "repository_name: there is one repository, without a name");
        }
        return IndexOf(parts_.serving.registry, caller.tenant);
      });
}

Reactor* Service::SystemSharedMemoryRegister(Context* context,
                                             const Bytes* request,
                                             Bytes* response) {
  using Response = inference::SystemSharedMemoryRegisterResponse;
  return Serve<inference::SystemSharedMemoryRegisterRequest>(
      CallOf("SystemSharedMemoryRegister", context, request, response),
      [this, context](const CallerId& caller,
                      const auto& asked) -> absl::StatusOr<Response> {
        if (regions_ == nullptr) {
          return absl::UnimplementedError(
              "shared memory is not served here: start the server with "
              "--kserve_shared_memory");
        }
        if (!IsLocal(context)) {
          return absl::PermissionDeniedError(
              "only clients on the server's machine share memory with it");
        }
        ACTSERVE_RETURN_IF_ERROR(regions_->Register(caller, asked));
        return Response();
      });
}

Reactor* Service::SystemSharedMemoryStatus(Context* context,
                                           const Bytes* request,
                                           Bytes* response) {
  using Response = inference::SystemSharedMemoryStatusResponse;
  return Serve<inference::SystemSharedMemoryStatusRequest>(
      CallOf("SystemSharedMemoryStatus", context, request, response),
      [this](const CallerId& caller,
             const auto& asked) -> absl::StatusOr<Response> {
        if (regions_ == nullptr) return Response();
        return regions_->Status(caller, asked.name());
      });
}

Reactor* Service::SystemSharedMemoryUnregister(Context* context,
                                               const Bytes* request,
                                               Bytes* response) {
  using Response = inference::SystemSharedMemoryUnregisterResponse;
  return Serve<inference::SystemSharedMemoryUnregisterRequest>(
      CallOf("SystemSharedMemoryUnregister", context, request, response),
      [this](const CallerId& caller,
             const auto& asked) -> absl::StatusOr<Response> {
        if (regions_ != nullptr) regions_->Unregister(caller, asked.name());
        return Response();
      });
}

Reactor* Service::CudaSharedMemoryRegister(Context* context,
                                           const Bytes* request,
                                           Bytes* response) {
  using Response = inference::CudaSharedMemoryRegisterResponse;
  return NotServed<inference::CudaSharedMemoryRegisterRequest, Response>(
      CallOf("CudaSharedMemoryRegister", context, request, response),
      "memory of a GPU is shared by the unix socket, and not by this protocol");
}

// Tools ask for the next two without having registered anything.
Reactor* Service::CudaSharedMemoryStatus(Context* context, const Bytes* request,
                                         Bytes* response) {
  using Response = inference::CudaSharedMemoryStatusResponse;
  return Serve<inference::CudaSharedMemoryStatusRequest>(
      CallOf("CudaSharedMemoryStatus", context, request, response),
      [](const CallerId&, const auto&) -> absl::StatusOr<Response> {
        return Response();
      });
}

Reactor* Service::CudaSharedMemoryUnregister(Context* context,
                                             const Bytes* request,
                                             Bytes* response) {
  using Response = inference::CudaSharedMemoryUnregisterResponse;
  return Serve<inference::CudaSharedMemoryUnregisterRequest>(
      CallOf("CudaSharedMemoryUnregister", context, request, response),
      [](const CallerId&, const auto&) -> absl::StatusOr<Response> {
        return Response();
      });
}

Reactor* Service::RepositoryModelLoad(Context* context, const Bytes* request,
                                      Bytes* response) {
  using Response = inference::RepositoryModelLoadResponse;
  return NotServed<inference::RepositoryModelLoadRequest, Response>(
      CallOf("RepositoryModelLoad", context, request, response, Role::kAdmin),
      kNoRepository);
}

Reactor* Service::RepositoryModelUnload(Context* context, const Bytes* request,
                                        Bytes* response) {
  using Response = inference::RepositoryModelUnloadResponse;
  return NotServed<inference::RepositoryModelUnloadRequest, Response>(
      CallOf("RepositoryModelUnload", context, request, response, Role::kAdmin),
      kNoRepository);
}

Reactor* Service::TraceSetting(Context* context, const Bytes* request,
                               Bytes* response) {
  using Response = inference::TraceSettingResponse;
  return NotServed<inference::TraceSettingRequest, Response>(
      CallOf("TraceSetting", context, request, response, Role::kAdmin),
      "traces are set by --otlp_endpoint and --trace_sample_ratio");
}

Reactor* Service::LogSettings(Context* context, const Bytes* request,
                              Bytes* response) {
  using Response = inference::LogSettingsResponse;
  return NotServed<inference::LogSettingsRequest, Response>(
      CallOf("LogSettings", context, request, response, Role::kAdmin),
      "logs are set by --log_level, --access_log and --slow_request");
}

}  // namespace actserve::kserve
