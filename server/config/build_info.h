#ifndef ACTSERVE_SERVER_CONFIG_BUILD_INFO_H_
#define ACTSERVE_SERVER_CONFIG_BUILD_INFO_H_

#include <string>

#include "absl/strings/string_view.h"

namespace actserve {

// The git commit that this program was built from, as `git describe`
// abbreviates it, with "-modified" if files differed; "unknown" for a build
// outside git.
extern const char kRevision[];

// What --version prints: the version, the revision, and with what it was built.
// `pack` is the file of GPU programs that came with this one; empty: none.
// Several lines, each with its newline.
std::string BuildDescription(absl::string_view pack);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_CONFIG_BUILD_INFO_H_
