#include "server/config/build_info.h"

#include "absl/strings/str_cat.h"
#include "server/config/version.h"

namespace actserve {
namespace {

constexpr char kCompiler[] =
#ifdef __clang__
    "Clang " __clang_version__;
#else
    "GCC " __VERSION__;
#endif

}  // namespace

std::string BuildDescription(absl::string_view pack) {
  return absl::StrCat(
      "actserved ", kVersion, "\nrevision: ", kRevision,
      "\ncompiler: ", kCompiler, "\ngRPC: ", ACTSERVE_GRPC_VERSION,
      "\nLLVM: ", ACTSERVE_LLVM_VERSION,
      "\nCUDA: driver and NVRTC are opened when it starts; built-ins ",
      pack.empty() ? "are not precompiled"
                   : absl::StrCat("are precompiled in ", pack),
      "\n");
}

}  // namespace actserve
