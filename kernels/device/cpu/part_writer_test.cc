#include "kernels/device/cpu/part_writer.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernels/device/cpu/read/element_runs.h"

namespace actserve {
namespace {

// `bytes` in blocks of their own, whose ends no element respects.
struct Scattered {
  Scattered(const std::vector<std::byte>& bytes, std::mt19937& random) {
    for (size_t at = 0; at < bytes.size();) {
      const size_t most = random() % 2 == 0 ? 30 : 9000;
      const size_t size = std::min(bytes.size() - at, 1 + random() % most);
      blocks.push_back(std::make_unique<std::byte[]>(size));
      std::memcpy(blocks.back().get(), bytes.data() + at, size);
      fragments.push_back({blocks.back().get(), size});
      at += size;
    }
  }
  std::vector<std::unique_ptr<std::byte[]>> blocks;
  std::vector<Fragment> fragments;
};

// Reads a range of all parts of a tensor, and writes it to another one.
TEST(PartWriter, WritesWhatElementRunsReadToTheSamePlace) {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    const int64_t num_parts = 2 + random() % 3;
    const int64_t run = 1 + random() % (random() % 3 == 0 ? 1500 : 8);
    const int64_t count = run * (1 + random() % 6);
    const int64_t item_size = 2 << random() % 3;
    const int64_t begin = random() % count;
    const int64_t end = begin + 1 + random() % (count - begin);
    SCOPED_TRACE(absl::StrCat("[", begin, ", ", end, ") of ", num_parts,
                              " parts in runs of ", run));
    std::vector<std::byte> from(count * num_parts * item_size);
    for (std::byte& byte : from) byte = std::byte(1 + random() % 255);
    std::vector<std::byte> to(from.size());
    const Scattered scattered(from, random);
    std::vector<absl::Span<const Fragment>> inputs;
    std::vector<TensorPart> parts;
    std::vector<PartWriter> writers;
    for (int64_t p = 0; p < num_parts; ++p) {
      inputs.emplace_back(scattered.fragments);
      parts.push_back({run, run * num_parts, run * p});
      writers.emplace_back(to.data(), parts.back(), item_size);
    }
    ElementRuns runs(inputs, parts, item_size, begin, end);

    std::vector<std::byte> buffer;
    for (int64_t element = begin; element < end;) {
      const int64_t length = runs.Next(std::min<int64_t>(
          writers[0].RunLength(element), 1 + random() % 3000));
      for (int64_t p = 0; p < num_parts; ++p) {
        std::memcpy(writers[p].Begin(element, length, buffer), runs.data()[p],
                    length * item_size);
        writers[p].End(element, length, buffer);
      }
      element += length;
    }

    for (int64_t i = 0; i < count * num_parts * item_size; ++i) {
      const int64_t of_part =
          i / item_size / (run * num_parts) * run + i / item_size % run;
      const bool is_inside = of_part >= begin && of_part < end;
      ASSERT_EQ(to[i], is_inside ? from[i] : std::byte(0)) << "byte " << i;
    }
  }
}

}  // namespace
}  // namespace actserve
