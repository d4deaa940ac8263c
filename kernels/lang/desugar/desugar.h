#ifndef ACTSERVE_KERNELS_LANG_DESUGAR_DESUGAR_H_
#define ACTSERVE_KERNELS_LANG_DESUGAR_DESUGAR_H_

#include <map>
#include <string>
#include <vector>

#include "kernels/lang/ast.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/limits.h"
#include "kernels/lang/syntax/syntax_tree.h"

namespace actserve {

// Rewrites a text's tree to the core of ast.h: resolves names, imports and
// synonyms, evaluates defaults and module-level numbers, finds the activation
// and its gradient, and splits augmented and chained assignments. Reports
// everything that is wrong; the module is complete only if nothing is.
Module Desugar(const std::vector<SyntaxStmt>& text,
               const std::map<std::string, double>& constants,
               const LanguageLimits& limits, Diagnostics& diagnostics);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_DESUGAR_DESUGAR_H_
