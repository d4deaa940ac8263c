// The tree of a text as it is written, before desugaring: attributes, methods,
// imports and keyword arguments are still there. Private to this folder; what
// other folders see is ast.h.

#ifndef ACTSERVE_KERNELS_LANG_SYNTAX_SYNTAX_TREE_H_
#define ACTSERVE_KERNELS_LANG_SYNTAX_SYNTAX_TREE_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/lang/diagnostic.h"
#include "kernels/lang/limits.h"

namespace actserve {

struct Syntax;
using SyntaxPtr = std::unique_ptr<Syntax>;

// One expression.
struct Syntax {
  enum class Kind {
    kNumber,  // `number`, `is_integer`
    kBool,    // `number` is 0 or 1
    kNone,
    kString,       // `text`
    kName,         // `text`
    kAttribute,    // args[0].text
    kCall,         // args[0](args[1], ..., keywords)
    kUnary,        // `text` is "-", "+" or "not"; args[0]
    kBinary,       // `text` is one of + - * / // % **
    kCompare,      // args[0] ops[0] args[1] ...
    kBoolOp,       // `text` is "and" or "or"
    kConditional,  // args[0] if args[1] else args[2]
    kTuple,
    kList,
    kError,  // something that is not supported; already reported
  };
  Kind kind = Kind::kError;
  Position position;
  // The longest path down to a leaf. Bounded by LanguageLimits::depth.
  int height = 1;
  double number = 0;
  bool is_integer = false;
  std::string text;
  std::vector<std::string> ops;
  std::vector<SyntaxPtr> args;
  std::vector<std::pair<std::string, SyntaxPtr>> keywords;
};

// An argument in a `def`.
struct SyntaxArgument {
  std::string name;
  Position position;
  SyntaxPtr default_value;  // nullptr: none
  bool keyword_only = false;
};

// One name that an import binds.
struct SyntaxImport {
  std::string module;  // dotted; "math" or "torch.nn.functional"
  std::string name;    // `from module import name`; empty: `import module`
  std::string alias;   // the name that it binds
  Position position;
};

// One statement.
struct SyntaxStmt {
  enum class Kind {
    kAssign,     // targets[0] = targets[1] = ... = value
    kAugmented,  // targets[0] `op`= value
    kIf,         // value: the condition
    kFor,        // for targets[0] in value
    kReturn,     // value, or nullptr
    kExpression,
    kPass,
    kImport,
    kDef,
    kSkipped,  // not supported; already reported
  };
  Kind kind = Kind::kPass;
  Position position;
  std::vector<SyntaxPtr> targets;
  SyntaxPtr value;
  std::string op;
  std::vector<SyntaxStmt> body;
  std::vector<SyntaxStmt> orelse;
  std::vector<SyntaxImport> imports;
  // kDef.
  std::string name;
  Position name_position;
  std::vector<SyntaxArgument> arguments;
  bool arguments_unknown = false;  // they could not be read; reported
  std::vector<std::pair<std::string, Position>> decorators;  // dotted names
};

// Parses Python's grammar as far as the language goes and names what is
// beyond it. Always returns what could be read, so that the stages behind
// find the text's other errors. Recurses, and builds trees, no deeper than
// `limits.depth`.
std::vector<SyntaxStmt> ParseSyntax(std::string_view text,
                                    const LanguageLimits& limits,
                                    Diagnostics& diagnostics);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_SYNTAX_SYNTAX_TREE_H_
