#include "kernels/device/cuda/probe/probe_report.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr char kHead[] = "| call | result | ms | found |\n|---|---|---|---|\n";

TEST(ProbeReport, ARowBeginsBeforeItsCall) {
  std::ostringstream out;
  ProbeReport report(out, "");
  std::string during;

  report.Record("cuInit", [&](ProbeRow&) { during = out.str(); });

  EXPECT_EQ(during, std::string(kHead) + "| cuInit | ");
  EXPECT_THAT(out.str(), EndsWith(" |  |\n"));
}

TEST(ProbeReport, RowsSayWhatCameOfThem) {
  std::ostringstream out;
  ProbeReport report(out, "");

  EXPECT_TRUE(report.Record("a", [](ProbeRow& row) {
    row.milliseconds = 1.5;
    row.found["name"] = "x|y\nz";
    row.found["rate"] = 12.3456789;
  }));
  EXPECT_FALSE(report.Record("b", [](ProbeRow& row) {
    row.milliseconds = 0;
    row.Fail("why");
  }));
  EXPECT_TRUE(report.Record("c", [](ProbeRow& row) {
    row.milliseconds = 0;
    row.Inform("so");
  }));
  report.NotTried("d", "because");

  EXPECT_EQ(out.str(), std::string(kHead) +
                           "| a | ok | 1.500 | name x\\|y z, rate 12.35 |\n"
                           "| b | **failed**: why | 0.000 |  |\n"
                           "| c | so | 0.000 |  |\n"
                           "| d | not tried: because |  |  |\n");
  EXPECT_THAT(report.failed(), ElementsAre("b"));
}

TEST(ProbeReport, JsonIsCompleteAfterEveryRow) {
  const std::string path = ::testing::TempDir() + "/probe_report_test.json";
  const auto read = [&] {
    std::ifstream file(path);
    return nlohmann::json::parse(std::istreambuf_iterator<char>(file), {},
                                 nullptr, /*allow_exceptions=*/false);
  };
  std::ostringstream out;
  ProbeReport report(out, path);

  // What a driver says need not be text.
  report.Record("a", [](ProbeRow& row) { row.found["name"] = "\xff"; });
  const nlohmann::json one = read();
  report.Record("b", [](ProbeRow& row) { row.Fail("why"); });
  report.Finish(1, "Failed: b.");
  const nlohmann::json all = read();

  ASSERT_EQ(one["rows"].size(), 1);
  EXPECT_EQ(one["rows"][0]["outcome"], "ok");
  EXPECT_EQ(one["finished"], false);
  EXPECT_EQ(all["rows"][1]["result"], "why");
  EXPECT_EQ(all["failed"], nlohmann::json({"b"}));
  EXPECT_EQ(all["exit_code"], 1);
  EXPECT_FALSE(report.lacks_json());
  std::filesystem::remove(path);
}

TEST(ProbeReport, SaysThatItHasNoJson) {
  std::ostringstream out;
  ProbeReport report(out, "/nowhere/probe.json");

  report.NotTried("a", "because");

  EXPECT_TRUE(report.lacks_json());
}

}  // namespace
}  // namespace actserve
