#ifndef ACTSERVE_KERNELS_LANG_CHECK_H_
#define ACTSERVE_KERNELS_LANG_CHECK_H_

#include "kernels/lang/ast.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/limits.h"

namespace actserve {

// Checks of the core that need no types. CheckFlow() also removes statements.

// Checks that names are assigned on every path before they are read, and that
// every path returns. Removes unreachable statements, with a warning.
void CheckFlow(Module& module, Diagnostics& diagnostics);

// Checks that no function calls itself, directly or through others, and that
// functions stay within `limits` when their helpers are inlined and their loops
// unrolled.
void CheckCalls(const LanguageLimits& limits, const Module& module,
                Diagnostics& diagnostics);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_CHECK_H_
