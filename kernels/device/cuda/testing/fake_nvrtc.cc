// NVRTC's half of the fake: libnvrtc.so's functions, over the compiler that
// built the project. Its cubins are shared objects of this machine.

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/device/cuda/testing/fake_module.h"
#include "kernels/device/cuda/testing/fake_state.h"

extern char** environ;

namespace actserve::testing {
namespace {

constexpr int kArchitectures[] = {75, 80, 86, 89, 90, 100, 120};
// nvrtcResult.
constexpr int kSuccess = 0;
constexpr int kCompilation = 6;

struct Program {
  std::string text;
  std::string image;
};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Runs `words` in `folder`. Returns true if that exits with 0.
bool Run(std::vector<std::string> words, const std::string& folder) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  pid_t child = 0;
  const int spawned = posix_spawnp(&child, arguments[0], &actions, nullptr,
                                   arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  return spawned == 0 && waitpid(child, &status, 0) == child &&
         WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Makes program.so of program.cc in `folder`.
bool Compile(const std::string& folder) {
  // Relative names and two steps, so that a compiler cache knows the text
  // again.
  std::vector<std::string> compile = {
      ACTSERVE_FAKE_COMPILER,
      "-std=c++20",
      "-O1",
      "-w",
      "-fPIC",
      "-ffp-contract=off",
      "-fno-gnu-unique",  // or the object stays when closed
      "-c",
      "program.cc",
      "-o",
      "program.o"};
#if defined(__x86_64__)
  // Without it every fused multiply-add is a call.
  if (__builtin_cpu_supports("fma")) compile.push_back("-mfma");
#endif
  std::istringstream launcher(ACTSERVE_FAKE_LAUNCHER);
  std::vector<std::string> cached{std::istream_iterator<std::string>(launcher),
                                  {}};
  const bool has_cache = !cached.empty();
  cached.insert(cached.end(), compile.begin(), compile.end());
  // The launcher need not be where the test runs.
  return ((has_cache && Run(cached, folder)) || Run(compile, folder)) &&
         Run({ACTSERVE_FAKE_COMPILER, "-shared", "program.o", "-o",
              "program.so"},
             folder);
}

}  // namespace
}  // namespace actserve::testing

using namespace actserve::testing;  // NOLINT: the functions below are C's

ACTSERVE_FAKE_EXPORT const char* nvrtcGetErrorString(int result) {
  return result == kSuccess ? "NVRTC_SUCCESS" : "NVRTC_ERROR_COMPILATION";
}
ACTSERVE_FAKE_EXPORT int nvrtcVersion(int* major, int* minor) {
  *major = FakeState::Get().knob(FakeKnob::kNvrtcMajor);
  *minor = 0;
  return kSuccess;
}
ACTSERVE_FAKE_EXPORT int nvrtcGetNumSupportedArchs(int* count) {
  *count = std::size(kArchitectures);
  return kSuccess;
}
ACTSERVE_FAKE_EXPORT int nvrtcGetSupportedArchs(int* architectures) {
  std::memcpy(architectures, kArchitectures, sizeof(kArchitectures));
  return kSuccess;
}
ACTSERVE_FAKE_EXPORT int nvrtcCreateProgram(void** program, const char* text,
                                            const char*, int,
                                            const char* const*,
                                            const char* const*) {
  *program = new Program{text, ""};
  return kSuccess;
}
ACTSERVE_FAKE_EXPORT int nvrtcDestroyProgram(void** program) {
  delete static_cast<Program*>(*program);
  *program = nullptr;
  return kSuccess;
}
ACTSERVE_FAKE_EXPORT int nvrtcCompileProgram(void* opaque, int,
                                             const char* const*) {
  auto& program = *static_cast<Program*>(opaque);
  FakeState::Get().knob(FakeKnob::kNumCompiles).fetch_add(1);
  if (FakeState::Get().IsNth(FakeKnob::kFailCompileAt)) return kCompilation;
  std::string folder = "/tmp/fake_nvrtc_XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return kCompilation;
  const std::string path = folder + "/program";
  std::ofstream(path + ".cc") << program.text << HostKernelSuffix(program.text);
  const bool compiled = Compile(folder);
  if (compiled) program.image = ReadFile(path + ".so");
  for (const char* const suffix : {".cc", ".o", ".so"}) {
    unlink((path + suffix).c_str());
  }
  rmdir(folder.c_str());
  return compiled ? kSuccess : kCompilation;
}
ACTSERVE_FAKE_EXPORT int nvrtcGetProgramLogSize(void*, size_t* size_bytes) {
  *size_bytes = 1;
  return kSuccess;
}
ACTSERVE_FAKE_EXPORT int nvrtcGetProgramLog(void*, char* log) {
  *log = '\0';
  return kSuccess;
}
ACTSERVE_FAKE_EXPORT int nvrtcGetCUBINSize(void* program, size_t* size_bytes) {
  *size_bytes = static_cast<Program*>(program)->image.size();
  return kSuccess;
}
ACTSERVE_FAKE_EXPORT int nvrtcGetCUBIN(void* opaque, char* cubin) {
  const std::string& image = static_cast<Program*>(opaque)->image;
  image.copy(cubin, image.size());
  return kSuccess;
}
ACTSERVE_FAKE_EXPORT int nvrtcGetPTXSize(void*, size_t* size_bytes) {
  *size_bytes = 1;
  return kSuccess;
}
ACTSERVE_FAKE_EXPORT int nvrtcGetPTX(void*, char* ptx) {
  *ptx = '\0';
  return kSuccess;
}
