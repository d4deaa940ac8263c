// The interface of devices. A device owns memory, compiles programs (once per
// program, cached in memory and on disk) and runs work items.

#ifndef ACTSERVE_KERNELS_DEVICE_DEVICE_H_
#define ACTSERVE_KERNELS_DEVICE_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "kernels/base/stop_token.h"
#include "kernels/device/shared_device_memory.h"
#include "kernels/device/tensor_part.h"
#include "kernels/graph/broadcast.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

// A run of bytes of one tensor, with any alignment. An element may straddle two
// fragments. Does not own the bytes.
struct Fragment {
  const std::byte* data = nullptr;
  size_t size_bytes = 0;
};

struct WorkItem;

// A compiled program. Immutable; any thread may run it, several at once.
class Program {
 public:
  virtual ~Program() = default;
  const LoweredProgram& lowered() const { return lowered_; }
  // The weight of its graph.
  int64_t weight() const { return weight_; }
  // About the host memory that a run of `item` takes beside its tensors, while
  // it runs.
  virtual int64_t ScratchBytes(const WorkItem& /*item*/) const { return 0; }

 protected:
  explicit Program(LoweredProgram lowered)
      : lowered_(std::move(lowered)), weight_(lowered_.graph.Weight()) {}

 private:
  LoweredProgram lowered_;
  int64_t weight_;
};

// The time that one item took. Items copied or computed together each report
// the time of the whole. A device that copies and computes at the same time
// counts both; one that computes where the tensors lie copies nothing.
struct Stages {
  absl::Duration copy_in = absl::ZeroDuration();
  absl::Duration compute = absl::ZeroDuration();
  absl::Duration copy_out = absl::ZeroDuration();
};

// Tensors that a device keeps in its own memory from one run to a later one,
// such as the inputs of a Forward for its Backward. The last owner frees them,
// and may outlive the device. Immutable.
class ResidentTensors {
 public:
  virtual ~ResidentTensors() = default;
  int num_tensors() const { return num_tensors_; }
  int64_t num_elements() const { return num_elements_; }  // of each
  DType dtype() const { return dtype_; }

 protected:
  ResidentTensors(int num_tensors, int64_t num_elements, DType dtype)
      : num_tensors_(num_tensors), num_elements_(num_elements), dtype_(dtype) {}

 private:
  const int num_tensors_;
  const int64_t num_elements_;
  const DType dtype_;
};

// How the elements of a tensor make rows along one axis: element k of row r is
// element (r / stride) * size * stride + k * stride + r % stride of the tensor.
struct Rows {
  int64_t size = 1;
  // From one element of a row to the next; 1 along the last axis.
  int64_t stride = 1;
};

// A tensor with fewer elements than the others, which is read as if it had
// their shape.
struct BroadcastInput {
  // Its elements, of the storage type, as fragments in order.
  absl::Span<const Fragment> data;
  // shape.num_read() is the number of elements of the others.
  Broadcast shape;
};

// The inputs, parameters and outputs of one request.
struct WorkItem {
  // The first inputs, if an earlier run on this device kept them; null
  // otherwise.
  std::shared_ptr<const ResidentTensors> resident;
  // lowered().num_tensor_inputs() tensors of `num_elements` elements of the
  // storage type, row-major, each as its fragments in order. Without the
  // resident ones.
  std::vector<absl::Span<const Fragment>> inputs;
  // The parts that the first of `inputs` are of the tensors given there: as
  // many as there are such inputs. They need a program of Rule::kDirect.
  std::vector<TensorPart> input_parts;
  // lowered().num_broadcasts of them.
  std::vector<BroadcastInput> broadcasts;
  // One per graph parameter. Rounded once to the compute type; a seed of draws
  // is taken as it is, an integer from 0 to kMaxSeed.
  std::vector<double> parameters;
  int64_t num_elements = 0;
  // The place of the first element in its tensor, for draws (graph/draws.h):
  // not 0 where a tensor is sent in pieces. With num_elements at most 2^63 - 1.
  int64_t element_offset = 0;
  // For a program that reads rows; they fill the tensors.
  Rows rows;
  // One per graph output that is not summed: num_elements elements. Must not
  // overlap an input. nullptr allowed iff num_elements is 0.
  std::vector<std::byte*> outputs;
  // The parts that the first of `outputs` are of the tensors that begin there.
  std::vector<TensorPart> output_parts;
  // One per summed output, in order; of one that is `like` a broadcast, one per
  // element of that. Sums follow one tree fixed by element index
  // (kernels/graph/summation.h, broadcast.h): same bits whatever the threads.
  std::vector<double> sums;
  // True: `inputs`, each one fragment, and `outputs` are addresses of the
  // device's own memory, such as that of OpenMemory(), aligned to an element.
  // What else the item has is in this process. Nothing on the device may still
  // write to the inputs, or use the outputs. Without parts.
  bool in_device_memory = false;
  // True to keep `inputs` on the device. Afterwards `kept` holds them, or is
  // null if the device has no memory of its own or no room, or if there are
  // `broadcasts`.
  bool keep_inputs = false;
  std::shared_ptr<const ResidentTensors> kept;
  // True to fill `stages`. Reading the clock takes as long as a thousand
  // elements of a cheap function.
  bool time_stages = false;
  Stages stages;
};

