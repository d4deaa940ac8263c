#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_SASS_BUILDER_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_SASS_BUILDER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/codegen/cuda/nvrtc.h"
#include "kernels/device/cuda/program/sass_pack.h"
#include "kernels/device/device.h"
#include "kernels/device/object_cache.h"

namespace actserve {

// Gets the machine code for a text of EmitCuda() on one device: from the pack,
// else from the disk, else from NVRTC. Uses the first code that loads.
//
// NVRTC reads our own text of the graph, never a user's. Its messages stay
// here.
//
// Thread-safe.
class SassBuilder {
 public:
  // Where code comes from.
  struct Sources {
    std::shared_ptr<const SassPack> pack;  // may be null
    std::unique_ptr<ObjectCache> cache;    // may be null
    // Or why there is none.
    absl::StatusOr<std::unique_ptr<Nvrtc>> nvrtc;
  };

  // Code for a device is code for its own architecture, or for an older one of
  // its generation; the newest is used.
  //   FailedPrecondition  neither NVRTC nor the pack has such
  static absl::StatusOr<std::unique_ptr<SassBuilder>> Create(
      Sources sources, int device_architecture);

  // The architecture that NVRTC compiles for. 0: it compiles nothing for the
  // device.
  int architecture() const { return architecture_; }
  // "13.0"; "" if there is none.
  std::string nvrtc_version() const;
  // For people: "NVRTC 13.0, 312 precompiled parts of programs (NVRTC 13.0,
  // sm_90)".
  const std::string& description() const { return description_; }

  // Takes code, as a driver does.
  using Load = absl::FunctionRef<absl::Status(const SassPack::Code& code)>;

  // Calls `load` with one code after the other until it accepts one. Code that
  // NVRTC compiled and that loads is stored on disk.
  //   FailedPrecondition  there is no NVRTC, and no other code that loads. The
  //                       message is for the user whose text it comes from.
  //   Internal            NVRTC failed (our bug)
  // and what `load` returned of code that was compiled just now; Unavailable
  // and ResourceExhausted of any.
  absl::Status Build(const std::string& text, Load load);

  // Texts for which code was found or compiled so far.
  CodeSources code_sources() const {
    return {.disk = num_from_disk_.load(), .compiled = num_compiled_.load()};
  }

  // Checks that `load` accepts some code of the pack for this device. It does
  // not accept code compiled for a newer driver.
  //   FailedPrecondition  it does not
  absl::Status CheckPack(Load load) const;

 private:
  SassBuilder(Sources sources, int device_architecture);

  // Architectures whose code the pack or the disk may have, newest first.
  std::vector<int> PackArchitectures() const;
  std::vector<int> DiskArchitectures() const;
  std::string Describe() const;

  // Returns whether the search is over; `result` then holds the code or the
  // error.
  bool TryPack(const std::string& text, Load load, absl::Status& result) const;
  bool TryDisk(const std::string& text, Load load, absl::Status& result);
  absl::Status Compile(const std::string& text, Load load);

  const int device_architecture_;
  const Sources sources_;
  int architecture_ = 0;
  std::string description_;
  std::atomic<int64_t> num_from_disk_ = 0;
  std::atomic<int64_t> num_compiled_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_SASS_BUILDER_H_
