#include "kernels/codegen/cuda/nvrtc.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "kernels/base/shared_library.h"

namespace actserve {
namespace {

constexpr int kOldestMajor = 12;
constexpr const char* kNames[] = {"libnvrtc.so.13", "libnvrtc.so.12"};

// NVRTC's C interface, as nvrtc.h of the toolkit declares it.
using NvrtcProgram = void*;
using NvrtcResult = int;
constexpr NvrtcResult kNvrtcSuccess = 0;

struct Functions {
  NvrtcResult (*nvrtcVersion)(int* major, int* minor);
  NvrtcResult (*nvrtcGetNumSupportedArchs)(int* count);
  NvrtcResult (*nvrtcGetSupportedArchs)(int* architectures);
  NvrtcResult (*nvrtcCreateProgram)(NvrtcProgram* program, const char* text,
                                    const char* name, int num_headers,
                                    const char* const* headers,
                                    const char* const* include_names);
  NvrtcResult (*nvrtcDestroyProgram)(NvrtcProgram* program);
  NvrtcResult (*nvrtcCompileProgram)(NvrtcProgram program, int num_options,
                                     const char* const* options);
  NvrtcResult (*nvrtcGetProgramLogSize)(NvrtcProgram program, size_t* size);
  NvrtcResult (*nvrtcGetProgramLog)(NvrtcProgram program, char* log);
  NvrtcResult (*nvrtcGetCUBINSize)(NvrtcProgram program, size_t* size);
  NvrtcResult (*nvrtcGetCUBIN)(NvrtcProgram program, char* cubin);
  NvrtcResult (*nvrtcGetPTXSize)(NvrtcProgram program, size_t* size);
  NvrtcResult (*nvrtcGetPTX)(NvrtcProgram program, char* ptx);
  const char* (*nvrtcGetErrorString)(NvrtcResult result);
};

// Contraction off and IEEE division, square roots and subnormals: the bits of
// the CPU. Functions without an execution space are the device's, so that the
// shared math compiles as it stands.
constexpr const char* kOptions[] = {
    "--std=c++17",        "--fmad=false",
    "--ftz=false",        "--prec-div=true",
    "--prec-sqrt=true",   "--device-as-default-execution-space",
    "--disable-warnings",
};

// Folders `prefix`-VERSION beside each other, the newest version first.
std::vector<std::string> VersionedFolders(const std::filesystem::path& parent,
                                          const std::string& prefix) {
  std::vector<std::pair<std::vector<int>, std::string>> found;
  std::error_code error;
  for (std::filesystem::directory_iterator at(parent, error), end;
       !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    absl::string_view version_name = name;
    if (!absl::ConsumePrefix(&version_name, prefix + "-")) continue;
    std::vector<int> version;
    bool is_version = true;
    for (const absl::string_view part : absl::StrSplit(version_name, '.')) {
      is_version &= absl::SimpleAtoi(part, &version.emplace_back());
    }
    if (is_version) found.emplace_back(version, at->path().string());
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> folders;
  for (auto& [version, folder] : found) folders.push_back(std::move(folder));
  return folders;
}

// Destroys the program at the end of a scope.
class ScopedProgram {
 public:
  explicit ScopedProgram(const Functions& functions) : functions_(functions) {}
  ~ScopedProgram() {
    if (program_ != nullptr) functions_.nvrtcDestroyProgram(&program_);
  }
  ScopedProgram(const ScopedProgram&) = delete;
  ScopedProgram& operator=(const ScopedProgram&) = delete;

  NvrtcProgram* address() { return &program_; }
  NvrtcProgram get() const { return program_; }

 private:
  const Functions& functions_;
  NvrtcProgram program_ = nullptr;
};

}  // namespace

struct Nvrtc::State {
  // Stays open for ever: NVRTC has threads and thread-local memory of its own,
  // and closing it while a thread that compiled still lives, or opening it anew
  // for every device, gains nothing but the risk.
  SharedLibrary library;
  Functions functions = {};
  std::string version;
  std::vector<int> architectures;

  template <typename F>
  bool Find(const char* name, F& function) {
    function = reinterpret_cast<F>(dlsym(library.handle, name));
    return function != nullptr;
  }

