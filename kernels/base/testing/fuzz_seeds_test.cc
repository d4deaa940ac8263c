// Every fuzz target over its seeds, in a build without libFuzzer.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/base/testing/fuzz_target.h"

namespace actserve::testing {
namespace {

class FuzzSeed : public ::testing::Test {
 public:
  FuzzSeed(FuzzTarget target, std::string path)
      : target_(target), path_(std::move(path)) {}

  void TestBody() override {
    std::ifstream file(path_, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    ASSERT_FALSE(file.fail()) << path_;
    // On the heap and no larger, so that AddressSanitizer sees a read beyond
    // it.
    const std::vector<uint8_t> copy(bytes.begin(), bytes.end());
    target_.run(copy.data(), copy.size());
  }

 private:
  const FuzzTarget target_;
  const std::string path_;
};

// Adds a test for each seed of the target that a line of the list names;
// returns how many.
int AddSeeds(const FuzzTarget& target, std::istream& places) {
  int num_seeds = 0;
  for (std::string place; places >> place;) {
    if (!std::filesystem::is_directory(place)) continue;  // the dictionary
    for (const auto& entry : std::filesystem::directory_iterator(place)) {
      if (!entry.is_regular_file()) continue;
      const std::string path = entry.path().string();
      const std::string name =
          std::string(target.name) + "/" + entry.path().filename().string();
      ::testing::RegisterTest(
          "FuzzSeeds", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
          [target, path]() -> FuzzSeed* { return new FuzzSeed(target, path); });
      ++num_seeds;
    }
  }
  return num_seeds;
}

bool AddAllSeeds() {
  std::ifstream list(ACTSERVE_FUZZ_TARGETS);
  for (std::string line; std::getline(list, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    for (const FuzzTarget& target : FuzzTargets()) {
      if (name == target.name) AddSeeds(target, words);
    }
  }
  return true;
}

TEST(FuzzTargets, HaveSeeds) {
  int num_targets = 0;
  std::ifstream list(ACTSERVE_FUZZ_TARGETS);
  for (std::string line; std::getline(list, line); ++num_targets) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    int num_seeds = 0;
    for (std::string place; words >> place;) {
      if (!std::filesystem::is_directory(place)) continue;
      num_seeds += static_cast<int>(
          std::distance(std::filesystem::directory_iterator(place), {}));
    }
    EXPECT_GT(num_seeds, 0) << name;
  }
  EXPECT_EQ(num_targets, static_cast<int>(FuzzTargets().size()));
}

}  // namespace

}  // namespace actserve::testing

// After all targets have added themselves, which happens before main().
int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  actserve::testing::AddAllSeeds();
  return RUN_ALL_TESTS();
}
