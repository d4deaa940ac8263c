#include "client/load/schedule/trace.h"

#include "gtest/gtest.h"

namespace actserve {
namespace {

TEST(Trace, ReadsWhatItWrote) {
  const std::string text =
      TraceText({{1'500'000, "a"}, {2'000'000'001, "b:c"}});

  const auto trace = ParseTrace(text);

  ASSERT_TRUE(trace.ok()) << trace.status();
  ASSERT_EQ(trace->size(), 2u);
  EXPECT_EQ((*trace)[0].nanos, 1'500'000);
  EXPECT_EQ((*trace)[1].nanos, 2'000'000'001);
  EXPECT_EQ((*trace)[1].request, "b:c");
  EXPECT_EQ(TraceText(*trace), text);
}

TEST(Trace, SaysWhichLineIsWrong) {
  const std::string head = "actload-trace 1\n";
  struct Case {
    std::string text;
    std::string message;
  };
  const Case cases[] = {
      {"", "trace, line 1: not \"actload-trace 1\""},
      {head, "trace: it has no requests"},
      {head + "1 a\n0.5 a\n",
       "trace, line 3: 0.5 is before the time of the line above"},
      {head + "x a\n", "trace, line 2: 'x a' is not SECONDS NAME"},
      {head + "# remark\n1\n", "trace, line 3: '1' is not SECONDS NAME"},
      {head + "-1 a\n", "trace, line 2: -1 seconds, limits 0 and 1e+06"},
      {head + "nan a\n", "trace, line 2: nan seconds, limits 0 and 1e+06"}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.text);
    EXPECT_EQ(ParseTrace(each.text).status(),
              absl::InvalidArgumentError(each.message));
  }
}

}  // namespace
}  // namespace actserve
