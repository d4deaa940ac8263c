#include "server/rpc/status.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "actserve/v1/activation.pb.h"
#include "actserve/v1/status.pb.h"
#include "server/message/errors.h"
#include "server/scheduling/retry_after.h"

namespace actserve {
namespace {

v1::Status DetailsOf(const grpc::Status& status) {
  v1::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

std::string ReasonOf(const absl::Status& status) {
  const v1::Status details = DetailsOf(ToGrpcStatus(status));
  EXPECT_EQ(details.details_size(), 1);
  EXPECT_EQ(details.details(0).type_url(),
            "type.googleapis.com/google.rpc.ErrorInfo");
  v1::ErrorInfo info;
  EXPECT_TRUE(info.ParseFromString(details.details(0).value()));
  EXPECT_EQ(info.domain(), "actserve");
  return info.reason();
}

TEST(Status, KeepsCodeAndText) {
  const grpc::Status status = ToGrpcStatus(absl::UnavailableError("gone"));

  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "gone");
  EXPECT_EQ(status.error_details(), "");
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

TEST(Status, NamesTheReason) {
  EXPECT_EQ(ReasonOf(ActivationUnknownError("gleu")), "ACTIVATION_UNKNOWN");
  EXPECT_EQ(ReasonOf(ResidualGoneError()), "RESIDUAL_GONE");
}

// Clients of other languages refuse details that disagree with the status.
TEST(Status, RepeatsCodeAndTextInTheDetails) {
  const grpc::Status status = ToGrpcStatus(ActivationUnknownError("gleu"));

  const v1::Status details = DetailsOf(status);

  EXPECT_EQ(details.code(), status.error_code());
  EXPECT_EQ(details.message(), status.error_message());
  EXPECT_EQ(details.message(), "activation 'gleu' is not known to this server");
}

TEST(Status, CutsALongText) {
  struct Case {
    std::string name;
    std::string text;
    size_t encoded_per_byte;
  };
  const Case cases[] = {{"plain", std::string(10000, 'a'), 1},
                        {"newlines", std::string(10000, '\n'), 3}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const std::string text =
        ToGrpcStatus(absl::InvalidArgumentError(c.text)).error_message();
    EXPECT_EQ(text.substr(text.size() - 3), "...");
    EXPECT_LE((text.size() - 3) * c.encoded_per_byte + 3,
              kMaxEncodedMessageBytes);
    EXPECT_GT(text.size() * c.encoded_per_byte, kMaxEncodedMessageBytes - 10);
  }
}

TEST(Status, CutsBetweenCodePoints) {
  std::string text = "a";
  for (int i = 0; i < 1000; ++i) text += "\xe2\x82\xac";

  const std::string cut =
      ToGrpcStatus(absl::InvalidArgumentError(text)).error_message();

  EXPECT_EQ((cut.size() - 4) % 3, 0);
}

std::vector<Diagnostic> Diagnostics(int count) {
  std::vector<Diagnostic> diagnostics;
  for (int i = 0; i < count; ++i) {
    diagnostics.push_back({Diagnostic::Severity::kError,
                           {i + 1, 5},
                           "unknown name " + std::string(40, 'n')});
  }
  return diagnostics;
}

v1::Diagnostics DiagnosticsOf(const absl::Status& status) {
  const v1::Status details = DetailsOf(ToGrpcStatus(status));
  EXPECT_EQ(details.details(0).type_url(),
            "type.googleapis.com/actserve.v1.Diagnostics");
  v1::Diagnostics diagnostics;
  EXPECT_TRUE(diagnostics.ParseFromString(details.details(0).value()));
  return diagnostics;
}

TEST(Status, CarriesDiagnostics) {
  const v1::Diagnostics got = DiagnosticsOf(WithDiagnostics(
      absl::InvalidArgumentError("text has errors"), Diagnostics(2)));

  ASSERT_EQ(got.diagnostics_size(), 2);
  EXPECT_EQ(got.diagnostics(1).line(), 2);
  EXPECT_EQ(got.diagnostics(1).column(), 5);
  EXPECT_EQ(got.diagnostics(1).severity(), v1::Diagnostic::ERROR);
}

TEST(Status, SaysHowManyDiagnosticsAreMissing) {
  const v1::Diagnostics got = DiagnosticsOf(WithDiagnostics(
      absl::InvalidArgumentError("text has errors"), Diagnostics(500)));

  EXPECT_LE(got.ByteSizeLong(), kMaxDiagnosticsBytes);
  const v1::Diagnostic& last = got.diagnostics(got.diagnostics_size() - 1);
  EXPECT_EQ(last.severity(), v1::Diagnostic::NOTE);
  EXPECT_EQ(last.message(),
            std::to_string(501 - got.diagnostics_size()) + " more, not shown");
}

TEST(Status, WhenToRetryIsNoDetail) {
  const grpc::Status status = ToGrpcStatus(
      WithRetryAfter(absl::ResourceExhaustedError("full"), absl::Seconds(1)));

  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_details(), "");
}

}  // namespace
}  // namespace actserve
