#include "kernels/lang/desugar/synonyms.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/lang/diagnostic.h"
#include "kernels/lang/limits.h"

namespace actserve {

// Defined by the generated spelling_data.cc.
extern const SpellingFile kSpellings[];
extern const int kSpellingsSize;

namespace {

// The files whose rows a table has, in the order in which they are tried.
struct Table {
  std::string_view name;
  std::vector<std::string_view> files;
};
const std::vector<Table>& Tables() {
  static const auto* const tables = new std::vector<Table>{
      {kBuiltinsTable, {"builtins"}},
      {kMethodsTable, {"torch.Tensor", "numpy.ndarray", "any"}},
      {kCoreTable, {}},
      {"math", {"math"}},
      {"random", {"random", "any"}},
      {"numpy", {"numpy", "any"}},
      {"scipy.special", {"scipy.special", "any"}},
      // A text of TensorFlow 1 has its names under the same prefix.
      {"tensorflow", {"tensorflow", "tensorflow.v1", "any"}},
      {"tensorflow.math", {"tensorflow.math", "any"}},
      {"tensorflow.nn", {"tensorflow.nn", "any"}},
      {"keras.backend", {"keras.backend", "any"}},
      {"keras.activations",
       {"keras.activations", "older.keras.activations", "any"}},
      {"keras.ops", {"keras.ops", "any"}},
      {"torch", {"torch", "any"}},
      {"torch.nn.functional", {"torch.nn.functional", "any"}},
      {"torch.special", {"torch.special", "any"}},
      {"jax.numpy", {"jax.numpy", "older.jax.numpy", "any"}},
      {"jax.nn", {"jax.nn", "any"}},
      {"jax.lax", {"jax.lax", "any"}},
      {"jax.scipy.special", {"jax.scipy.special", "any"}},
  };
  return *tables;
}

// Modules that are another one's rows under a second name.
struct ModuleAlias {
  std::string_view module;
  std::string_view table;
};
constexpr ModuleAlias kModuleAliases[] = {
    {"cupy", "numpy"},
    {"numpy.random", "random"},
    {"cupy.random", "random"},
    {"tensorflow.random", "random"},
    {"keras.random", "random"},
    {"jax.random", "random"},
    {"cupyx.scipy.special", "scipy.special"},
    {"tensorflow.compat.v1", "tensorflow"},
    {"tensorflow.compat.v2", "tensorflow"},
    {"tensorflow.keras.backend", "keras.backend"},
    {"tensorflow.keras.activations", "keras.activations"},
    {"tensorflow.keras.ops", "keras.ops"},
};

struct Alias {
  std::string_view name;
  std::string_view module;
};
constexpr Alias kAliases[] = {
    {"math", "math"},         {"np", "numpy"},
    {"numpy", "numpy"},       {"cp", "cupy"},
    {"tf", "tensorflow"},     {"tensorflow", "tensorflow"},
    {"K", "keras.backend"},   {"backend", "keras.backend"},
    {"keras", "keras"},       {"torch", "torch"},
    {"th", "torch"},          {"F", "torch.nn.functional"},
    {"nn", "torch.nn"},       {"jnp", "jax.numpy"},
    {"jax", "jax"},           {"lax", "jax.lax"},
    {"actserve", "actserve"}, {"scipy", "scipy"},
    {"sp", "scipy"},          {"random", "random"},
};

// Packages whose imports are read. The last ones are for decorators,
// annotations and sys.float_info only.
constexpr std::string_view kPackages[] = {
    "math",       "numpy",  "cupy",      "scipy",  "tensorflow",
    "keras",      "torch",  "jax",       "sys",    "actserve",
    "__future__", "typing", "functools", "random",
};

constexpr std::string_view kDecorators[] = {
    "actserve.activation",
    "activation",
    "staticmethod",
    "tensorflow.function",
    "torch.jit.script",
    "torch.jit.script_if_tracing",
    "torch.compile",
    "torch.vmap",
    "torch.func.vmap",
    "jax.jit",
    "jax.vmap",
    "numpy.vectorize",
    "jax.numpy.vectorize",
    "functools.cache",
    "functools.lru_cache",
    "keras.saving.register_keras_serializable",
    "keras.utils.register_keras_serializable",
    "tensorflow.keras.utils.register_keras_serializable",
    "tensorflow.keras.saving.register_keras_serializable",
};

// The rows, the trees that they point into, and where each name is.
struct SynonymTable {
  std::vector<std::vector<SyntaxStmt>> files;
  std::vector<Synonym> rows;
  std::map<std::pair<std::string_view, std::string_view>,
           std::vector<const Synonym*>>
      index;  // by file and name
};

constexpr std::string_view kKnownNames = "known_names";

SynonymTable* MakeSynonyms() {
  auto* table = new SynonymTable();
  table->files.reserve(kSpellingsSize);
  for (int i = 0; i < kSpellingsSize; ++i) {
    const SpellingFile& file = kSpellings[i];
    if (file.name == kKnownNames) continue;
    Diagnostics diagnostics(file.text);
    const std::vector<SyntaxStmt>& defs = table->files.emplace_back(
        ParseSyntax(file.text, LanguageLimits(), diagnostics));
    assert(!diagnostics.has_errors());
    for (const SyntaxStmt& def : defs) {
      assert(def.body.size() == 1 && def.body[0].value != nullptr);
      table->rows.push_back({file.name, &def, def.body[0].value.get()});
    }
  }
  for (const Synonym& row : table->rows) {
    table->index[{row.module, row.def->name}].push_back(&row);
  }
  return table;
}

const SynonymTable& Synonyms() {
  static const SynonymTable* const table = MakeSynonyms();
  return *table;
}

const Table* FindTable(std::string_view name) {
  for (const Table& table : Tables()) {
    if (table.name == name) return &table;
  }
  return nullptr;
}

}  // namespace

const std::vector<Synonym>& AllSynonyms() { return Synonyms().rows; }

std::string_view TableOfModule(std::string_view module) {
  for (const ModuleAlias& row : kModuleAliases) {
    if (row.module == module) return row.table;
  }
  const Table* table = FindTable(module);
  return table == nullptr ? "" : table->name;
}

std::vector<const Synonym*> FindSynonyms(std::string_view table,
                                         std::string_view name) {
  std::vector<const Synonym*> found;
  const Table* files = FindTable(table);
  if (files == nullptr) return found;
  const auto& index = Synonyms().index;
  for (std::string_view file : files->files) {
    if (auto it = index.find({file, name}); it != index.end()) {
      found.insert(found.end(), it->second.begin(), it->second.end());
    }
  }
  // A file may refuse what a later one accepts.
  std::stable_partition(found.begin(), found.end(),
                        [](const Synonym* row) { return !row->refuses(); });
  return found;
}

std::vector<std::string> SynonymNames(std::string_view table) {
  std::vector<std::string> names;
  const Table* files = FindTable(table);
  if (files == nullptr) return names;
  for (const Synonym& row : AllSynonyms()) {
    const bool listed = std::find(files->files.begin(), files->files.end(),
                                  row.module) != files->files.end();
    if (listed && !row.refuses()) names.push_back(row.def->name);
  }
  return names;
}

std::vector<std::string_view> ModulesThatHave(std::string_view name) {
  using Index = std::map<std::string_view, std::vector<std::string_view>>;
  static const auto* const index = [] {
    auto* map = new Index();
    for (int i = 0; i < kSpellingsSize; ++i) {
      if (kSpellings[i].name != kKnownNames) continue;
      // Lines of "module: name name ...".
      std::string_view rest = kSpellings[i].text;
      std::string_view module;
      while (!rest.empty()) {
        const size_t end = std::min(rest.find_first_of(" \n"), rest.size());
        const std::string_view word = rest.substr(0, end);
        if (word.ends_with(':')) {
          module = word.substr(0, end - 1);
        } else if (!word.empty()) {
          (*map)[word].push_back(module);
        }
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
    }
    return map;
  }();
  const auto it = index->find(name);
  return it == index->end() ? std::vector<std::string_view>() : it->second;
}

std::string_view DefaultModule(std::string_view alias) {
  for (const Alias& row : kAliases) {
    if (row.name == alias) return row.module;
  }
  return "";
}

bool IsImportAccepted(std::string_view module) {
  const std::string_view package = module.substr(0, module.find('.'));
  for (std::string_view row : kPackages) {
    if (row == package) return true;
  }
  return false;
}

bool IsDecoratorIgnored(std::string_view name) {
  for (std::string_view row : kDecorators) {
    if (row == name) return true;
  }
  return false;
}

}  // namespace actserve
