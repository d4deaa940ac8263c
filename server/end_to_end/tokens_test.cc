// Who may call what, and how much, with tokens: every method on every door.

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "inference/grpc_service.pb.h"
#include "kernels/base/sha256.h"
#include "kernels/device/testing/scratch_directory.h"
#include "server/end_to_end/calls.h"
#include "server/testing/certificates.h"
#include "server/testing/server_process.h"

namespace actserve::testing {
namespace {

using grpc::StatusCode;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kService = "/actserve.v1.ActivationService/";
const std::string kKserve = "/inference.GRPCInferenceService/";
const std::string kReflection =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
const std::string kText = "def f(x):\n    return x * 1.75\n";

// The fields of a message that have that number and a length.
std::vector<std::string> FieldsOf(const std::string& bytes, int number) {
  google::protobuf::Empty message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  const auto& fields = message.GetReflection()->GetUnknownFields(message);
  std::vector<std::string> found;
  for (int i = 0; i < fields.field_count(); ++i) {
    const auto& field = fields.field(i);
    if (field.number() == number &&
        field.type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED) {
      found.push_back(field.length_delimited());
    }
  }
  return found;
}

class Tokens : public ::testing::Test {
 protected:
  Tokens() {
    Add("compute-a", "a", "compute");
    Add("register-a", "a", "register");
    Add("both-a", "a", "compute\", \"register");
    Add("both-b", "b", "compute\", \"register");
    Add("admin", "operators", "admin");
  }

