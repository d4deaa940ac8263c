#ifndef ACTSERVE_KERNELS_LANG_CHECK_H_
#define ACTSERVE_KERNELS_LANG_CHECK_H_

#include "kernels/lang/ast.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/limits.h"

namespace actserve {

// What the core promises beyond its grammar and needs no types.

// Names are assigned on every path before they are read, and every path
// returns. Removes statements that nothing reaches, with a warning.
void CheckFlow(Module& module, Diagnostics& diagnostics);

// No function reaches itself, and functions nest and grow within bounds when
// their helpers are inlined and their loops unrolled.
void CheckCalls(const LanguageLimits& limits, const Module& module,
                Diagnostics& diagnostics);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_CHECK_H_
