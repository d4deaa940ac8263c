#ifndef ACTSERVE_SERVER_KSERVE_REGIONS_H_
#define ACTSERVE_SERVER_KSERVE_REGIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "inference/grpc_service.pb.h"
#include "proto/shared_memory/control.h"
#include "server/kserve/infer_request.h"
#include "server/scheduling/caller_id.h"

namespace actserve::kserve {

// The POSIX shared memory that callers have registered, by their names for it.
// A region belongs to the peer that registered it; others do not see it.
//
// The bytes are read and written by system calls and never mapped: a client may
// shrink its memory at any time, and who then touches a mapping of it is
// killed. So a region is safe to use whatever its client does, and may be
// unregistered while it is used.
//
// Thread-safe.
class Regions {
 public:
  static constexpr size_t kMaxRegionsOfPeer = 256;
  static constexpr size_t kMaxRegions = 4096;
  static constexpr size_t kMaxNameBytes = 128;

  // Errors name regions, never keys.
  //   InvalidArgument    a name or key that is not allowed; the memory cannot
  //                      be opened, is another user's, or has no such part
  //   AlreadyExists      the caller has a region of that name
  //   ResourceExhausted  too many regions
  absl::Status Register(
      const CallerId& caller,
      const inference::SystemSharedMemoryRegisterRequest& request);
  // All regions of the caller, or that of the name; none is no error.
  void Unregister(const CallerId& caller, const std::string& name);
  //   NotFound  the caller has no region of that name
  absl::StatusOr<inference::SystemSharedMemoryStatusResponse> Status(
      const CallerId& caller, const std::string& name);

  // Checks a range, before memory is taken for it. `what` names the tensor.
  //   InvalidArgument  no such region, or it has no such bytes
  absl::Status Check(const CallerId& caller, const RegionRange& range,
                     absl::string_view what);
  // Copies the bytes of a range, which has as many as `bytes`.
  //   InvalidArgument  as Check(); or the memory has become smaller
  absl::Status Read(const CallerId& caller, const RegionRange& range,
                    absl::string_view what, absl::Span<std::byte> bytes);
  // Copies `bytes` to the begin of a range.
  //   InvalidArgument  as Read(); or the range is smaller
  absl::Status Write(const CallerId& caller, const RegionRange& range,
                     absl::string_view what, absl::Span<const std::byte> bytes);

 private:
  struct Region {
    shared_memory::Descriptor file;
    std::string key;
    uint64_t offset = 0;
    uint64_t size_bytes = 0;
  };
  using OfPeer = absl::btree_map<std::string, std::shared_ptr<const Region>>;

  // The region, in which the range lies.
  absl::StatusOr<std::shared_ptr<const Region>> Find(const CallerId& caller,
                                                     const RegionRange& range,
                                                     absl::string_view what);

  absl::Mutex mu_;
  absl::btree_map<uint64_t, OfPeer> regions_ ABSL_GUARDED_BY(mu_);
  size_t num_regions_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_REGIONS_H_