  void Add(const std::string& token, const std::string& tenant,
           const std::string& roles) {
    tokens_.push_back(absl::StrCat("{\"sha256\": \"", Sha256Hex(token),
                                   "\", \"tenant\": \"", tenant,
                                   "\", \"roles\": [\"", roles, "\"]}"));
  }
  void Write(const std::string& quotas = "") {
    ReplaceFile(path(),
                absl::StrCat("{\"tenants\": {", quotas, "}, \"tokens\": [",
                             absl::StrJoin(tokens_, ","), "]}"));
  }
  std::string path() const { return folder_.path() + "/tokens.json"; }
  void Start(const std::string& quotas = "",
             std::vector<std::string> flags = {}) {
    Write(quotas);
    flags.insert(flags.end(),
                 {"--device=cpu", "--reflection", "--kserve",
                  "--log_level=debug", absl::StrCat("--tokens=", path())});
    auto server = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), flags);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    tcp_ = ChannelTo(server_->tcp_address());
    unix_ = ChannelTo(server_->unix_address());
  }
  template <typename Response = google::protobuf::Empty>
  grpc::Status Call(const std::string& method,
                    const google::protobuf::Message& request,
                    const std::string& token, Response* response = nullptr,
                    std::string* pushback = nullptr) {
    std::string bytes;
    const grpc::Status status =
        CallRaw(tcp_, kService + method, request.SerializeAsString(), &bytes,
                token, pushback);
    if (response != nullptr) response->ParseFromString(bytes);
    return status;
  }
  std::string RegisterAs(const std::string& token) {
    v1::RegisterActivationRequest request;
    request.set_text(kText);
    v1::RegisterActivationResponse response;
    const grpc::Status status =
        Call("RegisterActivation", request, token, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.activation().id();
  }
  // Every method that the server has, by reflection.
  std::vector<std::string> Methods() {
    std::string answer;
    const grpc::Status listed = CallRaw(
        tcp_, kReflection, std::string("\x3a\x00", 2), &answer, "admin");
    EXPECT_TRUE(listed.ok()) << listed.error_message();
    std::vector<std::string> methods;
    for (const std::string& list : FieldsOf(answer, 6)) {
      for (const std::string& entry : FieldsOf(list, 1)) {
        AddMethods(FieldsOf(entry, 1)[0], methods);
      }
    }
    return methods;
  }
  void AddMethods(const std::string& service,
                  std::vector<std::string>& methods) {
    const std::string request = absl::StrCat(
        "\x22", std::string(1, static_cast<char>(service.size())), service);
    std::string answer;
    EXPECT_TRUE(CallRaw(tcp_, kReflection, request, &answer, "admin").ok());
    for (const std::string& response : FieldsOf(answer, 4)) {
      for (const std::string& bytes : FieldsOf(response, 1)) {
        google::protobuf::FileDescriptorProto file;
        EXPECT_TRUE(file.ParseFromString(bytes));
        for (const auto& each : file.service()) {
          if (absl::StrCat(file.package(), ".", each.name()) != service) {
            continue;
          }
          for (const auto& method : each.method()) {
            methods.push_back(absl::StrCat("/", service, "/", method.name()));
          }
        }
      }
    }
  }

  const ScratchDirectory folder_;
  std::vector<std::string> tokens_;
  std::unique_ptr<ServerProcess> server_;
  std::shared_ptr<grpc::Channel> tcp_;
  std::shared_ptr<grpc::Channel> unix_;
};

// A service that somebody adds appears here by itself.
TEST_F(Tokens, NoMethodAnswersWithoutOne) {
  Start("", {"--health_without_token=false"});
  const std::vector<std::string> methods = Methods();

  EXPECT_THAT(methods, Contains(kService + "Forward"));
  EXPECT_THAT(methods, Contains("/grpc.health.v1.Health/Watch"));
  EXPECT_THAT(methods, Contains(kReflection));
  EXPECT_THAT(methods, Contains(kKserve + "ModelInfer"));
  EXPECT_THAT(methods, Contains(kKserve + "ModelStreamInfer"));
  EXPECT_GE(methods.size(), 32);
  std::set<std::string> messages;
  for (const std::string& method : methods) {
    for (const std::string token : {"wrong", "compute-", "Bearer compute-a"}) {
      SCOPED_TRACE(absl::StrCat(method, " with ", token));
      const grpc::Status status = CallRaw(tcp_, method, "", nullptr, token);
      EXPECT_EQ(status.error_code(), StatusCode::UNAUTHENTICATED);
      messages.insert(status.error_message());
    }
    SCOPED_TRACE(method);
    const grpc::Status status = CallRaw(tcp_, method, "");
    EXPECT_EQ(status.error_code(), StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(CallRaw(unix_, method, "", nullptr, "wrong").error_code(),
              StatusCode::UNAUTHENTICATED);
  }
  EXPECT_EQ(messages.size(), 1) << "unknown and wrong look alike";
}

TEST_F(Tokens, EachRoleOpensItsMethodsOnly) {
  Start();
  const std::map<std::string, std::string> role_of = {
      {kService + "RegisterActivation", "register-a"},
      {kReflection, "admin"},
      {kKserve + "RepositoryModelLoad", "admin"},
      {kKserve + "RepositoryModelUnload", "admin"},
      {kKserve + "TraceSetting", "admin"},
      {kKserve + "LogSettings", "admin"}};
  for (const std::string& method : Methods()) {
    if (method.starts_with("/grpc.health") ||
        method == kKserve + "ServerLive" || method == kKserve + "ServerReady") {
      continue;
    }
    const auto found = role_of.find(method);
    const std::string right =
        found == role_of.end() ? "compute-a" : found->second;
    for (const std::string token : {"compute-a", "register-a", "admin"}) {
      SCOPED_TRACE(absl::StrCat(method, " with ", token));
      const grpc::Status status = CallRaw(tcp_, method, "", nullptr, token);
      EXPECT_EQ(status.error_code() == StatusCode::PERMISSION_DENIED,
                token != right)
          << status.error_message();
      EXPECT_NE(status.error_code(), StatusCode::UNAUTHENTICATED);
    }
  }
}

TEST_F(Tokens, HealthAndTheUnixSocketNeedNone) {
  Start();

  EXPECT_TRUE(CallRaw(tcp_, "/grpc.health.v1.Health/Check", "").ok());
  EXPECT_TRUE(CallRaw(tcp_, kKserve + "ServerReady", "").ok());
  EXPECT_TRUE(CallRaw(unix_, kService + "GetServerInfo", "").ok());
  EXPECT_TRUE(CallRaw(unix_, kReflection, std::string("\x3a\x00", 2)).ok());
  v1::RegisterActivationRequest text;
  text.set_text(kText);
  EXPECT_TRUE(
      CallRaw(unix_, kService + "RegisterActivation", text.SerializeAsString())
          .ok());
}

TEST_F(Tokens, AnotherTenantsTextIsUnknown) {
  Start();
  v1::GetActivationRequest get;
  get.set_activation(absl::StrCat("sha256:", Sha256Hex("never registered")));
  const grpc::Status unknown = Call("GetActivation", get, "both-b");
  const std::string id = RegisterAs("both-a");
  const auto forward = ForwardOf(id, {1, 2});
  EXPECT_TRUE(Call("Forward", forward, "compute-a").ok());
  EXPECT_TRUE(Call("Forward", forward, "compute-a").ok()) << "by its plan";

  const auto expect_unknown = [&](const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), StatusCode::NOT_FOUND);
    EXPECT_EQ(ReasonOf(status), ReasonOf(unknown));
    EXPECT_EQ(status.error_message().size(), unknown.error_message().size());
  };
  expect_unknown(Call("Forward", forward, "both-b"));
  expect_unknown(Call("Backward", BackwardOf(id, {1}, {}), "both-b"));
  get.set_activation(id);
  expect_unknown(Call("GetActivation", get, "both-b"));
  v1::ListActivationsResponse list;
  v1::ListActivationsRequest all;
  all.set_page_size(1000);
  ASSERT_TRUE(Call("ListActivations", all, "both-b", &list).ok());
  for (const auto& activation : list.activations()) {
    EXPECT_TRUE(activation.builtin()) << activation.id();
  }
  ASSERT_TRUE(Call("ListActivations", all, "compute-a", &list).ok());
  EXPECT_EQ(list.activations().rbegin()->id(), id);

