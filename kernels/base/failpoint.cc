#include "kernels/base/failpoint.h"

#include <fiu-control.h>
#include <fiu.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace actserve {
namespace {

// One of the list; false if it cannot be read.
bool Enable(absl::string_view word) {
  const unsigned flags = absl::ConsumeSuffix(&word, "!") ? FIU_ONETIME : 0;
  const std::pair<absl::string_view, absl::string_view> chance =
      absl::StrSplit(word, absl::MaxSplits('%', 1));
  const std::pair<absl::string_view, absl::string_view> value =
      absl::StrSplit(chance.first, absl::MaxSplits(':', 1));
  const std::string name(value.first);
  int number = 1;
  if (name.empty() ||
      (!value.second.empty() && !absl::SimpleAtoi(value.second, &number))) {
    return false;
  }
  if (chance.second.empty()) {
    return fiu_enable(name.c_str(), number, nullptr, flags) == 0;
  }
  float percent = 0;
  return absl::SimpleAtof(chance.second, &percent) &&
         fiu_enable_random(name.c_str(), number, nullptr, flags,
                           percent / 100) == 0;
}

bool Start() {
  fiu_init(0);
  const char* const list = std::getenv("FAILPOINTS");
  if (list == nullptr) return true;
  for (const absl::string_view word :
       absl::StrSplit(list, ',', absl::SkipEmpty())) {
    if (Enable(word)) continue;
    std::fprintf(stderr, "FAILPOINTS: cannot read %s\n", list);
    std::abort();
  }
  return true;
}

}  // namespace

int Failpoint(const char* name) {
  [[maybe_unused]] static const bool is_started = Start();
  return fiu_fail(name);
}

}  // namespace actserve
