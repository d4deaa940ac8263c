// What can run programs. A device owns memory, compiles programs (once per
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
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

// A run of bytes of one tensor. Any alignment; an element may straddle two
// fragments. Not owned.
struct Fragment {
  const std::byte* data = nullptr;
  size_t size_bytes = 0;
};

// A compiled program. Immutable; any thread may run it, several at once.
class Program {
 public:
  virtual ~Program() = default;
  const LoweredProgram& lowered() const { return lowered_; }
  // Of its graph.
  int64_t weight() const { return weight_; }

 protected:
  explicit Program(LoweredProgram lowered)
      : lowered_(std::move(lowered)), weight_(lowered_.graph.Weight()) {}

 private:
  LoweredProgram lowered_;
  int64_t weight_;
};

// What the work of one item took. Items that were copied or computed together
// each have the time of the whole. A device that copies and computes at a time
// counts both; one that computes where the tensors lie copies nothing.
struct Stages {
  absl::Duration copy_in = absl::ZeroDuration();
  absl::Duration compute = absl::ZeroDuration();
  absl::Duration copy_out = absl::ZeroDuration();
};

// Tensors that a device keeps in its own memory from one run to a later one, as
// a Forward's inputs for its Backward. Given back with the last owner, which
// may outlive the device. Immutable.
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

// One request's worth of work for one program.
struct WorkItem {
  // The first of the inputs, as an earlier run on this device kept them; null
  // if none.
  std::shared_ptr<const ResidentTensors> resident;
  // lowered().num_tensor_inputs() tensors of `num_elements` elements of the
  // storage type, row-major, each as its fragments in order; those after the
  // resident ones.
  std::vector<absl::Span<const Fragment>> inputs;
  // One per graph parameter. Rounded once to the compute type.
  std::vector<double> parameters;
  int64_t num_elements = 0;
  // One per graph output that is not summed: num_elements elements. Must not
  // overlap an input. nullptr allowed iff num_elements is 0.
  std::vector<std::byte*> outputs;
  // One per summed output, in order. Sums follow one tree fixed by element
  // index (kernels/graph/summation.h): same bits whatever the threads.
  std::vector<double> sums;
  // Whether to keep `inputs` on the device. `kept` has them afterwards, or is
  // null: the device has no memory of its own, or no room for them.
  bool keep_inputs = false;
  std::shared_ptr<const ResidentTensors> kept;
  // Whether `stages` is wanted: reading the clock takes as long as a thousand
  // elements of a cheap function.
  bool time_stages = false;
  Stages stages;
};

// Thread-safe.
//
// A device may be lost: an error that nothing but a new process cures, or a
// kernel that does not end. From then on every call answers Unavailable.
class Device {
 public:
  using LostCallback = std::function<void(const absl::Status&)>;

  virtual ~Device() = default;

  // "cpu", "cuda:0".
  virtual std::string name() const = 0;
  // For people: "AMD EPYC 9R14, 2 threads, AVX-512".
  virtual std::string description() const = 0;

  // Compiles, or finds compiled, `program`. Concurrent calls for the same
  // program wait for one compilation. Blocks for up to seconds: not for a
  // gRPC reaction.
  //   Internal            the compiler failed (our bug)
  //   FailedPrecondition  there is no compiler here, and the program is not
  //                       in a cache
  //   Unavailable         the device is lost
  virtual absl::StatusOr<std::shared_ptr<const Program>> Compile(
      const LoweredProgram& program) = 0;

  // The program if it is compiled already, else nullptr. Does not block.
  virtual std::shared_ptr<const Program> Find(
      const std::string& program_id) = 0;

  // Runs each item to its end, then returns. The result of an item does not
  // depend on its neighbours. `program` must come from this device.
  //   InvalidArgument    an item whose tensors do not fit the program: the
  //                      number of inputs, outputs, parameters, or bytes
  //   ResourceExhausted  the device's memory is full: back off
  //   Unavailable        the device is lost
  virtual absl::Status Run(const Program& program,
                           absl::Span<WorkItem> items) = 0;

  // OK, or Unavailable and why the device is lost.
  virtual absl::Status health() const { return absl::OkStatus(); }

  // `lost` is called once, with health(), when the device is lost: from any
  // thread, at once if that is so already. It must not block, nor call the
  // device. Set it before the first Compile().
  // NOLINTNEXTLINE(performance-unnecessary-value-param): a device keeps it.
  virtual void OnLost(LostCallback /*lost*/) {}

  // Kernels started so far. A device that calls its kernels starts none.
  virtual int64_t num_launches() const { return 0; }
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_DEVICE_H_
