#include "kernels/device/cpu/read/element_runs.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

std::string Bytes(size_t size_bytes, int seed) {
  std::mt19937 random(seed);
  std::string bytes(size_bytes, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// Cuts `bytes` at the given offsets.
std::vector<Fragment> Cut(const std::string& bytes, std::vector<size_t> cuts) {
  cuts.push_back(bytes.size());
  std::vector<Fragment> fragments;
  size_t begin = 0;
  for (size_t end : cuts) {
    fragments.push_back(
        {reinterpret_cast<const std::byte*>(bytes.data()) + begin,
         end - begin});
    begin = end;
  }
  return fragments;
}

// Everything that the walk shows of each tensor, put together again.
std::vector<std::string> Walk(const std::vector<std::vector<Fragment>>& tensors,
                              int64_t item_size, int64_t begin, int64_t end,
                              int64_t max_elements) {
  std::vector<absl::Span<const Fragment>> spans(tensors.begin(), tensors.end());
  ElementRuns runs(spans, item_size, begin, end);
  std::vector<std::string> seen(tensors.size());
  int64_t next = begin;
  while (const int64_t count = runs.Next(max_elements)) {
    EXPECT_EQ(runs.begin(), next);
    EXPECT_LE(count, max_elements);
    for (size_t t = 0; t < tensors.size(); ++t) {
      seen[t].append(static_cast<const char*>(runs.data()[t]),
                     count * item_size);
    }
    next += count;
  }
  EXPECT_EQ(next, end);
  return seen;
}

TEST(ElementRuns, PointsIntoOneFragment) {
  const std::string bytes = Bytes(4000, 1);
  const std::vector<Fragment> fragments = Cut(bytes, {});
  const std::vector<absl::Span<const Fragment>> tensors = {fragments};

  ElementRuns runs(tensors, 4, 10, 1000);

  EXPECT_EQ(runs.Next(100000), 990);
  EXPECT_EQ(runs.data()[0], bytes.data() + 40);
  EXPECT_EQ(runs.Next(100000), 0);
}

TEST(ElementRuns, LongFragmentsAreNotCopied) {
  const std::string bytes = Bytes(40000, 2);
  const std::vector<Fragment> fragments = Cut(bytes, {20000});
  const std::vector<absl::Span<const Fragment>> tensors = {fragments};

  ElementRuns runs(tensors, 4, 0, 10000);

  EXPECT_EQ(runs.Next(100000), 5000);
  EXPECT_EQ(runs.data()[0], bytes.data());
  EXPECT_EQ(runs.Next(100000), 5000);
  EXPECT_EQ(runs.data()[0], bytes.data() + 20000);
}

TEST(ElementRuns, ShowsEveryElementOnceWhateverTheCuts) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    const int64_t item_size = int64_t{2} << (round % 3);
    const int64_t count = random() % 3000;
    std::vector<std::string> bytes;
    std::vector<std::vector<Fragment>> tensors;
    for (int t = 0; t < 1 + round % 3; ++t) {
      bytes.push_back(Bytes(count * item_size, round * 3 + t));
    }
    for (const std::string& tensor : bytes) {
      std::vector<size_t> cuts;
      for (size_t at = 0; at < tensor.size(); at += random() % 2000) {
        cuts.push_back(at);  // repeats give empty fragments
      }
      tensors.push_back(Cut(tensor, cuts));
    }
    const int64_t begin = count == 0 ? 0 : random() % count;
    const int64_t end = begin + (count == 0 ? 0 : random() % (count - begin));

    const auto seen = Walk(tensors, item_size, begin, end, 1 + random() % 5000);

    for (size_t t = 0; t < bytes.size(); ++t) {
      EXPECT_EQ(seen[t],
                bytes[t].substr(begin * item_size, (end - begin) * item_size));
    }
  }
}

TEST(ElementRuns, OneByteFragmentsAreCopiedTogether) {
  const std::string bytes = Bytes(800, 4);
  std::vector<size_t> cuts;
  for (size_t i = 1; i < bytes.size(); ++i) cuts.push_back(i);

  EXPECT_THAT(Walk({Cut(bytes, cuts)}, 8, 0, 100, 1000),
              testing::ElementsAre(bytes));
}

}  // namespace
}  // namespace actserve
