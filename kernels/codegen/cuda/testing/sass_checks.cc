#include "kernels/codegen/cuda/testing/sass_checks.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <regex>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/base/sha256.h"
#include "kernels/codegen/cuda/emit.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/device/object_cache.h"

namespace actserve::testing {
namespace {

constexpr int64_t kMaxCacheBytes = int64_t{1} << 28;

absl::StatusOr<Nvrtc::Binary> CompileWithLog(const Nvrtc& nvrtc,
                                             const std::string& text,
                                             int architecture) {
  std::string log;
  absl::StatusOr<Nvrtc::Binary> binary =
      nvrtc.Compile(text, architecture, &log);
  if (binary.ok()) return binary;
  return absl::InternalError(
      absl::StrCat(std::string(binary.status().message()), "\n", log));
}

// Instructions of one entry of a PTX text.
int CountPtx(const std::string& ptx, const std::string& entry) {
  const size_t begin = ptx.find(absl::StrCat(".entry ", entry, "("));
  if (begin == std::string::npos) return 0;
  const size_t end = ptx.find("\n}", begin);
  int count = 0;
  for (absl::string_view line :
       absl::StrSplit(ptx.substr(begin, end - begin), '\n')) {
    const size_t at = line.find_first_not_of(" \t");
    if (at == absl::string_view::npos) continue;
    const char first = line[at];
    // Directives begin with a point, labels with a dollar sign.
    if (first == '@' || (first >= 'a' && first <= 'z')) ++count;
  }
  return count;
}

// The text with `count` vectors or rows a thread in `entry`.
std::string WithInFlight(const std::string& text, const std::string& entry,
                         int count) {
  const std::regex call(absl::StrCat(
      "(", entry, "\\(const Argument argument\\) \\{ \\w+<[^>]*?)\\d+>"));
  // Forms that have one vector in flight are unrolled to be counted.
  const std::regex rolled("Run<(\\d+), false");
  return std::regex_replace(
      std::regex_replace(text, call, absl::StrCat("$01", count, ">")), rolled,
      "Run<$01, true");
}

// The cubin of `text`. Where $ACTSERVE_CACHE names a folder, as scripts/test
// does, it comes from an earlier run if the same NVRTC had the same text.
absl::StatusOr<std::string> CubinOf(const Nvrtc& nvrtc, const std::string& text,
                                    int architecture) {
  const auto compile = [&]() -> absl::StatusOr<std::string> {
    auto binary = CompileWithLog(nvrtc, text, architecture);
    if (!binary.ok()) return binary.status();
    return std::move(binary->cubin);
  };
  const char* const folder = std::getenv("ACTSERVE_CACHE");
  if (folder == nullptr || folder[0] == '\0') return compile();
  const auto cache =
      ObjectCache::Open(absl::StrCat(folder, "/sass_tests"), kMaxCacheBytes);
  if (!cache.ok()) return compile();
  // Builds of one version differ in size.
  std::error_code error;
  const std::string key = Sha256Hex(absl::StrCat(
      nvrtc.version(), " ", std::filesystem::file_size(nvrtc.path(), error),
      " ", Nvrtc::options(), " sm_", architecture, "\n", text));
  if (auto known = (*cache)->Load(key)) return *std::move(known);
  auto cubin = compile();
  if (cubin.ok()) (*cache)->Store(key, *cubin);
  return cubin;
}

using Facts = std::map<std::string, KernelFacts>;

// Each text is compiled once: many programs share the parts that look up.
absl::StatusOr<Facts> PartFacts(const Nvrtc& nvrtc, const std::string& text,
                                int architecture) {
  static auto* const known = new std::map<std::pair<int, std::string>, Facts>;
  static std::mutex mutex;
  const std::pair<int, std::string> key = {architecture, text};
  {
    const std::lock_guard lock(mutex);
    if (const auto found = known->find(key); found != known->end()) {
      return found->second;
    }
  }
  const auto cubin = CubinOf(nvrtc, text, architecture);
  if (!cubin.ok()) return cubin.status();
  auto facts = ReadCubin(*cubin);
  const std::lock_guard lock(mutex);
  if (facts.ok()) known->emplace(key, *facts);
  return facts;
}

}  // namespace

absl::StatusOr<Facts> CompileFacts(const Nvrtc& nvrtc,
                                   const LoweredProgram& program,
                                   int architecture) {
  Facts all;
  for (const CudaPart part : LaunchLayout(program).parts()) {
    const auto facts = PartFacts(nvrtc, EmitCuda(program, part), architecture);
    if (!facts.ok()) return facts;
    all.insert(facts->begin(), facts->end());
  }
  return all;
}

std::string Violation(const LoweredProgram& program,
                      const std::map<std::string, KernelFacts>& facts) {
  const LaunchLayout layout(program);
  for (const KernelEntry entry : kKernelEntries) {
    if (!layout.has_entry(entry)) continue;
    const std::string name = KernelEntryName(entry);
    const auto found = facts.find(name);
    if (found == facts.end()) return absl::StrCat("has no ", name);
    const KernelFacts& kernel = found->second;
    if (kernel.registers == 0 || kernel.instructions == 0) {
      return absl::StrCat(name, " says nothing about itself");
    }
    if (kernel.stack_bytes > 0) {
      return absl::StrCat(name, " spills ", kernel.stack_bytes, " bytes");
    }
    if (kernel.registers > layout.max_registers(entry)) {
      return absl::StrCat(name, " takes ", kernel.registers, " registers");
    }
  }
  return "";
}

absl::StatusOr<InstructionCount> CountInstructions(
    const Nvrtc& nvrtc, const LoweredProgram& program, KernelEntry counted,
    int architecture) {
  constexpr int kFew = 1;
  constexpr int kMany = 4;
  const LaunchLayout layout(program);
  const std::string text = EmitCuda(program, layout.part(counted));
  const std::string entry = KernelEntryName(counted);
  InstructionCount difference;
  for (const int count : {kFew, kMany}) {
    const std::string variant = WithInFlight(text, entry, count);
    const auto binary = CompileWithLog(nvrtc, variant, architecture);
    if (!binary.ok()) return binary.status();
    const auto facts = ReadCubin(binary->cubin);
    if (!facts.ok()) return facts.status();
    const auto found = facts->find(entry);
    if (found == facts->end()) {
      return absl::InternalError(absl::StrCat("no entry ", entry));
    }
    const double sign = count == kMany ? 1 : -1;
    difference.ptx += sign * CountPtx(binary->ptx, entry);
    difference.sass += sign * found->second.instructions;
  }
  const int elements = layout.body() == LaunchLayout::Body::kSummed
                           ? 1
                           : layout.vector_elements();
  difference.ptx /= (kMany - kFew) * elements;
  difference.sass /= (kMany - kFew) * elements;
  return difference;
}

double IssueBudget(const LoweredProgram& program) {
  constexpr double kInstructionsPerSecond = 132 * 128 * 1.755e9;
  constexpr double kBytesPerSecond = 3.0e12;
  const LaunchLayout layout(program);
  const int64_t bytes = ItemSizeBytes(program.storage) *
                        (layout.num_inputs() + layout.num_outputs());
  return bytes * (kInstructionsPerSecond / kBytesPerSecond);
}

}  // namespace actserve::testing
