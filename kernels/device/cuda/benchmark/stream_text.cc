#include "kernels/device/cuda/benchmark/stream_text.h"

#include <cassert>

#include "absl/strings/str_cat.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/codegen/cuda/text_files.h"

namespace actserve {
namespace {

// Behind the prelude and the constants.
constexpr char kBody[] = R"(
struct Argument {
  Word in[kReads];
  Word out;
};

ACTSERVE_DEVICE Vector Combine(Vector a, Vector b) {
  return {a.x ^ b.x, a.y ^ b.y, a.z ^ b.z, a.w ^ b.w};
}

ACTSERVE_DEVICE void Stream(const Argument& argument) {
  const Word begin =
      static_cast<Word>(BlockIndex()) * (kThreads * kVectors) + ThreadIndex();
  Vector x[kReads][kVectors];
  ACTSERVE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    ACTSERVE_UNROLL
    for (int i = 0; i < kReads; ++i) {
      const Vector* const from =
          reinterpret_cast<const Vector*>(argument.in[i]) + begin;
      x[i][v] = kStreaming ? LoadStreaming(from + v * kThreads)
                           : Load(from + v * kThreads);
    }
  }
  Vector* const to = reinterpret_cast<Vector*>(argument.out) + begin;
  ACTSERVE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    Vector y = x[0][v];
    ACTSERVE_UNROLL
    for (int i = 1; i < kReads; ++i) y = Combine(y, x[i][v]);
    if (kStreaming) {
      StoreStreaming(to + v * kThreads, y);
    } else {
      Store(to + v * kThreads, y);
    }
  }
}
)";

}  // namespace

std::string StreamText(const StreamKernel& kernel) {
  assert(kernel.reads >= 1 && kernel.vectors >= 1);
  assert(StreamKernel::kMaxVectors % kernel.vectors == 0);
  // Blocks that fit on a multiprocessor by the registers that vectors take.
  const int blocks = kernel.reads * kernel.vectors <= 4 ? 8 : 2;
  return absl::StrCat(
      BareText("kernels/codegen/cuda/text/prelude.h"),
      "constexpr int kReads = ", kernel.reads,
      ";\nconstexpr int kThreads = ", StreamKernel::kThreads,
      ";\nconstexpr int kVectors = ", kernel.vectors,
      ";\nconstexpr bool kStreaming = ", kernel.streaming ? "true" : "false",
      ";\n", kBody, "ACTSERVE_KERNEL(", StreamKernel::kThreads, ", ", blocks,
      ")\n", KernelEntryName(KernelEntry::kRun),
      "(const Argument argument) { Stream(argument); }\n");
}

StreamLaunch PackStream(const StreamKernel& kernel, int64_t size_bytes,
                        const std::vector<CuDeviceAddress>& inputs,
                        CuDeviceAddress output) {
  assert(size_bytes % StreamKernel::kUnitBytes == 0);
  assert(inputs.size() == static_cast<size_t>(kernel.reads));
  StreamLaunch launch;
  launch.grid = static_cast<unsigned>(
      size_bytes / (int64_t{16} * StreamKernel::kThreads * kernel.vectors));
  launch.argument.assign(inputs.begin(), inputs.end());
  launch.argument.push_back(output);
  return launch;
}

}  // namespace actserve
