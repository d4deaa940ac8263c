// What a call without tensors can cost the server, and how large its answer is.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "grpcpp/client_context.h"
#include "server/end_to_end/server_test.h"
#include "server/observe/resident_bytes.h"

namespace actserve::testing {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;

constexpr int64_t kMiB = int64_t{1} << 20;
// What a client of gRPC takes unless it is told otherwise.
constexpr int64_t kDefaultAnswerLimit = 4 * kMiB;

class ControlCalls : public ServerTest {
 protected:
  static std::string MethodOf(const std::string& name) {
    if (name == "Check" || name == "Watch") {
      return absl::StrCat("/grpc.health.v1.Health/", name);
    }
    return absl::StrCat("/actserve.v1.ActivationService/", name);
  }
};

std::string Repeated(const std::string& bytes, int64_t size_bytes) {
  std::string result;
  result.reserve(size_bytes);
  while (result.size() + bytes.size() <= static_cast<size_t>(size_bytes)) {
    result += bytes;
  }
  return result;
}

// A text for which each limit is nearly met: hundreds of operations, 36
// gradients.
std::string HeavyText() {
  std::string text = "def f(a, b, c, d";
  std::string sum = "a + b + c + d";
  for (int i = 0; i < 32; ++i) {
    absl::StrAppend(&text, ", p", i, "=1");
    absl::StrAppend(&sum, " + p", i);
  }
  return absl::StrCat(text, "):\n    y = ", sum,
                      "\n    for i in range(880):\n        y = sqrt(y)\n"
                      "    return y\n");
}

// One such request once took 33 times its bytes, for good.
TEST_F(ControlCalls, LargeRequestsAreRefusedUnparsed) {
  struct Case {
    std::string name;
    std::string method;
    std::string unit;  // repeated up to 64 MiB
    std::string message;
  };
  const std::string small = "request of 67108864 bytes, limit 32768";
  const std::string registration =
      "request of 67108864 bytes, limit 98304, by --max_source_bytes";
  const Case cases[] = {
      {"empty handles", "ReleaseResiduals", {"\x0a\x00", 2}, small},
      {"unknown bytes", "GetServerInfo", {"\x0a\x00", 2}, small},
      {"unknown varints", "GetServerInfo", {"\x08\x00", 2}, small},
      {"unknown groups", "ListActivations", "\x7b\x7c", small},
      {"unknown groups", "GetActivation", "\x7b\x7c", small},
      {"a name", "Check", "\x0a", "request of 67108864 bytes, limit 1024"},
      {"a name", "Watch", "\x0a", "request of 67108864 bytes, limit 1024"},
      {"constants",
       "RegisterActivation",
       {"\x1a\x02\x0a\x00", 4},
       registration},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(absl::StrCat(c.method, ", ", c.name));
    // The allocator keeps what earlier requests took as they arrived.
    StartServer({"--device=cpu"});
    [[maybe_unused]] const int64_t idle = ResidentBytes(server_->pid());

    const grpc::Status status =
        CallRaw(channel_, MethodOf(c.method), Repeated(c.unit, 64 * kMiB));

    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(status.error_message(), c.message);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(ResidentBytes(server_->pid()) - idle, 100 * kMiB);
#endif
  }
}

TEST_F(ControlCalls, RequestsWithinTheLimitCostLittle) {
  struct Case {
    std::string method;
    std::string unit;
    int64_t size_bytes;
    StatusCode code;
  };
  const Case cases[] = {
      {"ReleaseResiduals",
       {"\x0a\x00", 2},
       32 << 10,
       StatusCode::INVALID_ARGUMENT},
      {"GetServerInfo", "\x7b\x7c", 32 << 10, StatusCode::OK},
      {"ListActivations", "\x7b\x7c", 32 << 10, StatusCode::OK},
      {"RegisterActivation", "\x7b\x7c", 96 << 10,
       StatusCode::INVALID_ARGUMENT},
  };
  [[maybe_unused]] const int64_t idle = ResidentBytes(server_->pid());
  for (const Case& c : cases) {
    SCOPED_TRACE(c.method);
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(
          CallRaw(channel_, MethodOf(c.method), Repeated(c.unit, c.size_bytes))
              .error_code(),
          c.code);
    }
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(ResidentBytes(server_->pid()) - idle, 32 * kMiB);
#endif
}

TEST_F(ControlCalls, BytesThatAreNoMessageAreRefused) {
  struct Case {
    std::string method;
    std::string bytes;
    std::string message;
  };
  const std::string malformed = ": bad protobuf, or a string that is not UTF-8";
  const Case cases[] = {
      {"RegisterActivation", "\x0a\x02\xff\xff",
       "request is not a valid RegisterActivationRequest" + malformed},
      {"GetActivation", "\x0a\x02\xff\xff",
       "request is not a valid GetActivationRequest" + malformed},
      {"ListActivations", "\x12\x7f", "ListActivationsRequest" + malformed},
      {"ReleaseResiduals", "\x0a\x10half", "ReleaseResidualsRequest"},
      {"GetServerInfo", std::string(30'000, '\x0b'), "GetServerInfoRequest"},
      {"Check", "\x0a\x02\xff\xff", "HealthCheckRequest"},
      {"Watch", "\x0a\x10half", "HealthCheckRequest"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.method);
    const grpc::Status status = CallRaw(channel_, MethodOf(c.method), c.bytes);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr(c.message));
  }
}

TEST_F(ControlCalls, ACallWithoutAMessageIsRefused) {
  for (const char* method :
       {"Forward", "Backward", "RegisterActivation", "GetActivation",
        "ListActivations", "ReleaseResiduals", "GetServerInfo"}) {
    SCOPED_TRACE(method);
    const grpc::Status status = CallWithoutMessage(channel_, MethodOf(method));
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(status.error_message(),
              "request has no message, or one that was cut off");
  }
}

// A compile thread once spent seconds on millions, and other calls waited.
TEST_F(ControlCalls, ConstantsAreLimitedAndNamed) {
  v1::RegisterActivationRequest many, bad;
  many.set_text("def f(x):\n    return x\n");
  bad = many;
  for (int i = 0; i < 65; ++i) {
    (*many.mutable_constants())[absl::StrCat("c", i)] = 1;
  }
  (*bad.mutable_constants())["\n\x1b[31m"] = 1;
  v1::RegisterActivationResponse response;

  const grpc::Status for_many = Register(*stub_, many, &response);
  const grpc::Status for_bad = Register(*stub_, bad, &response);

  EXPECT_EQ(for_many.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(for_many.error_message(), "constants: 65, limit 64");
  EXPECT_EQ(for_bad.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(for_bad.error_message(),
            "constants: '\\n\\x1b[31m' is not a name that a text can use");
}

// Its answer once had 5 MB.
TEST_F(ControlCalls, TheAnswerForAHeavyTextFitsADefaultClient) {
  v1::RegisterActivationResponse registered;
  const grpc::Status status = Register(*stub_, HeavyText(), &registered);
  ASSERT_TRUE(status.ok()) << status.error_message();
  v1::GetActivationRequest request;
  request.set_activation(registered.activation().id());
  request.set_with_gradients(true);
  v1::Activation got;
  grpc::ClientContext context;

  ASSERT_TRUE(stub_->GetActivation(&context, request, &got).ok());

  EXPECT_EQ(registered.activation().gradients_size(), 0);
  EXPECT_LT(registered.ByteSizeLong(), size_t{100'000});
  EXPECT_EQ(got.gradients_size(), 36);
  EXPECT_LT(got.ByteSizeLong(), size_t{400'000});
}

TEST_F(ControlCalls, AListOfLongTextsFitsADefaultClient) {
  constexpr int kNumTexts = 300;
  for (int i = 0; i < kNumTexts; ++i) {
    IdOf(absl::StrCat("def f(x):\n    return x + ", i, ".25  # ",
                      std::string(16'000, '-'), "\n"));
  }
  v1::ListActivationsRequest request;
  request.set_page_size(1000);
  request.set_with_texts(true);
  std::set<std::string> ids;
  int num_pages = 0;
  do {
    v1::ListActivationsResponse page;
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->ListActivations(&context, request, &page).ok());
    EXPECT_LT(page.ByteSizeLong(), size_t{kDefaultAnswerLimit});
    for (const v1::Activation& activation : page.activations()) {
      EXPECT_NE(activation.text(), "");
      if (activation.builtin()) continue;
      EXPECT_TRUE(ids.insert(activation.id()).second);
    }
    request.set_page_token(page.next_page_token());
    ++num_pages;
  } while (!request.page_token().empty());

  EXPECT_GE(ids.size(), size_t{kNumTexts});
  EXPECT_GE(num_pages, 5);
}

TEST_F(ControlCalls, ServerInfoStatesTheLimits) {
  v1::ServerInfo info;
  grpc::ClientContext context;

  ASSERT_TRUE(stub_->GetServerInfo(&context, {}, &info).ok());

  const v1::ServerLimits& limits = info.limits();
  EXPECT_EQ(limits.body_timeout().seconds(), 60);
  EXPECT_EQ(limits.max_registered_bytes(), 256 * kMiB);
  EXPECT_EQ(limits.max_registration_bytes(), 96 << 10);
  EXPECT_EQ(limits.max_control_message_bytes(), 32 << 10);
  EXPECT_EQ(limits.max_constants(), 64);
  EXPECT_EQ(limits.max_released_handles(), 1024);
  EXPECT_EQ(limits.default_page_size(), 100);
  EXPECT_EQ(limits.max_page_size(), 1000);
}

}  // namespace
}  // namespace actserve::testing
