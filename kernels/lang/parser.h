#ifndef ACTSERVE_KERNELS_LANG_PARSER_H_
#define ACTSERVE_KERNELS_LANG_PARSER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/lang/ast.h"
#include "kernels/lang/diagnostic.h"

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

// Parses `text` and desugars it to the core of ast.h. `constants` are numbers
// that names of the text may refer to. Reports every problem it can find, not
// only the first, to `diagnostics`; returns nullopt iff there is an error.
// Never recurses deeper than `limits.depth`, whatever the text.
std::optional<Module> Parse(std::string_view text,
                            const std::map<std::string, double>& constants,
                            const LanguageLimits& limits,
                            Diagnostics& diagnostics);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_PARSER_H_