  EXPECT_EQ(RegisterAs("both-b"), id);
  EXPECT_TRUE(Call("Forward", forward, "both-b").ok());
}

// By KServe's names too, also once the server knows the request by its
// metadata.
TEST_F(Tokens, AnotherTenantsModelIsUnknown) {
  Start();
  inference::ModelInferRequest request;
  request.set_model_name(RegisterAs("both-a"));
  auto& input = *request.add_inputs();
  input.set_name("x");
  input.set_datatype("FP32");
  input.add_shape(1);
  request.add_raw_input_contents(std::string(4, '\0'));
  const auto call =
      [&](const std::string& method, const google::protobuf::Message& message,
          const std::string& token, std::string* response = nullptr) {
        return CallRaw(tcp_, kKserve + method, message.SerializeAsString(),
                       response, token);
      };
  EXPECT_TRUE(call("ModelInfer", request, "compute-a").ok());
  EXPECT_TRUE(call("ModelInfer", request, "compute-a").ok()) << "known";

  const grpc::Status status = call("ModelInfer", request, "both-b");
  EXPECT_EQ(status.error_code(), StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("unknown model"));
  inference::ModelMetadataRequest metadata;
  metadata.set_name(request.model_name());
  EXPECT_EQ(call("ModelMetadata", metadata, "both-b").error_code(),
            StatusCode::NOT_FOUND);
  std::string bytes;
  ASSERT_TRUE(
      call("RepositoryIndex", google::protobuf::Empty(), "both-b", &bytes)
          .ok());
  EXPECT_THAT(bytes, Not(HasSubstr(request.model_name())));
  ASSERT_TRUE(
      call("ModelStatistics", google::protobuf::Empty(), "both-b", &bytes)
          .ok());
  EXPECT_THAT(bytes, Not(HasSubstr(request.model_name())));
  ASSERT_TRUE(
      call("ModelStatistics", google::protobuf::Empty(), "compute-a", &bytes)
          .ok());
  EXPECT_THAT(bytes, HasSubstr(request.model_name()));
}

