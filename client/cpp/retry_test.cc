#include "client/cpp/retry.h"

#include <gtest/gtest.h>

#include "grpcpp/support/status.h"

namespace actserve {
namespace {

constexpr absl::Duration kPushback = absl::Milliseconds(3);

TEST(Retry, OnlyWhatCanHelpIsRepeated) {
  struct Case {
    grpc::StatusCode code;
    bool without_pushback;
    bool with_pushback;
  };
  const Case cases[] = {
      {grpc::UNAVAILABLE, true, true},
      {grpc::RESOURCE_EXHAUSTED, false, true},
      {grpc::INVALID_ARGUMENT, false, false},
      {grpc::NOT_FOUND, false, false},
      {grpc::FAILED_PRECONDITION, false, false},
      {grpc::DEADLINE_EXCEEDED, false, false},
      {grpc::CANCELLED, false, false},
      {grpc::INTERNAL, false, false},
      {grpc::UNKNOWN, false, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.code);

    EXPECT_EQ(PauseBeforeRetry(c.code, std::nullopt, 1, 0).has_value(),
              c.without_pushback);
    EXPECT_EQ(PauseBeforeRetry(c.code, kPushback, 1, 0).has_value(),
              c.with_pushback);
  }
}

TEST(Retry, ThePauseIsTheServersIfItNamesOne) {
  EXPECT_EQ(PauseBeforeRetry(grpc::UNAVAILABLE, kPushback, 6, 1), kPushback);
  EXPECT_EQ(PauseBeforeRetry(grpc::RESOURCE_EXHAUSTED, kPushback, 6, 1),
            kPushback);
}

TEST(Retry, ThePauseDoublesUpToAMaximum) {
  const int want_milliseconds[] = {100, 200, 400, 800, 1600, 2000, 2000};
  for (int attempt = 1; attempt <= 7; ++attempt) {
    SCOPED_TRACE(attempt);

    EXPECT_EQ(PauseBeforeRetry(grpc::UNAVAILABLE, std::nullopt, attempt, 0),
              absl::Milliseconds(want_milliseconds[attempt - 1]));
  }
  EXPECT_EQ(PauseBeforeRetry(grpc::UNAVAILABLE, std::nullopt, 1000000, 0),
            absl::Milliseconds(2000));
}

TEST(Retry, ChanceMovesThePauseByAQuarter) {
  EXPECT_EQ(PauseBeforeRetry(grpc::UNAVAILABLE, std::nullopt, 2, -1),
            absl::Milliseconds(150));
  EXPECT_EQ(PauseBeforeRetry(grpc::UNAVAILABLE, std::nullopt, 2, 1),
            absl::Milliseconds(250));
}

}  // namespace
}  // namespace actserve
