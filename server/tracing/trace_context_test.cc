#include "server/tracing/trace_context.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"

namespace actserve {
namespace {

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kSpan[] = "00f067aa0ba902b7";

// The examples of W3C Trace Context, level 1.
TEST(TraceContext, ReadsTheStandardsExamples) {
  for (const bool sampled : {true, false}) {
    const auto context = ParseTraceParent(
        absl::StrCat("00-", kTrace, "-", kSpan, sampled ? "-01" : "-00"));
    ASSERT_TRUE(context.has_value());
    EXPECT_EQ(ToHex(context->trace_id), kTrace);
    EXPECT_EQ(ToHex(context->span_id), kSpan);
    EXPECT_EQ(context->sampled, sampled);
  }
}

TEST(TraceContext, TakesFlagsAndVersionsThatItDoesNotKnow) {
  const std::string ids = absl::StrCat(kTrace, "-", kSpan);
  EXPECT_TRUE(ParseTraceParent(absl::StrCat("00-", ids, "-ff"))->sampled);
  EXPECT_FALSE(ParseTraceParent(absl::StrCat("00-", ids, "-fe"))->sampled);
  EXPECT_TRUE(ParseTraceParent(absl::StrCat("cc-", ids, "-01")).has_value());
  EXPECT_TRUE(
      ParseTraceParent(absl::StrCat("cc-", ids, "-01-more")).has_value());
}

TEST(TraceContext, RefusesWhatIsMalformed) {
  const std::string good = absl::StrCat("00-", kTrace, "-", kSpan, "-01");
  ASSERT_TRUE(ParseTraceParent(good).has_value());
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(ParseTraceParent(good.substr(0, length)).has_value());
  }
  // Each place with each byte: only hexadecimal digits and '-' may stand.
  for (size_t i = 0; i < good.size(); ++i) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = good;
      text[i] = static_cast<char>(byte);
      const bool is_dash = good[i] == '-';
      const bool may = is_dash ? byte == '-'
                               : (byte >= '0' && byte <= '9') ||
                                     (byte >= 'a' && byte <= 'f');
      EXPECT_EQ(ParseTraceParent(text).has_value(), may) << text;
    }
  }
  const std::string zeros(32, '0');
  for (const std::string& text :
       {absl::StrCat(good, "-more"), absl::StrCat(good, "x"),
        absl::StrCat("ff-", kTrace, "-", kSpan, "-01"),
        absl::StrCat("cc-", kTrace, "-", kSpan, "-01x"),
        absl::StrCat("00-", zeros, "-", kSpan, "-01"),
        absl::StrCat("00-", kTrace, "-", zeros.substr(16), "-01")}) {
    EXPECT_FALSE(ParseTraceParent(text).has_value()) << text;
  }
}

TraceId IdOfLow(uint64_t low) {
  TraceId id = {0xAB};
  for (int i = 15; i >= 8; --i, low >>= 8) id[i] = static_cast<uint8_t>(low);
  return id;
}

// Which traces are recorded depends on the low 63 bits of 64 alone, as in the
// other implementations of OpenTelemetry.
TEST(TraceContext, SamplesByTheLowBitsOfTheId) {
  EXPECT_FALSE(IsSampled(IdOfLow(0), 0));
  EXPECT_TRUE(IsSampled(IdOfLow(0), 1e-9));
  EXPECT_TRUE(IsSampled(IdOfLow(0x7FFFFFFFFFFFFFFF), 0.5));
  EXPECT_FALSE(IsSampled(IdOfLow(0x8000000000000000), 0.5));
  EXPECT_TRUE(IsSampled(IdOfLow(0x3FFFFFFFFFFFFFFF), 0.25));
  EXPECT_FALSE(IsSampled(IdOfLow(0x4000000000000000), 0.25));
  EXPECT_FALSE(IsSampled(IdOfLow(~uint64_t{0}), 0.999));
  EXPECT_TRUE(IsSampled(IdOfLow(~uint64_t{0}), 1));
}

TEST(TraceContext, SamplesTheShareAskedFor) {
  constexpr int kNumTraces = 100'000;
  int num_tenth = 0;
  int num_half = 0;
  for (int i = 0; i < kNumTraces; ++i) {
    const TraceId id = NewTraceId();
    num_tenth += IsSampled(id, 0.1);
    num_half += IsSampled(id, 0.5);
    EXPECT_LE(IsSampled(id, 0.1), IsSampled(id, 0.5));
    EXPECT_FALSE(IsSampled(id, 0));
  }
  // Six standard deviations of the binomial distribution.
  EXPECT_NEAR(num_tenth, 0.1 * kNumTraces, 6 * std::sqrt(0.09 * kNumTraces));
  EXPECT_NEAR(num_half, 0.5 * kNumTraces, 6 * std::sqrt(0.25 * kNumTraces));
}

TEST(TraceContext, MakesDifferentIds) {
  std::set<TraceId> traces;
  std::set<SpanId> spans;
  for (int i = 0; i < 10'000; ++i) {
    traces.insert(NewTraceId());
    spans.insert(NewSpanId());
  }
  EXPECT_EQ(traces.size(), 10'000u);
  EXPECT_EQ(spans.size(), 10'000u);
}

}  // namespace
}  // namespace actserve
