#include "server/metrics/refusals.h"

#include <array>
#include <atomic>
#include <cstddef>

namespace actserve {
namespace {

constexpr auto kNum = static_cast<size_t>(Refusal::kNumRefusals);

constexpr std::array<absl::string_view, kNum> kNames = {
    "memory_requests", "memory_results",    "queue",         "compile_queue",
    "compile_seconds", "control_queue",     "device_memory", "tenant_requests",
    "tenant_bytes",    "device_lost",       "draining",      "invalid",
    "unauthenticated", "permission_denied", "connections",   "streams",
    "stalled",
};
static_assert(!kNames.back().empty(), "a reason has no name");

struct alignas(64) Padded {
  std::atomic<int64_t> count = 0;
};
std::array<Padded, kNum> counts;

}  // namespace

absl::string_view NameOf(Refusal reason) {
  return kNames[static_cast<size_t>(reason)];
}

void CountRefusal(Refusal reason, int64_t count) {
  counts[static_cast<size_t>(reason)].count.fetch_add(
      count, std::memory_order_relaxed);
}

int64_t NumRefused(Refusal reason) {
  return counts[static_cast<size_t>(reason)].count.load(
      std::memory_order_relaxed);
}

}  // namespace actserve
