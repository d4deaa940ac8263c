#include "kernels/base/text.h"

namespace actserve {

std::string Quoted(std::string_view name) {
  constexpr size_t kMaxBytes = 64;
  if (name.size() <= kMaxBytes) return Concat("'", name, "'");
  return Concat("'", name.substr(0, kMaxBytes), "...'");
}

}  // namespace actserve
