// The table of synonyms: other names of the core's functions, written in the
// language.

#ifndef ACTSERVE_KERNELS_LANG_DESUGAR_SYNONYMS_H_
#define ACTSERVE_KERNELS_LANG_DESUGAR_SYNONYMS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/lang/syntax/syntax_tree.h"

namespace actserve {

// The framework that defines a spelling: `abs(x)`, `np.abs(x)`, `x.abs()`.
enum Family : uint32_t {
  kBare = 1 << 0,    // no prefix
  kMath = 1 << 1,    // math
  kNumpy = 1 << 2,   // np, numpy, cp
  kTf = 1 << 3,      // tf, tf.math, tf.nn
  kKeras = 1 << 4,   // K, keras.activations, tf.keras.backend, ...
  kTorch = 1 << 5,   // torch, torch.nn.functional, F
  kJax = 1 << 6,     // jnp, jax.nn
  kLax = 1 << 7,     // lax, jax.lax: max(x, y) is elementwise there
  kMethod = 1 << 8,  // x.name(...); the receiver is the first argument
};

// One row: `def name(parameters): return expression`. The expression uses the
// core only, and no parameter twice. Parameters with a default may be left
// out; one whose default is a string or a truth value selects the row by its
// value; one after the first that the expression does not use is ignored. A
// row that returns a string fits every call and refuses it with that message.
struct Synonym {
  uint32_t families = 0;
  const SyntaxStmt* def = nullptr;
  const Syntax* expression = nullptr;
};

// The rows called `name` in `family`, in the order of the table; the first
// whose parameters fit a call is the one meant.
std::vector<const Synonym*> FindSynonyms(Family family, std::string_view name);

// Every row, and every name of `family` that is not refused.
const std::vector<Synonym>& AllSynonyms();
std::vector<std::string> SynonymNames(Family family);

// The family of a module, "torch.nn.functional"; 0 if its functions are not
// known. A module whose import is accepted may still have none.
uint32_t FamilyOfModule(std::string_view module);

// Returns the module that `alias` means without an import: "numpy" for "np", ""
// if none.
std::string_view DefaultModule(std::string_view alias);

// True if a text may import (parts of) `module`. Nothing is ever executed.
bool IsImportAccepted(std::string_view module);

// True if a function may carry the decorator, given by its full name.
bool IsDecoratorIgnored(std::string_view name);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_DESUGAR_SYNONYMS_H_
