// The headers that generated texts consist of, embedded: kernels/math and
// text/.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_TEXT_FILES_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_TEXT_FILES_H_

#include <string>
#include <vector>

namespace actserve {

// One embedded header.
struct TextFile {
  const char* path;  // "kernels/math/half.h"
  const char* text;
};

// Returns the file's text without comments, include guards and includes. "" if
// there is no such file.
const std::string& BareText(const std::string& path);

// Returns the headers of kernels/math that define `symbols`
// ("actserve_exp_f32") and the headers these include, each after those it
// needs: paths for BareText(). Ignores a symbol that no header defines; the
// compiler will report it.
std::vector<std::string> MathHeadersFor(
    const std::vector<std::string>& symbols);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_TEXT_FILES_H_
