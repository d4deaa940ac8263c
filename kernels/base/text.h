// Strings from parts, for messages. Debian builds absl::StrCat without
// std::string_view; Concat() takes it.

#ifndef ACTSERVE_KERNELS_BASE_TEXT_H_
#define ACTSERVE_KERNELS_BASE_TEXT_H_

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"

namespace actserve {

// Joins strings, string literals and numbers.
template <typename... Parts>
std::string Concat(const Parts&... parts) {
  std::string out;
  const auto append = [&out](const auto& part) {
    if constexpr (std::is_convertible_v<decltype(part), std::string_view>) {
      out += std::string_view(part);
    } else {
      out += absl::StrCat(part);
    }
  };
  (append(parts), ...);
  return out;
}

// `name`, which a user may have chosen, for a message or a log: in single
// quotes, control characters escaped, at most 64 bytes of it.
std::string Quoted(std::string_view name);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_TEXT_H_
