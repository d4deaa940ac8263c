// NVRTC, NVIDIA's run-time compiler, opened with dlopen, so a program links
// nothing of CUDA and also runs where CUDA is missing.

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
  // The result of one compilation.
  struct Binary {
    std::string cubin;  // an ELF file for one architecture
    std::string ptx;
  };

  // Opens `library`. If that is empty, opens the file that ACTSERVE_NVRTC in
  // the environment names, and if that is empty too, the first of
  // NvrtcCandidates().
  //   Unavailable         there is none; the message says what was tried
  //   FailedPrecondition  older than CUDA 12.0, or not NVRTC at all
  static absl::StatusOr<std::unique_ptr<Nvrtc>> Open(
      const std::string& library = "");
  ~Nvrtc();

  // "13.0"
  const std::string& version() const;
  // The file of the library that was opened.
  const std::string& path() const;
  // Compute capabilities that it compiles for, ascending: 75, 80, 86 ...
  const std::vector<int>& architectures() const;
  // The options of every compilation, in one string. The bits of results depend
  // on them.
  static const std::string& options();

  // Compiles a text of emit.h for the compute capability `architecture` (90).
  // Blocks for tens of milliseconds to seconds.
  //   FailedPrecondition  the architecture is not among architectures()
  //   Internal            NVRTC refused our text (our bug). NVRTC's log is not
  //                       for clients: it goes to `log`, if that is not null,
  //                       and not into the message.
  absl::StatusOr<Binary> Compile(const std::string& text, int architecture,
                                 std::string* log = nullptr) const;

 private:
  struct State;
  explicit Nvrtc(std::unique_ptr<State> state);

  std::unique_ptr<const State> state_;
};

// Where NVRTC is looked for, in this order: where the dynamic loader finds it,
// /usr/local/cuda, toolkits of other versions beside it from the newest on, and
// the distribution's folder; in each of them NVRTC 13 before 12. `root` stands
// before the absolute paths.
std::vector<std::string> NvrtcCandidates(const std::string& root = "");

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_NVRTC_H_