// Where a device got machine code that it did not have in memory: a program is
// one piece of code, or several.
struct CodeSources {
  // Precompiled: from the cache on disk or from a pack.
  int64_t disk = 0;
  int64_t compiled = 0;
};

// Compiles and runs programs. A device is lost after an error that only a new
// process repairs, or when a kernel does not end; from then on every call
// returns Unavailable.
//
// Thread-safe.
class Device {
 public:
  using LostCallback = std::function<void(const absl::Status&)>;

  virtual ~Device() = default;

  // "cpu", "cuda:0".
  virtual std::string name() const = 0;
  // For people: "AMD EPYC 9R14, 2 threads, AVX-512".
  virtual std::string description() const = 0;

  // Compiles, or finds compiled, `program`. Concurrent calls for the same
  // program wait for one compilation, and for its first caller's `stop`. Blocks
  // for up to seconds; do not call it on a gRPC thread.
  //   Internal            the compiler failed (our bug)
  //   FailedPrecondition  there is no compiler here, and the program is not
  //                       in a cache
  //   Unavailable         the device is lost
  // and what `stop` returns, if that is not OK between two steps.
  virtual absl::StatusOr<std::shared_ptr<const Program>> Compile(
      const LoweredProgram& program, const StopToken& stop) = 0;
  absl::StatusOr<std::shared_ptr<const Program>> Compile(
      const LoweredProgram& program) {
    return Compile(program, StopToken());
  }

  // Runs every item, then returns. The result of an item does not depend on the
  // other items. `program` must come from this device.
  //   InvalidArgument    an item whose tensors do not fit the program: the
  //                      number of inputs, outputs, parameters, or bytes
  //   FailedPrecondition in_device_memory, and the device computes in that of
  //                      the host
  //   ResourceExhausted  the device's memory is full: back off
  //   Unavailable        the device is lost
  virtual absl::Status Run(const Program& program,
                           absl::Span<WorkItem> items) = 0;

  // Opens memory of this device that another process has shared: `uuid` is the
  // device's 16 bytes there, `handle` what its driver gave out for the
  // allocation (64 bytes for CUDA). The same handle may be opened again.
  //   InvalidArgument     no such handle, or not of another process
  //   FailedPrecondition  this device opens none, or is another one
  //   Unavailable         the device is lost
  virtual absl::StatusOr<std::shared_ptr<const SharedDeviceMemory>> OpenMemory(
      absl::string_view /*uuid*/, absl::string_view /*handle*/) {
    return absl::FailedPreconditionError(absl::StrCat(
        name(), " computes in the memory of the host, not in that of a GPU"));
  }

  // OK, or Unavailable and why the device is lost.
  virtual absl::Status health() const { return absl::OkStatus(); }

  // Calls `lost` once, with health(), when the device is lost: from any thread,
  // or at once if the device is lost already. `lost` must neither block nor
  // call the device. Set it before the first Compile().
  // NOLINTNEXTLINE(performance-unnecessary-value-param): a device keeps it.
  virtual void OnLost(LostCallback /*lost*/) {}

  // Kernels launched so far; 0 for a device that calls its kernels directly.
  virtual int64_t num_launches() const { return 0; }

  // Pieces of code that were loaded so far.
  virtual CodeSources code_sources() const { return {}; }

  // The device's own memory that is in use; 0 for a device that computes in
  // this process' memory.
  virtual int64_t used_memory_bytes() const { return 0; }
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_DEVICE_H_
