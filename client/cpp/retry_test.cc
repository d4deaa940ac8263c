#include "client/cpp/retry.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"
#include "nlohmann/json.hpp"

namespace actserve {
namespace {

constexpr absl::Duration kPushback = absl::Milliseconds(3);
const FailedAttempt kUnavailable = {grpc::UNAVAILABLE};

grpc::StatusCode CodeNamed(const std::string& name) {
  for (int code = 0; code <= 16; ++code) {
    const auto known = static_cast<absl::StatusCode>(code);
    if (absl::StatusCodeToString(known) == name) {
      return static_cast<grpc::StatusCode>(code);
    }
  }
  ADD_FAILURE() << "no code " << name;
  return grpc::OK;
}

Outcome OutcomeNamed(const std::string& name) {
  if (name == "lost") return Outcome::kLost;
  if (name == "full") return Outcome::kFull;
  EXPECT_EQ(name, "answered");
  return Outcome::kAnswered;
}

// The table is that of the Python client too.
TEST(Retry, OnlyWhatCanHelpIsRepeated) {
  std::ifstream file(ACTSERVE_RETRIES);
  const nlohmann::json table = nlohmann::json::parse(file);
  ASSERT_GT(table.size(), 20);
  for (const auto& row : table) {
    SCOPED_TRACE(row.dump());
    const auto message = row.value("message", "");
    FailedAttempt failed = {CodeNamed(row["code"].get<std::string>())};
    failed.message = message;
    failed.answered = row.value("answered", false);
    if (row.contains("pushback_ms")) {
      failed.pushback = absl::Milliseconds(row["pushback_ms"].get<int>());
    }

    EXPECT_EQ(PauseBeforeRetry(failed, 1, 0).has_value(),
              row["repeated"].get<bool>());
    const std::string outcome =
        row.value("outcome", row["repeated"].get<bool>() ? "lost" : "answered");
    EXPECT_EQ(OutcomeOf(failed), OutcomeNamed(outcome));
  }
}

TEST(Retry, ThePauseIsTheServersIfItNamesOne) {
  for (const grpc::StatusCode code :
       {grpc::UNAVAILABLE, grpc::RESOURCE_EXHAUSTED}) {
    FailedAttempt failed = {code};
    failed.pushback = kPushback;

    EXPECT_EQ(PauseBeforeRetry(failed, 6, 1), kPushback);
  }
}

TEST(Retry, ThePauseDoublesUpToAMaximum) {
  const int want_milliseconds[] = {100, 200, 400, 800, 1600, 2000, 2000};
  for (int attempt = 1; attempt <= 7; ++attempt) {
    SCOPED_TRACE(attempt);

    EXPECT_EQ(PauseBeforeRetry(kUnavailable, attempt, 0),
              absl::Milliseconds(want_milliseconds[attempt - 1]));
  }
  EXPECT_EQ(PauseBeforeRetry(kUnavailable, 1000000, 0),
            absl::Milliseconds(2000));
}

TEST(Retry, ChanceMovesThePauseByAQuarter) {
  EXPECT_EQ(PauseBeforeRetry(kUnavailable, 2, -1), absl::Milliseconds(150));
  EXPECT_EQ(PauseBeforeRetry(kUnavailable, 2, 1), absl::Milliseconds(250));
}

}  // namespace
}  // namespace actserve
