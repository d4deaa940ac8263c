#include "server/rpc/planted/faults.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/support/slice.h"

namespace actserve {
namespace {

// Threads count here without a lock.
int64_t num_raced_calls = 0;

// Another last bit: of the last tensor, if there is one.
void ChangeABit(grpc::ByteBuffer* answer) {
  std::vector<grpc::Slice> slices;
  if (!answer->Dump(&slices).ok() || slices.empty()) return;
  std::string last(reinterpret_cast<const char*>(slices.back().begin()),
                   slices.back().size());
  if (last.empty()) return;
  last.back() = static_cast<char>(last.back() ^ 1);
  slices.back() = grpc::Slice(last);
  *answer = grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace

bool PassesPlantedFaults(absl::Status* status, grpc::ByteBuffer* answer) {
  if (const int kibibytes = ACTSERVE_FAILPOINT("leak"); kibibytes > 0) {
    const size_t size_bytes = static_cast<size_t>(kibibytes) << 10;
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it is to leak.
    if (void* const lost = std::malloc(size_bytes)) {
      std::memset(lost, 1, size_bytes);
    }
  }
  if (ACTSERVE_FAILPOINT("race") != 0) ++num_raced_calls;
  absl::SleepFor(absl::Milliseconds(ACTSERVE_FAILPOINT("slow_path")));
  if (status->ok() && ACTSERVE_FAILPOINT("wrong_answer") != 0) {
    ChangeABit(answer);
  }
  if (status->ok() && ACTSERVE_FAILPOINT("dropped_answer") != 0) {
    answer->Clear();
    *status = absl::UnavailableError("failpoint: dropped_answer");
  }
  return ACTSERVE_FAILPOINT("lost_answer") == 0;
}

}  // namespace actserve
