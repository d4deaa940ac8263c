#include "kernels/codegen/llvm/math_bitcode.h"

// An array of bytes in C++ would take the compiler seconds; the assembler
// copies the file as it is.
asm(R"(
  .pushsection .rodata
  .balign 16
actserve_math_bitcode_begin:
  .incbin ")" ACTSERVE_MATH_BITCODE_FILE R"("
actserve_math_bitcode_end:
  .popsection
)");

extern "C" {
extern const char actserve_math_bitcode_begin[]
    __attribute__((visibility("hidden")));
extern const char actserve_math_bitcode_end[]
    __attribute__((visibility("hidden")));
}

namespace actserve {

std::string_view MathBitcode() {
  return {actserve_math_bitcode_begin,
          static_cast<size_t>(actserve_math_bitcode_end -
                              actserve_math_bitcode_begin)};
}

}  // namespace actserve
