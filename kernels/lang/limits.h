#ifndef ACTSERVE_KERNELS_LANG_LIMITS_H_
#define ACTSERVE_KERNELS_LANG_LIMITS_H_

#include <cstdint>

namespace actserve {

// Upper bounds on one text. Every refusal names the limit and the value.
struct LanguageLimits {
  int64_t source_bytes = 16 << 10;
  // Nesting of expressions and of statements, together.
  int depth = 64;
  int parameters = 32;
  int inputs = 4;
  // Of one program, in expanded operations (an exp counts what it expands
  // to): above the first it is compiled without interleaving, above the
  // second it is refused.
  int64_t interleaved_weight = 4000;
  int64_t weight = 10000;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_LIMITS_H_
