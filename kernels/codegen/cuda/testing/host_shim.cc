#include "kernels/codegen/cuda/testing/host_shim.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <cassert>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/codegen/cuda/emit.h"
#include "kernels/codegen/cuda/testing/host_blocks.h"
#include "kernels/codegen/cuda/text_files.h"

namespace actserve::testing {
namespace {

std::string Symbol(int text, KernelEntry entry) {
  return absl::StrCat("call_", text, "_", KernelEntryName(entry));
}

// Every text in a namespace of its own, its entries under names of their own,
// each with a function that takes the argument by address.
std::string Join(const std::vector<std::string>& texts) {
  std::string code =
      absl::StrCat(BareText("kernels/codegen/cuda/text/prelude.h"),
                   "extern \"C\" { ActserveShim actserve_shim; }\n");
  for (size_t t = 0; t < texts.size(); ++t) {
    absl::StrAppend(&code, "namespace text_", t, " {\n");
    for (const KernelEntry entry : kKernelEntries) {
      const char* const name = KernelEntryName(entry);
      absl::StrAppend(&code, "#define ", name, " ", name, "_", t, "\n");
    }
    absl::StrAppend(&code, texts[t]);
    for (const KernelEntry entry : kKernelEntries) {
      const char* const name = KernelEntryName(entry);
      if (absl::StrContains(texts[t], absl::StrCat("\n", name, "("))) {
        absl::StrAppend(&code, "extern \"C\" void ", Symbol(t, entry),
                        "(const void* argument) {\n  ", name,
                        "(*static_cast<const Argument*>(argument));\n}\n");
      }
      absl::StrAppend(&code, "#undef ", name, "\n");
    }
    absl::StrAppend(&code, "}\n");
  }
  return code;
}

bool RunCommand(const std::string& command) {
  return std::system(command.c_str()) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HostModule>> HostModule::Compile(
    const std::vector<LoweredProgram>& programs) {
  std::vector<std::string> texts;
  std::map<std::string, int> numbers;
  TextNumbers text_numbers;
  for (size_t p = 0; p < programs.size(); ++p) {
    const LaunchLayout layout(programs[p]);
    for (const KernelEntry entry : kKernelEntries) {
      if (!layout.has_entry(entry)) continue;
      const std::string text = EmitCuda(programs[p], layout.part(entry));
      const auto [found, is_new] =
          numbers.emplace(text, static_cast<int>(texts.size()));
      if (is_new) texts.push_back(text);
      text_numbers[{static_cast<int>(p), entry}] = found->second;
    }
  }
  std::string directory =
      (std::filesystem::temp_directory_path() / "host_shim_XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) {
    return absl::InternalError(absl::StrCat("cannot create ", directory));
  }
  std::ofstream(directory + "/texts.cc") << Join(texts);
  // Relative names, so that a compiler cache knows the file again.
  const bool compiled = RunCommand(absl::StrCat(
      "cd '", directory, "' && ", ACTSERVE_HOST_COMPILER,
      " -std=c++17 -O1 -march=native -ffp-contract=off -fno-math-errno -fPIC"
      " -w -c texts.cc -o texts.o && ",
      ACTSERVE_HOST_COMPILER, " -shared texts.o -o texts.so"));
  void* const library = compiled ? dlopen((directory + "/texts.so").c_str(),
                                          RTLD_NOW | RTLD_LOCAL)
                                 : nullptr;
  const char* const error = compiled ? dlerror() : "the compiler failed";
  std::filesystem::remove_all(directory);
  if (library == nullptr) {
    return absl::InternalError(absl::StrCat("generated texts: ", error));
  }
  return std::unique_ptr<HostModule>(
      new HostModule(library, std::move(text_numbers)));
}

HostModule::~HostModule() { dlclose(library_); }

void HostModule::Launch(int program, KernelEntry entry,
                        const PackedLaunch& launch) const {
  auto* const shim = static_cast<HostShim*>(dlsym(library_, "actserve_shim"));
  const int text = text_numbers_.at({program, entry});
  const auto kernel = reinterpret_cast<HostKernel>(
      dlsym(library_, Symbol(text, entry).c_str()));
  assert(shim != nullptr && kernel != nullptr);
  RunHostBlocks(shim, kernel, launch.argument.data(),
                static_cast<unsigned>(launch.grid),
                static_cast<unsigned>(launch.block), launch.shared_bytes);
}

}  // namespace actserve::testing