TEST_F(Tokens, AnotherTenantsResidualIsUnknown) {
  Start();
  v1::ForwardRequest forward = ForwardOf("gelu", {1, 2});
  forward.set_keep_residual(true);
  v1::ForwardResponse kept;
  ASSERT_TRUE(Call("Forward", forward, "compute-a", &kept).ok());
  ASSERT_NE(kept.residual().handle(), "");
  v1::Residual guessed;
  guessed.set_handle(std::string(16, 'x'));
  const auto backward = BackwardOf(kept.residual(), {1, 1});

  const grpc::Status unknown =
      Call("Backward", BackwardOf(guessed, {1, 1}), "both-b");
  const grpc::Status foreign = Call("Backward", backward, "both-b");
  EXPECT_EQ(foreign.error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(foreign.error_message(), unknown.error_message());
  EXPECT_EQ(foreign.error_details(), unknown.error_details());
  v1::ReleaseResidualsRequest release;
  release.add_handles(kept.residual().handle());
  v1::ReleaseResidualsResponse released;
  ASSERT_TRUE(Call("ReleaseResiduals", release, "both-b", &released).ok());
  EXPECT_EQ(released.num_released(), 0);
  EXPECT_TRUE(Call("Backward", backward, "both-a").ok())
      << "one tenant, another token";
}

TEST_F(Tokens, NothingSecretIsLogged) {
  Start();
  const std::string id = RegisterAs("both-a");
  CallRaw(tcp_, kService + "Forward", "", nullptr, "wrong-token");
  Call("Forward", ForwardOf(id, {1}), "both-b");
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0);

  for (const std::string& line : server_->log()) {
    for (const std::string& secret :
         {std::string("both-"), std::string("wrong-token"),
          Sha256Hex("both-a").substr(0, 16), std::string("1.75")}) {
      EXPECT_THAT(line, Not(HasSubstr(secret)));
    }
  }
}

TEST_F(Tokens, AreReadAgainWhenTheyChange) {
  Start();
  EXPECT_EQ(
      Call("GetServerInfo", v1::GetServerInfoRequest(), "new").error_code(),
      StatusCode::UNAUTHENTICATED);
  tokens_.erase(tokens_.begin());  // compute-a
  Add("new", "c", "compute");
  Write();

  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  while (absl::Now() < deadline &&
         !Call("GetServerInfo", v1::GetServerInfoRequest(), "new").ok()) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_TRUE(Call("GetServerInfo", v1::GetServerInfoRequest(), "new").ok());
  EXPECT_EQ(Call("GetServerInfo", v1::GetServerInfoRequest(), "compute-a")
                .error_code(),
            StatusCode::UNAUTHENTICATED);
  ReplaceFile(path(), "{");
  server_->Signal(SIGHUP);
  EXPECT_TRUE(server_->WaitForEvent("tokens_not_reloaded"));
  EXPECT_TRUE(Call("GetServerInfo", v1::GetServerInfoRequest(), "new").ok());
}

