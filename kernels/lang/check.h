#ifndef ACTSERVE_KERNELS_LANG_CHECK_H_
#define ACTSERVE_KERNELS_LANG_CHECK_H_

#include "kernels/lang/ast.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/parser.h"

namespace actserve {

// What the core promises beyond its grammar and needs no types: names are
// assigned on every path before they are read, every path returns, no function
// reaches itself, and the helpers, were they inlined, nest and grow within
// bounds. Reports what breaks that, and removes statements that nothing
// reaches (with a warning).
//
// Precondition: `module` came from Desugar() without errors, or the diagnostics
// hold at least one (then what is found here may repeat it).
void CheckModule(const LanguageLimits& limits, Module& module,
                 Diagnostics& diagnostics);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_CHECK_H_
