// The tree of an activation's text, after desugaring.
//
// This is the closed core of the language: no attribute access, no framework's
// spelling, no chained assignment reaches it. What users paste
// (`np.where(...)`, `x.abs()`, `x += 1`) is rewritten to it by desugar.h, so
// everything behind this header knows one spelling of each thing.

#ifndef ACTSERVE_KERNELS_LANG_AST_H_
#define ACTSERVE_KERNELS_LANG_AST_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/lang/diagnostic.h"

namespace actserve {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

// One expression. Which members mean something depends on `kind`.
struct Expr {
  enum class Kind {
    kNumber,       // `number`; `is_integer` if written without '.' or exponent
    kBool,         // `number` is 0 or 1
    kName,         // `name`
    kUnary,        // `op` is "-" or "not"; args[0]
    kBinary,       // `op` is one of + - * / // % **; args[0], args[1]
    kCompare,      // args[0] ops[0] args[1] ops[1] args[2] ...; a chain
    kBoolOp,       // `op` is "and" or "or"; two or more args
    kConditional,  // args[0] if args[1] else args[2]
    kCall,         // `name` is a primitive, helper or catalogue activation
  };
  Kind kind = Kind::kNumber;
  Position position;
  double number = 0;
  bool is_integer = false;
  std::string name;
  std::string op;
  std::vector<std::string> ops;  // each one of < <= > >= == !=
  std::vector<ExprPtr> args;
  std::vector<std::pair<std::string, ExprPtr>> keywords;  // kCall only
};

// One statement. Which members mean something depends on `kind`.
struct Stmt {
  enum class Kind {
    kAssign,  // targets[i] = values[i], all values read before any is written
    kIf,      // `condition`, `body`, `orelse`
    kReturn,  // values: one, or several for a gradient that returns a tuple
    kFor,     // for targets[0] in range(values...): `body`
  };
  Kind kind = Kind::kReturn;
  Position position;
  std::vector<std::string> targets;
  std::vector<ExprPtr> values;  // kFor: start, stop, step, always three
  ExprPtr condition;
  std::vector<Stmt> body;
  std::vector<Stmt> orelse;
};

struct Argument {
  std::string name;
  Position position;
  // Absent: a tensor input. Present: a parameter with this default.
  std::optional<double> default_value;
};

struct FunctionDef {
  std::string name;
  Position position;
  std::vector<Argument> arguments;
  std::string docstring;
  std::vector<Stmt> body;
};

// A whole text. `functions` keeps the order of the text; the activation is
// functions[main]; its gradient, if the text declares `<name>_grad`, is
// functions[*gradient]; the others are helpers.
struct Module {
  std::vector<FunctionDef> functions;
  int main = 0;
  std::optional<int> gradient;
  // Numbers that the text uses from outside, bound at registration, and
  // module-level numeric assignments of the text itself.
  std::map<std::string, double> constants;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_AST_H_
