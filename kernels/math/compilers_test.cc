// The interpreter's compiler and the kernels' compiler make the same bits of
// the same header: scalar code for any x86-64 of the one, vectors of the host
// of the other.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/math/testing/loops.h"

namespace actserve {
namespace {

using testing::Loop;

// Half any bit patterns, half numbers of ordinary size, some odd ones.
template <typename T, typename Bits>
std::vector<T> Arguments() {
  std::vector<T> x = {0,
                      -T{0},
                      1,
                      -1,
                      std::numeric_limits<T>::infinity(),
                      -std::numeric_limits<T>::infinity(),
                      std::numeric_limits<T>::quiet_NaN(),
                      std::numeric_limits<T>::denorm_min(),
                      std::numeric_limits<T>::max(),
                      std::numeric_limits<T>::lowest()};
  uint64_t state = 7;
  for (int i = 0; i < 100000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto bits = static_cast<Bits>(state >> (64 - 8 * sizeof(Bits)));
    const T wide = __builtin_bit_cast(T, bits);
    const T near = static_cast<T>(static_cast<int64_t>(state)) *
                   static_cast<T>(0x1p-57);  // Within 64 of 0.
    x.push_back(i % 2 == 0 ? wide : near);
  }
  return x;
}

template <typename T, typename Bits>
void ExpectSameBits(const Loop<T>* project, const Loop<T>* clang) {
  const std::vector<T> x = Arguments<T, Bits>();
  const int count = static_cast<int>(x.size());
  std::vector<T> a(x.size());
  std::vector<T> b(x.size());
  for (; project->name != nullptr; ++project, ++clang) {
    ASSERT_STREQ(project->name, clang->name);
    project->run(x.data(), a.data(), count);
    clang->run(x.data(), b.data(), count);

    for (int i = 0; i < count; ++i) {
      const bool same = std::memcmp(&a[i], &b[i], sizeof(T)) == 0 ||
                        (std::isnan(a[i]) && std::isnan(b[i]));
      ASSERT_TRUE(same) << project->name << "(" << x[i] << "): " << a[i]
                        << " and " << b[i];
    }
  }
}

TEST(Compilers, AgreeInF32) {
  ExpectSameBits<float, uint32_t>(testing::ProjectCompilerF32(),
                                  testing::ClangF32());
}

TEST(Compilers, AgreeInF64) {
  ExpectSameBits<double, uint64_t>(testing::ProjectCompilerF64(),
                                   testing::ClangF64());
}

}  // namespace
}  // namespace actserve
