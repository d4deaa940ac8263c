// NVRTC, NVIDIA's run-time compiler, opened with dlopen: a program that links
// nothing of CUDA, and runs where there is none.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_NVRTC_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_NVRTC_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace actserve {

// Thread-safe: NVRTC compiles on any number of threads at once.
class Nvrtc {
 public:
  // What came of one compilation.
  struct Binary {
    std::string cubin;  // an ELF file for one architecture
    std::string ptx;
  };

  // Opens `library`, or if it is empty the first of the usual names and places
  // (ACTSERVE_NVRTC in the environment before them) that is there.
  //   Unavailable         there is none; the message says what was tried
  //   FailedPrecondition  older than CUDA 12.0, or not NVRTC at all
  static absl::StatusOr<std::unique_ptr<Nvrtc>> Open(
      const std::string& library = "");
  ~Nvrtc();

  // "13.0"
  const std::string& version() const;
  // What was opened.
  const std::string& path() const;
  // Compute capabilities that it compiles for, ascending: 75, 80, 86 ...
  const std::vector<int>& architectures() const;
  // The options of every compilation, one string: they decide the bits.
  static const std::string& options();

  // Compiles a text of emit.h for the compute capability `architecture` (90).
  // Blocks for tens of milliseconds to seconds.
  //   FailedPrecondition  the architecture is not among architectures()
  //   Internal            NVRTC refused our text (our bug). The message has
  //                       nothing of NVRTC's log, which is for our own eyes:
  //                       it goes to `log`, if that is not null.
  absl::StatusOr<Binary> Compile(const std::string& text, int architecture,
                                 std::string* log = nullptr) const;

 private:
  struct State;
  explicit Nvrtc(std::unique_ptr<State> state);

  std::unique_ptr<const State> state_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_NVRTC_H_
