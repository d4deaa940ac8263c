// The few facts about characters that names and messages need.

#ifndef ACTSERVE_KERNELS_BASE_UNICODE_H_
#define ACTSERVE_KERNELS_BASE_UNICODE_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace actserve {

// Length of the UTF-8 sequence at the start of `s`, which is not empty, its
// code point in `code_point`; 0 if it is not one.
int DecodeUtf8(std::string_view s, uint32_t& code_point);

// True for letters outside ASCII that a name may have: Latin, Greek and
// Cyrillic ones. Python has more.
bool IsLetter(uint32_t code_point);

// Returns `name` with letters that Python takes for the same written alike:
// the symbol of phi and the letter phi, the micro sign and mu.
std::string NormalizedName(std::string_view name);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_UNICODE_H_
