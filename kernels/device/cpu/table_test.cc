#include "kernels/device/cpu/table.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/math/half.h"

namespace actserve {
namespace {

std::vector<uint16_t> RandomBits(int64_t count, int seed) {
  std::mt19937 random(seed);
  std::vector<uint16_t> bits(count);
  for (uint16_t& value : bits) value = static_cast<uint16_t>(random());
  return bits;
}

float Widen(DType dtype, uint16_t bits) {
  return dtype == DType::kBFloat16 ? actserve_bf16_bits_to_f32(bits)
                                   : actserve_f16_bits_to_f32(bits);
}

// Any NaN is the same NaN.
uint16_t Canonical(DType dtype, uint16_t bits) {
  return std::isnan(Widen(dtype, bits)) ? 0x7fff : bits;
}

class TableTest : public testing::TestWithParam<bool> {
 protected:
  // 64-byte aligned room for `count` elements, after `offset` bytes.
  char* Output(int64_t count, int64_t offset) {
    room_.assign(2 * count + 256, '!');
    void* start = room_.data();
    size_t space = room_.size();
    std::align(64, 2 * count + 64, start, space);
    return static_cast<char*>(start) + offset;
  }
  std::vector<char> room_;
};

TEST_P(TableTest, LooksUpEveryElement) {
  const auto table = RandomBits(kTableEntries + kTablePadding, 1);
  for (int64_t count : {0, 1, 31, 32, 33, 65536 + 7}) {
    auto from = RandomBits(count + 1, 2);
    if (count > kTableEntries) {
      for (int i = 0; i < kTableEntries; ++i) from[i] = i;
    }
    for (int64_t offset : {0, 1}) {
      SCOPED_TRACE(testing::Message() << count << " + " << offset);
      if (GetParam() && offset != 0) continue;
      std::vector<char> unaligned(2 * count + offset);
      if (count > 0) {
        std::memcpy(unaligned.data() + offset, from.data(), 2 * count);
      }
      char* to = Output(count, offset);

      ApplyTable(table.data(), unaligned.data() + offset, count, GetParam(),
                 to);

      for (int64_t i = 0; i < count; ++i) {
        uint16_t got;
        std::memcpy(&got, to + 2 * i, 2);
        ASSERT_EQ(got, table[from[i]]) << i;
      }
      EXPECT_EQ(to[2 * count], '!');
    }
  }
}

TEST_P(TableTest, MultipliesByTheUpstreamGradient) {
  const int64_t count = 1'000'003;
  const auto x = RandomBits(count, 3);
  const auto dy = RandomBits(count, 4);
  std::vector<float> table(kTableEntries + kTablePadding);
  std::mt19937 random(5);
  std::normal_distribution<float> numbers;
  for (float& entry : table) entry = std::exp(9 * numbers(random)) - 1;
  table[0] = NAN;
  table[1] = INFINITY;
  table[2] = -0.0f;
  for (DType dtype : {DType::kBFloat16, DType::kFloat16}) {
    SCOPED_TRACE(std::string(DTypeName(dtype)));
    char* to = Output(count, 0);

    ApplyDerivativeTable(table.data(), dtype, x.data(), dy.data(), count,
                         GetParam(), to);

    for (int64_t i = 0; i < count; ++i) {
      const float product = Widen(dtype, dy[i]) * table[x[i]];
      const uint16_t want = dtype == DType::kBFloat16
                                ? actserve_f32_to_bf16_bits(product)
                                : actserve_f32_to_f16_bits(product);
      uint16_t got;
      std::memcpy(&got, to + 2 * i, 2);
      ASSERT_EQ(Canonical(dtype, got), Canonical(dtype, want)) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, TableTest, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "NonTemporal" : "Plain";
                         });

TEST(Table, PortableGivesTheSameBits) {
  const int64_t count = 100'003;
  const auto x = RandomBits(count, 6);
  const auto dy = RandomBits(count, 7);
  const auto results = RandomBits(kTableEntries + kTablePadding, 8);
  std::vector<float> derivatives(kTableEntries);
  for (int i = 0; i < kTableEntries; ++i) derivatives[i] = std::sin(i);
  std::vector<uint16_t> fast(count);
  std::vector<uint16_t> portable(count);

  ApplyTable(results.data(), x.data(), count, false, fast.data());
  internal::ApplyTablePortable(results.data(), x.data(), count,
                               portable.data());
  EXPECT_EQ(fast, portable);

  for (DType dtype : {DType::kBFloat16, DType::kFloat16}) {
    SCOPED_TRACE(std::string(DTypeName(dtype)));
    ApplyDerivativeTable(derivatives.data(), dtype, x.data(), dy.data(), count,
                         false, fast.data());
    internal::ApplyDerivativeTablePortable(derivatives.data(), dtype, x.data(),
                                           dy.data(), count, portable.data());
    for (int64_t i = 0; i < count; ++i) {
      ASSERT_EQ(Canonical(dtype, fast[i]), Canonical(dtype, portable[i])) << i;
    }
  }
}

}  // namespace
}  // namespace actserve