  // The first symbol that is missing, or nullptr.
  const char* FindAll() {
    Functions& f = functions;
#define ACTSERVE_FIND(name) \
  if (!Find(#name, f.name)) return #name
    ACTSERVE_FIND(nvrtcVersion);
    ACTSERVE_FIND(nvrtcGetNumSupportedArchs);
    ACTSERVE_FIND(nvrtcGetSupportedArchs);
    ACTSERVE_FIND(nvrtcCreateProgram);
    ACTSERVE_FIND(nvrtcDestroyProgram);
    ACTSERVE_FIND(nvrtcCompileProgram);
    ACTSERVE_FIND(nvrtcGetProgramLogSize);
    ACTSERVE_FIND(nvrtcGetProgramLog);
    ACTSERVE_FIND(nvrtcGetCUBINSize);
    ACTSERVE_FIND(nvrtcGetCUBIN);
    ACTSERVE_FIND(nvrtcGetPTXSize);
    ACTSERVE_FIND(nvrtcGetPTX);
    ACTSERVE_FIND(nvrtcGetErrorString);
#undef ACTSERVE_FIND
    return nullptr;
  }

  absl::Status Call(const char* name, NvrtcResult result) const {
    if (result == kNvrtcSuccess) return absl::OkStatus();
    return absl::InternalError(
        absl::StrCat(name, ": ", functions.nvrtcGetErrorString(result)));
  }
};

absl::StatusOr<std::unique_ptr<Nvrtc>> Nvrtc::Open(const std::string& library) {
  absl::StatusOr<SharedLibrary> opened =
      OpenSharedLibrary(library, "ACTSERVE_NVRTC", NvrtcCandidates());
  if (!opened.ok()) {
    return absl::UnavailableError(
        absl::StrCat("NVRTC not found, ", opened.status().message()));
  }
  auto state = std::make_unique<State>();
  state->library = *std::move(opened);
  if (const char* missing = state->FindAll(); missing != nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        state->library.path, " is not NVRTC: it has no ", missing));
  }
  const Functions& f = state->functions;
  int major = 0;
  int minor = 0;
  absl::Status status =
      state->Call("nvrtcVersion", f.nvrtcVersion(&major, &minor));
  if (!status.ok()) return status;
  state->version = absl::StrCat(major, ".", minor);
  if (major < kOldestMajor) {
    return absl::FailedPreconditionError(
        absl::StrCat(state->library.path, " is NVRTC ", state->version,
                     ": the oldest that works is ", kOldestMajor, ".0"));
  }
  int count = 0;
  status = state->Call("nvrtcGetNumSupportedArchs",
                       f.nvrtcGetNumSupportedArchs(&count));
  if (!status.ok()) return status;
  state->architectures.resize(count);
  status = state->Call("nvrtcGetSupportedArchs",
                       f.nvrtcGetSupportedArchs(state->architectures.data()));
  if (!status.ok()) return status;
  std::sort(state->architectures.begin(), state->architectures.end());
  return std::unique_ptr<Nvrtc>(new Nvrtc(std::move(state)));
}

std::vector<std::string> NvrtcCandidates(const std::string& root) {
  const std::string parent = root + "/usr/local";
  std::vector<std::string> toolkits = {parent + "/cuda"};
  for (std::string& folder : VersionedFolders(parent, "cuda")) {
    toolkits.push_back(std::move(folder));
  }
  std::vector<std::string> folders;
  for (const std::string& toolkit : toolkits) {
    for (const char* inside : {"lib64", "targets/x86_64-linux/lib"}) {
      folders.push_back(absl::StrCat(toolkit, "/", inside));
    }
  }
  folders.push_back(root + "/usr/lib/x86_64-linux-gnu");

  std::vector<std::string> candidates(std::begin(kNames), std::end(kNames));
  for (const std::string& folder : folders) {
    for (const char* name : kNames) {
      candidates.push_back(absl::StrCat(folder, "/", name));
    }
  }
  return candidates;
}

Nvrtc::Nvrtc(std::unique_ptr<State> state) : state_(std::move(state)) {}
Nvrtc::~Nvrtc() = default;

const std::string& Nvrtc::version() const { return state_->version; }
const std::string& Nvrtc::path() const { return state_->library.path; }
const std::vector<int>& Nvrtc::architectures() const {
  return state_->architectures;
}
const std::string& Nvrtc::options() {
  static const std::string* const options =
      new std::string(absl::StrJoin(kOptions, " "));
  return *options;
}

absl::StatusOr<Nvrtc::Binary> Nvrtc::Compile(const std::string& text,
                                             int architecture,
                                             std::string* log) const {
  const std::vector<int>& known = state_->architectures;
  if (!std::binary_search(known.begin(), known.end(), architecture)) {
    return absl::FailedPreconditionError(
        absl::StrCat("NVRTC ", version(), " does not compile for sm_",
                     architecture, ", only for ", absl::StrJoin(known, ", ")));
  }
  const Functions& f = state_->functions;
  ScopedProgram program(f);
  absl::Status status =
      state_->Call("nvrtcCreateProgram",
                   f.nvrtcCreateProgram(program.address(), text.c_str(),
                                        "program.cu", 0, nullptr, nullptr));
  if (!status.ok()) return status;
  const std::string target =
      absl::StrCat("--gpu-architecture=sm_", architecture);
  std::vector<const char*> options(std::begin(kOptions), std::end(kOptions));
  options.push_back(target.c_str());
  status = state_->Call(
      "nvrtcCompileProgram",
      f.nvrtcCompileProgram(program.get(), static_cast<int>(options.size()),
                            options.data()));

  // A size that NVRTC gives counts the terminating zero of a text.
  const auto fetch = [&](auto get_size, auto get, std::string& bytes) {
    size_t size = 0;
    if (get_size(program.get(), &size) != kNvrtcSuccess) return false;
    bytes.resize(size);
    return get(program.get(), bytes.data()) == kNvrtcSuccess;
  };
  if (log != nullptr) {
    if (!fetch(f.nvrtcGetProgramLogSize, f.nvrtcGetProgramLog, *log)) {
      log->clear();
    }
    while (!log->empty() && log->back() == '\0') log->pop_back();
  }
  if (!status.ok()) return status;
  Binary binary;
  if (!fetch(f.nvrtcGetCUBINSize, f.nvrtcGetCUBIN, binary.cubin) ||
      !fetch(f.nvrtcGetPTXSize, f.nvrtcGetPTX, binary.ptx)) {
    return absl::InternalError("NVRTC compiled, but gave no code");
  }
  while (!binary.ptx.empty() && binary.ptx.back() == '\0') {
    binary.ptx.pop_back();
  }
  return binary;
}

}  // namespace actserve
