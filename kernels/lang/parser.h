#ifndef ACTSERVE_KERNELS_LANG_PARSER_H_
#define ACTSERVE_KERNELS_LANG_PARSER_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/lang/ast.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/limits.h"

namespace actserve {

// Parses `text` and desugars it to the core of ast.h. `constants` are numbers
// that names of the text may refer to. Reports every problem it can find, not
// only the first, to `diagnostics`; returns nullopt iff there is an error.
// Never recurses deeper than `limits.depth`, whatever the text.
std::optional<Module> Parse(std::string_view text,
                            const std::map<std::string, double>& constants,
                            const LanguageLimits& limits,
                            Diagnostics& diagnostics);

// True for a word that a text can use as a name of its own: letters, digits and
// underscores of ASCII, no digit first, and no keyword of Python.
bool IsName(std::string_view word);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_PARSER_H_
