// The table of synonyms: other names of the core's functions, written in the
// language.

#ifndef ACTSERVE_KERNELS_LANG_DESUGAR_SYNONYMS_H_
#define ACTSERVE_KERNELS_LANG_DESUGAR_SYNONYMS_H_

#include <string>
#include <string_view>
#include <vector>

#include "kernels/lang/syntax/syntax_tree.h"

namespace actserve {

// One file of spellings/, embedded. `torch.special.py` has the rows of the
// module torch.special: its functions that the language has, each with the
// parameters that it has there, in their order, with their names and defaults.
// `older.torch.special.py` would have rows of its earlier releases, for names
// that cannot be mistaken. `builtins.py` has the names without a prefix,
// `any.py` what no framework's function of that name may do here.
struct SpellingFile {
  std::string_view name;
  std::string_view text;
};

// One row: `def name(parameters): return expression`. The expression uses the
// core only. Rows of one name are tried in order, and the first whose
// parameters fit a call is meant:
//   * A parameter with a default may be left out. None stands for no bound:
//     -inf where the parameter's name contains "min", else inf.
//   * A default that is a string, a truth value or a constant of an enum
//     selects the row: an argument must be the same.
//   * A parameter that the expression does not use takes its default only,
//     unless its name says that it cannot change the value (`name`,
//     `inplace`, `dtype` of a floating-point type, ...).
// A row that returns a string fits every call and refuses it with that
// message.
struct Synonym {
  std::string_view module;
  const SyntaxStmt* def = nullptr;
  const Syntax* expression = nullptr;

  bool refuses() const { return expression->kind == Syntax::Kind::kString; }
};

// A table is what one prefix gives access to. Three are no framework's: names
// without a prefix; x.name(...), whose receiver is the first argument; and
// actserve.name(...), the core alone, whatever the text itself defines.
inline constexpr std::string_view kBuiltinsTable = "builtins";
inline constexpr std::string_view kMethodsTable = "methods";
inline constexpr std::string_view kCoreTable = "actserve";

// The table of a module, "torch.nn.functional"; "" if its functions are not
// known. A module whose import is accepted may still have none.
std::string_view TableOfModule(std::string_view module);

// The rows called `name` in `table`, in order.
std::vector<const Synonym*> FindSynonyms(std::string_view table,
                                         std::string_view name);

// Every row, and every name of `table` that is not refused.
const std::vector<Synonym>& AllSynonyms();
std::vector<std::string> SynonymNames(std::string_view table);

// The frameworks' modules that have a public function `name`, whether or not
// the language has it; in the order of known_names.txt.
std::vector<std::string_view> ModulesThatHave(std::string_view name);

// Returns the module that `alias` means without an import: "numpy" for "np", ""
// if none.
std::string_view DefaultModule(std::string_view alias);

// True if a text may import (parts of) `module`. Nothing is ever executed.
bool IsImportAccepted(std::string_view module);

// True if a function may carry the decorator, given by its full name; it may
// also be applied in a line of its own, f = jax.jit(f).
bool IsDecoratorIgnored(std::string_view name);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_DESUGAR_SYNONYMS_H_
