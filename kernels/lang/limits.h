#ifndef ACTSERVE_KERNELS_LANG_LIMITS_H_
#define ACTSERVE_KERNELS_LANG_LIMITS_H_

#include <cstdint>

namespace actserve {

// Limits on one text. Every refusal names the value and the limit.
struct LanguageLimits {
  int64_t source_bytes = 16 << 10;
  // Nesting depth of expressions and statements together.
  int depth = 64;
  int parameters = 32;
  int inputs = 4;
  // Expanded operations of one program (an exp counts the operations it expands
  // to). A program above `interleaved_weight` is compiled without interleaving;
  // one above `weight` is refused.
  int64_t interleaved_weight = 4000;
  int64_t weight = 10000;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_LIMITS_H_
