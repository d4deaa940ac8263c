// The tree of an activation's text, after desugaring.
//
// This is the closed core of the language: no attribute access, no framework's
// spelling, no chained assignment reaches it. desugar.h rewrites what users
// paste (`np.where(...)`, `x.abs()`, `x += 1`), so every later step knows one
// spelling of each thing.

#ifndef ACTSERVE_KERNELS_LANG_AST_H_
#define ACTSERVE_KERNELS_LANG_AST_H_

#include <algorithm>
#include <cstddef>
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

// One expression. `kind` says which members are used.
struct Expr {
  enum class Kind {
    kNumber,       // `number`; `is_integer` if it may count a loop
    kBool,         // `number` is 0 or 1
    kName,         // `name`: an argument or local; constants are kNumber
    kUnary,        // `op` is "-" or "not"; args[0]
    kBinary,       // `op` is one of + - * / // % **; args[0], args[1]
    kCompare,      // args[0] ops[0] args[1] ops[1] args[2] ...; a chain
    kBoolOp,       // `op` is "and" or "or"; two or more args
    kConditional,  // args[0] if args[1] else args[2]
    kCall,         // `callee`, `name`, args
  };
  // The callee of a kCall. All arguments are present, in the callee's order,
  // with defaults filled in. So `tanh(x)` and `math.tanh(x)` inside `def
  // tanh(x)` differ: the first is a kHelper (and refused as recursion), the
  // second a primitive.
  enum class Callee {
    // An op of the graph's op table, with the op's arity; or
    //   clamp(x, lo, hi)  min(max(x, lo), hi), derivative 1 at both bounds
    //   float(c)          1 if c else 0 for a boolean, a number itself
    //   rowmean(x)        rowsum(x) / rowsize(x)
    //   rowmin(x)         -rowmax(-x)
    //   rowprod(x)        the product over the row
    //   rowsorted(x)      the row by falling values
    //   rowcumsum(x)      the sum up to each element, itself included
    //   rowkth(x, k)      the k-th largest of the row, k from 1; 0 if none
    //   rowargmax(x)      1 at the first maximum of the row, 0 elsewhere
    kPrimitive,
    kHelper,   // module.functions[helper]
    kCatalog,  // the built-in activation `name`; inputs, then parameters
  };
  Kind kind = Kind::kNumber;
  Position position;
  double number = 0;
  bool is_integer = false;
  std::string name;
  std::string op;
  std::vector<std::string> ops;  // each one of < <= > >= == !=
  std::vector<ExprPtr> args;
  Callee callee = Callee::kPrimitive;
  int helper = -1;
};

// One statement. `kind` says which members are used.
struct Stmt {
  enum class Kind {
    kAssign,  // targets[i] = values[i], all values read before any is written
    kIf,      // `condition`, `body`, `orelse`
    kReturn,  // values: as many as FunctionDef::num_results
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

// An argument of a function.
struct Argument {
  std::string name;
  Position position;
  // Absent: a tensor input. Present: a parameter with this default.
  std::optional<double> default_value;
};

// One `def` of a text.
struct FunctionDef {
  std::string name;
  Position position;
  std::vector<Argument> arguments;
  std::string docstring;
  std::vector<Stmt> body;
  // The values that it returns: 1, except in a gradient, which returns one for
  // each input of its activation or one for each input and each parameter.
  size_t num_results = 1;
  // In Module::functions, the gradient that the text declares for it: the
  // `def` with `_grad` behind its name. A helper's counts if it takes one input
  // more than the helper, the upstream gradient.
  std::optional<int> gradient;

  // The number of tensor inputs; of a gradient, the upstream gradient too.
  size_t NumInputs() const {
    return std::count_if(arguments.begin(), arguments.end(),
                         [](const Argument& a) { return !a.default_value; });
  }
};

// A whole text. `functions` keeps the order of the text; the activation is
// functions[main], the last `def` that is not its gradient; the others are
// helpers and gradients.
//
// Parse() has checked what needs no types: every name is an argument or is
// assigned on every path before it is read, every path returns, no function
// reaches itself, calls have the arguments that they need. Left to the graph:
// booleans against numbers, and the values of loop bounds.
struct Module {
  std::vector<FunctionDef> functions;
  int main = 0;
  // The gradient of functions[main], or nullptr. Its arguments without default
  // are the activation's tensor inputs in order, under any names, and last the
  // upstream gradient. Those with a default are parameters of the activation,
  // by name.
  const FunctionDef* Gradient() const {
    const std::optional<int>& index = functions[main].gradient;
    return index ? &functions[*index] : nullptr;
  }

  // Numbers bound at registration for names that the text does not define, and
  // numbers that the text assigns at module level. The tree holds their values.
  std::map<std::string, double> constants;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_AST_H_
