#include "kernels/base/text.h"

#include "absl/strings/escaping.h"

namespace actserve {

std::string Quoted(std::string_view name) {
  constexpr size_t kMaxBytes = 64;
  const std::string_view shown = name.substr(0, kMaxBytes);
  return Concat("'", absl::Utf8SafeCHexEscape({shown.data(), shown.size()}),
                name.size() > kMaxBytes ? "...'" : "'");
}

}  // namespace actserve