TEST_F(Tokens, ATenantSendsNoMoreRequestsThanItsQuota) {
  Start("\"a\": {\"requests_per_second\": 0.01}");

  EXPECT_TRUE(Call("Forward", ForwardOf("relu", {1}), "compute-a").ok());
  std::string pushback;
  const grpc::Status refused = Call<google::protobuf::Empty>(
      "Forward", ForwardOf("relu", {1}), "both-a", nullptr, &pushback);
  EXPECT_EQ(refused.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("requests_per_second"));
  int64_t millis = 0;
  ASSERT_TRUE(absl::SimpleAtoi(pushback, &millis));
  EXPECT_GT(millis, 1'000);
  EXPECT_LE(millis, 100'000);
  EXPECT_TRUE(Call("Forward", ForwardOf("relu", {1}), "both-b").ok());
}

TEST_F(Tokens, ATenantHoldsNoMoreBytesThanItsQuota) {
  Start("\"a\": {\"bytes_in_flight\": 100000, \"residual_bytes\": 10000}");
  const std::vector<float> large(50'000);

  const grpc::Status refused =
      Call("Forward", ForwardOf("relu", large), "compute-a");
  EXPECT_EQ(refused.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("bytes_in_flight"));
  EXPECT_TRUE(Call("Forward", ForwardOf("relu", large), "both-b").ok());

  v1::ForwardRequest forward =
      ForwardOf("relu", std::vector<float>(2'000, 1.0f));
  forward.set_keep_residual(true);
  v1::ForwardResponse response;
  ASSERT_TRUE(Call("Forward", forward, "compute-a", &response).ok());
  EXPECT_NE(response.residual().handle(), "");
  response.Clear();
  ASSERT_TRUE(Call("Forward", forward, "compute-a", &response).ok());
  EXPECT_EQ(response.residual().handle(), "") << "not kept";
  // What is kept is in flight no more.
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(Call("Forward", forward, "compute-a").ok());
  }
}

TEST_F(Tokens, ATenantCompilesNoLongerThanItsQuota) {
  Start("\"a\": {\"compile_seconds_per_minute\": 0.001}");
  v1::RegisterActivationRequest text;
  text.set_text(HeavyText(1));
  v1::RegisterActivationResponse registered;
  for (const std::string token : {"both-a", "both-b"}) {
    ASSERT_TRUE(Call("RegisterActivation", text, token, &registered).ok());
  }
  const auto call = [&](const std::string& token, v1::DType dtype, int size) {
    v1::ForwardRequest request;
    request.set_activation(registered.activation().id());
    for (int i = 0; i < 2; ++i) {
      *request.add_inputs() = TensorOf(dtype, {1});
      request.add_payload(std::string(size, '\0'));
    }
    return Call("Forward", request, token);
  };

  EXPECT_TRUE(call("both-a", v1::DTYPE_FLOAT32, 4).ok());
  const grpc::Status refused = call("both-a", v1::DTYPE_FLOAT64, 8);
  EXPECT_EQ(refused.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("compile_seconds_per_minute"));
  EXPECT_TRUE(call("both-b", v1::DTYPE_FLOAT64, 8).ok());
  EXPECT_TRUE(call("both-a", v1::DTYPE_FLOAT64, 8).ok())
      << "what another has compiled is shared";
}

// As through a proxy that shares one connection: only the tokens tell them
// apart.
TEST_F(Tokens, ATenantThatFloodsDoesNotShutOutAnother) {
  Start("", {"--max_waiting_for_programs=4", "--compile_threads=1"});
  const auto register_heavy = [&](const std::string& token, int number) {
    v1::RegisterActivationRequest text;
    text.set_text(HeavyText(number));
    v1::RegisterActivationResponse registered;
    EXPECT_TRUE(Call("RegisterActivation", text, token, &registered).ok());
    return registered.activation().id();
  };
  const auto request = [](const std::string& id, int program) {
    constexpr v1::DType kDTypes[] = {v1::DTYPE_FLOAT16, v1::DTYPE_BFLOAT16,
                                     v1::DTYPE_FLOAT32, v1::DTYPE_FLOAT64};
    constexpr int kBytes[] = {2, 2, 4, 8};
    v1::BackwardRequest backward;
    backward.set_activation(id);
    for (int i = 0; i < 2; ++i) {
      *backward.add_inputs() = TensorOf(kDTypes[program % 4], {1});
      backward.add_payload(std::string(kBytes[program % 4], '\0'));
    }
    backward.add_wrt(program < 4 ? "x" : "y");
    if (program >= 8) backward.add_wrt("x");
    return backward;
  };
  const std::string of_a = register_heavy("both-a", 1);
  const std::string of_b = register_heavy("both-b", 2);
  absl::Notification refused;
  std::atomic<int> num_refused = 0;
  std::vector<std::thread> flood;
  for (int i = 0; i < 12; ++i) {
    flood.emplace_back([&, i] {
      const grpc::Status status = Call("Backward", request(of_a, i), "both-a");
      if (status.error_code() == StatusCode::RESOURCE_EXHAUSTED &&
          num_refused++ == 0) {
        refused.Notify();
      }
    });
  }

  ASSERT_TRUE(refused.WaitForNotificationWithTimeout(absl::Minutes(1)));
  const grpc::Status other = Call("Backward", request(of_b, 0), "both-b");

  EXPECT_TRUE(other.ok()) << other.error_message();
  for (std::thread& thread : flood) thread.join();
}

TEST_F(Tokens, WantsAFileThatOthersCannotRead) {
  Write();
  std::filesystem::permissions(path(), std::filesystem::perms(0644));

  const auto server =
      ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY),
                           {"--device=cpu", absl::StrCat("--tokens=", path())});

  EXPECT_THAT(std::string(server.status().message()),
              HasSubstr(absl::StrCat("tokens: ", path(), ": mode 0644")));
}

}  // namespace
}  // namespace actserve::testing
