#ifndef ACTSERVE_KERNELS_LANG_SYNTAX_PROMPTS_H_
#define ACTSERVE_KERNELS_LANG_SYNTAX_PROMPTS_H_

#include <optional>
#include <string>
#include <string_view>

namespace actserve {

// `text` with the prompts of a Python or IPython session (">>> ", "... ",
// "In [1]: ", "   ...: ") replaced by spaces, as many as the widest of them
// has, so that positions stay; nullopt if its first line has none. The
// session's output is left, and is an error.
std::optional<std::string> WithoutPrompts(std::string_view text);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_SYNTAX_PROMPTS_H_
