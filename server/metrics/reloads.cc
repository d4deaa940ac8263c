#include "server/metrics/reloads.h"

#include <array>
#include <atomic>
#include <cstddef>

namespace actserve {
namespace {

constexpr auto kNum = static_cast<size_t>(ReloadedFiles::kNumReloadedFiles);

constexpr std::array<absl::string_view, kNum> kNames = {"tls", "tokens"};
static_assert(!kNames.back().empty(), "files have no name");

struct Counts {
  std::atomic<int64_t> succeeded = 0;
  std::atomic<int64_t> failed = 0;
  std::atomic<bool> last_succeeded = true;
};
std::array<Counts, kNum> all_counts;

}  // namespace

absl::string_view NameOf(ReloadedFiles files) {
  return kNames[static_cast<size_t>(files)];
}

void CountReload(ReloadedFiles files, bool succeeded) {
  Counts& counts = all_counts[static_cast<size_t>(files)];
  ++(succeeded ? counts.succeeded : counts.failed);
  counts.last_succeeded = succeeded;
}

ReloadCounts CountsOf(ReloadedFiles files) {
  const Counts& counts = all_counts[static_cast<size_t>(files)];
  return {counts.succeeded, counts.failed, counts.last_succeeded};
}

}  // namespace actserve
