#include "kernels/device/cuda/program/sass_builder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

// Code for 8.0 runs on 8.6 and 8.9, but not on 9.0.
bool RunsOn(int device_architecture, int architecture) {
  return architecture / 10 == device_architecture / 10 &&
         architecture <= device_architecture;
}

// Returns the `architectures` that run on the device, in descending order.
// `architectures` ascends.
std::vector<int> Fitting(const std::vector<int>& architectures,
                         int device_architecture) {
  std::vector<int> fitting;
  for (int architecture : architectures) {
    if (RunsOn(device_architecture, architecture)) {
      fitting.push_back(architecture);
    }
  }
  std::reverse(fitting.begin(), fitting.end());
  return fitting;
}

// Returns whether no other code can do better.
bool IsFinal(const absl::Status& loaded) {
  return loaded.ok() || absl::IsUnavailable(loaded) ||
         absl::IsResourceExhausted(loaded);
}

// The form on disk: the version of the compiler, for a newer one compiles
// again, a line's end, and the code.
std::string Stored(absl::string_view nvrtc_version, absl::string_view cubin) {
  return absl::StrCat(nvrtc_version, "\n", cubin);
}

}  // namespace

absl::StatusOr<std::unique_ptr<SassBuilder>> SassBuilder::Create(
    Sources sources, int device_architecture) {
  std::unique_ptr<SassBuilder> builder(
      new SassBuilder(std::move(sources), device_architecture));
  if (builder->architecture_ > 0 || !builder->PackArchitectures().empty()) {
    return builder;
  }
  return absl::FailedPreconditionError(builder->description_);
}

SassBuilder::SassBuilder(Sources sources, int device_architecture)
    : device_architecture_(device_architecture), sources_(std::move(sources)) {
  if (sources_.nvrtc.ok()) {
    const std::vector<int> known =
        Fitting((*sources_.nvrtc)->architectures(), device_architecture_);
    if (!known.empty()) architecture_ = known.front();
  }
  description_ = Describe();
}

std::string SassBuilder::nvrtc_version() const {
  return sources_.nvrtc.ok() ? (*sources_.nvrtc)->version() : "";
}

std::string SassBuilder::Describe() const {
  std::vector<std::string> parts;
  if (!sources_.nvrtc.ok()) {
    parts.emplace_back(sources_.nvrtc.status().message());
  } else if (const Nvrtc& nvrtc = **sources_.nvrtc; architecture_ > 0) {
    parts.push_back(absl::StrCat("NVRTC ", nvrtc.version()));
  } else {
    parts.push_back(absl::StrCat("NVRTC ", nvrtc.version(), " (", nvrtc.path(),
                                 ") compiles nothing that runs on sm_",
                                 device_architecture_));
  }
  if (sources_.pack == nullptr) {
    parts.emplace_back("no pack of compiled programs");
  } else if (PackArchitectures().empty()) {
    parts.push_back(
        absl::StrCat(sources_.pack->path(), " has code for [",
                     absl::StrJoin(sources_.pack->architectures(), ", "),
                     "], not for sm_", device_architecture_));
  } else {
    for (int architecture : PackArchitectures()) {
      parts.push_back(absl::StrCat(sources_.pack->num_parts(architecture),
                                   " precompiled parts of programs (NVRTC ",
                                   sources_.pack->nvrtc_version(), ", sm_",
                                   architecture, ")"));
    }
  }
  return absl::StrJoin(parts, ", ");
}

std::vector<int> SassBuilder::PackArchitectures() const {
  if (sources_.pack == nullptr) return {};
  return Fitting(sources_.pack->architectures(), device_architecture_);
}

std::vector<int> SassBuilder::DiskArchitectures() const {
  if (sources_.cache == nullptr) return {};
  if (architecture_ > 0) return {architecture_};
  // Another process compiled the code, for an architecture that its NVRTC
  // knew.
  std::vector<int> architectures;
  for (int architecture = device_architecture_;
       RunsOn(device_architecture_, architecture); --architecture) {
    architectures.push_back(architecture);
  }
  return architectures;
}

bool SassBuilder::TryPack(const std::string& text, Load load,
                          absl::Status& result) const {
  for (int architecture : PackArchitectures()) {
    SassPack::Code code = {SassKey(text, architecture), architecture, ""};
    absl::StatusOr<std::string> cubin = sources_.pack->Find(code.key);
    if (!cubin.ok()) continue;
    code.cubin = *std::move(cubin);
    result = load(code);
    if (IsFinal(result)) return true;
  }
  return false;
}

bool SassBuilder::TryDisk(const std::string& text, Load load,
                          absl::Status& result) {
  for (int architecture : DiskArchitectures()) {
    SassPack::Code code = {SassKey(text, architecture), architecture, ""};
    const std::optional<std::string> stored = sources_.cache->Load(code.key);
    if (!stored.has_value()) continue;
    const size_t line_end = stored->find('\n');
    if (line_end == std::string::npos) continue;
    if (architecture_ > 0 && stored->substr(0, line_end) != nvrtc_version()) {
      continue;
    }
    code.cubin = stored->substr(line_end + 1);
    result = load(code);
    if (IsFinal(result)) return true;
  }
  return false;
}

absl::Status SassBuilder::Compile(const std::string& text, Load load) {
  const Nvrtc& nvrtc = **sources_.nvrtc;
  ACTSERVE_ASSIGN_OR_RETURN(Nvrtc::Binary binary,
                            nvrtc.Compile(text, architecture_));
  const SassPack::Code code = {SassKey(text, architecture_), architecture_,
                               std::move(binary.cubin)};
  absl::Status loaded = load(code);
  if (loaded.ok() && sources_.cache != nullptr) {
    sources_.cache->Store(code.key, Stored(nvrtc.version(), code.cubin));
  }
  return loaded;
}

absl::Status SassBuilder::Build(const std::string& text, Load load) {
  absl::Status result;
  if (TryPack(text, load, result) || TryDisk(text, load, result)) {
    if (result.ok()) ++num_from_disk_;
    return result;
  }
  if (architecture_ > 0) {
    result = Compile(text, load);
    if (result.ok()) ++num_compiled_;
    return result;
  }
  return absl::FailedPreconditionError(
      "this server has no NVRTC to compile for its GPU, and this program "
      "was not precompiled");
}

absl::Status SassBuilder::CheckPack(Load load) const {
  absl::Status loaded = absl::NotFoundError("no pack");
  for (int architecture : PackArchitectures()) {
    SassPack::Code code = {sources_.pack->KeyOfOne(architecture), architecture,
                           ""};
    absl::StatusOr<std::string> cubin = sources_.pack->Find(code.key);
    loaded = cubin.status();
    if (!loaded.ok()) continue;
    code.cubin = *std::move(cubin);
    loaded = load(code);
    if (loaded.ok()) return loaded;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      description_,
      ", but they cannot be used: ", std::string(loaded.message())));
}

}  // namespace actserve
