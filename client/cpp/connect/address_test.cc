// Runs the table that the Python client's test runs too.

#include "client/cpp/connect/address.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "nlohmann/json.hpp"

namespace actserve {
namespace {

nlohmann::json Table() {
  std::ifstream file(ACTSERVE_ADDRESSES);
  return nlohmann::json::parse(file);
}

TEST(Address, AcceptsTargetsAndKnowsLoopback) {
  const nlohmann::json table = Table();
  ASSERT_GT(table["accepted"].size(), 20);
  for (const auto& row : table["accepted"]) {
    const auto address = row["address"].get<std::string>();
    SCOPED_TRACE(address);
    EXPECT_TRUE(CheckAddress(address).ok()) << CheckAddress(address);
    EXPECT_EQ(IsLoopback(address), row["is_loopback"].get<bool>());
    EXPECT_EQ(IsUnixSocket(address), row.value("is_unix", false));
  }
}

TEST(Address, RefusesWithWhatToWrite) {
  const nlohmann::json table = Table();
  ASSERT_GT(table["refused"].size(), 10);
  for (const auto& row : table["refused"]) {
    const auto address = row["address"].get<std::string>();
    SCOPED_TRACE(address);
    const absl::Status status = CheckAddress(address);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), row["message"].get<std::string>());
  }
}

TEST(Address, OfSeveralServersIsSplit) {
  const nlohmann::json table = Table();
  ASSERT_FALSE(table["lists"].empty());
  for (const auto& row : table["lists"]) {
    const auto address = row["address"].get<std::string>();
    SCOPED_TRACE(address);
    EXPECT_TRUE(CheckAddress(address).ok()) << CheckAddress(address);
    EXPECT_EQ(SplitAddress(address),
              row["parts"].get<std::vector<std::string>>());
  }
}

TEST(Address, TellsTheNamesThatTheClientLooksUp) {
  const nlohmann::json table = Table();
  ASSERT_FALSE(table["names"].empty());
  for (const auto& row : table["names"]) {
    const auto address = row["address"].get<std::string>();
    SCOPED_TRACE(address);
    const auto name = NameToLookUp(address);
    ASSERT_EQ(name.has_value(), !row["host"].is_null());
    if (!name) continue;
    EXPECT_EQ(name->host, row["host"].get<std::string>());
    EXPECT_EQ(name->port, row["port"].get<std::string>());
  }
}

}  // namespace
}  // namespace actserve
