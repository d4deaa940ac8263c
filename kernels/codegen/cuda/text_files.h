// The headers that generated texts are made of, embedded: kernels/math, and
// prelude.h and skeleton.h of text/.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_TEXT_FILES_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_TEXT_FILES_H_

#include <string>
#include <vector>

namespace actserve {

struct TextFile {
  const char* path;  // "kernels/math/half.h"
  const char* text;
};

// The file's text without what a compiler does not need: comments, include
// guards and includes. "" if there is no such file.
const std::string& BareText(const std::string& path);

// The headers of kernels/math that define `symbols` ("actserve_exp_f32") and
// what they include, each after what it needs: paths for BareText(). A symbol
// that none defines is passed over, and the compiler will say so.
std::vector<std::string> MathHeadersFor(
    const std::vector<std::string>& symbols);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_TEXT_FILES_H_
