// Compiles a lowered program to machine code for this host. Does not run it:
// kernels/device/cpu loads the object.

#ifndef ACTSERVE_KERNELS_CODEGEN_LLVM_KERNEL_COMPILER_H_
#define ACTSERVE_KERNELS_CODEGEN_LLVM_KERNEL_COMPILER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/base/stop_token.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

// A compiled kernel: a loop over `num_elements` elements.
//
// `inputs` and `outputs` are arrays of pointers, one per input and output of
// the graph; where the graph has draws, one more input follows: DrawWords() of
// draws.h. Where inputs have one number for each row, one more follows, the
// elements of a row as an int64_t, of which `num_elements` is a multiple; then
// kNonTemporal wants every row of every output aligned. `parameters` is an
// array of the compute type. Tensors may have any alignment (but see
// kNonTemporal) and must not overlap. A summed output is an array of the
// compute type that receives each element's contribution; under kDerivative16
// the one output is the derivative as float32, which the caller multiplies by
// the upstream gradient or puts into a table. The kernel calls nothing but
// memcpy and memset and keeps no state.
using KernelFunction = void (*)(const void* const* inputs, void* const* outputs,
                                const void* parameters, int64_t num_elements);

// The only symbol that a compiled object exports.
inline constexpr char kKernelSymbol[] = "actserve_kernel";

// How a kernel writes its outputs.
enum class KernelVariant {
  // The program as lowered_program.h defines it.
  kPlain,
  // The same bits, written past the caches: every output must be aligned to
  // 64 bytes, and the caller issues a store fence afterwards.
  kNonTemporal,
};

// Immutable; any number of threads may compile at once.
class KernelCompiler {
 public:
  struct Options {
    // LLVM's name of an x86-64 processor; "" for the one we run on. Tests name
    // older ones.
    std::string cpu = "";
  };

  // Returns FailedPrecondition if the processor has no fused multiply-add.
  static absl::StatusOr<std::unique_ptr<KernelCompiler>> Create(
      const Options& options);
  ~KernelCompiler();

  // Returns a relocatable ELF object that defines kKernelSymbol. Takes
  // milliseconds to seconds, in proportion to the program's weight. Asks `stop`
  // between the passes that optimize and before the code is generated; the
  // latter is one step, and takes about four fifths of the time.
  //   Internal  LLVM refused what we generated (our bug)
  // and what `stop` returns.
  absl::StatusOr<std::string> Compile(const LoweredProgram& program,
                                      KernelVariant variant,
                                      const StopToken& stop = {}) const;

  // Returns the optimized IR that Compile() would turn into code, for people.
  absl::StatusOr<std::string> Print(const LoweredProgram& program,
                                    KernelVariant variant) const;

  // Identifies everything besides the program that decides the code: processor,
  // features, LLVM's version, the shared math, the form of the kernel.
  const std::string& fingerprint() const;
  // The processor's LLVM name: "znver4".
  const std::string& cpu() const;
  bool has_avx512() const;

 private:
  struct State;
  explicit KernelCompiler(std::unique_ptr<State> state);

  std::unique_ptr<const State> state_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_LLVM_KERNEL_COMPILER_H_
