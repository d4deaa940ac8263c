// How a fuzz target is written: as a function of any bytes that ends the
// process if a promise is broken.
//
//   ACTSERVE_FUZZ_TARGET(config_file) {
//     FuzzInput input(data, size);
//     ACTSERVE_FUZZ_CHECK(Reads(input.Rest()));
//   }
//
// In the preset `fuzz` libFuzzer calls it with bytes that it makes from the
// seeds; in any other build fuzz_seeds_test calls it with the seeds alone. A
// build has one target for each name.

#ifndef ACTSERVE_KERNELS_BASE_TESTING_FUZZ_TARGET_H_
#define ACTSERVE_KERNELS_BASE_TESTING_FUZZ_TARGET_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

namespace actserve::testing {

// A target that is linked into the test of the seeds.
struct FuzzTarget {
  const char* name;
  void (*run)(const uint8_t* data, size_t size);
};

// All of them.
inline std::vector<FuzzTarget>& FuzzTargets() {
  static auto* const targets = new std::vector<FuzzTarget>;
  return *targets;
}

inline bool AddFuzzTarget(const FuzzTarget& target) {
  FuzzTargets().push_back(target);
  return true;
}

// Reads bytes from the front. Beyond the end there are zeros.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size)
      : left_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return left_.empty(); }
  std::string_view Rest() { return Take(left_.size()); }
  // At most `size` bytes.
  std::string_view Take(size_t size) {
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(taken.size());
    return taken;
  }
  // A number in the byte order of the host.
  template <typename Number>
  Number Get() {
    Number number = 0;
    const std::string_view bytes = Take(sizeof(number));
    std::memcpy(&number, bytes.data(), bytes.size());
    return number;
  }

 private:
  std::string_view left_;
};

[[noreturn]] inline void FailFuzzing(const char* file, int line,
                                     const char* what) {
  std::fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
  std::abort();
}

}  // namespace actserve::testing

#define ACTSERVE_FUZZ_CHECK(condition)                                  \
  do {                                                                  \
    if (!(condition)) {                                                 \
      ::actserve::testing::FailFuzzing(__FILE__, __LINE__, #condition); \
    }                                                                   \
  } while (false)

#ifdef ACTSERVE_LIBFUZZER
#define ACTSERVE_FUZZ_TARGET(name)                                          \
  static void RunFuzzTarget(const uint8_t* data, size_t size);              \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    RunFuzzTarget(data, size);                                              \
    return 0;                                                               \
  }                                                                         \
  static void RunFuzzTarget(const uint8_t* data, size_t size)
#else
#define ACTSERVE_FUZZ_TARGET(name)                                 \
  static void RunFuzzTarget(const uint8_t* data, size_t size);     \
  [[maybe_unused]] static const bool is_fuzz_target_known =        \
      ::actserve::testing::AddFuzzTarget({#name, &RunFuzzTarget}); \
  static void RunFuzzTarget(const uint8_t* data, size_t size)
#endif

#endif  // ACTSERVE_KERNELS_BASE_TESTING_FUZZ_TARGET_H_
