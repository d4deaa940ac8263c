// Part of expression_desugarer.h: which function a call means.

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "kernels/base/text.h"
#include "kernels/lang/desugar/expression_desugarer.h"
#include "kernels/lang/expr.h"

namespace actserve {
namespace {

using Kind = Syntax::Kind;

}  // namespace

ExprPtr ExpressionDesugarer::DesugarFloatOfString(const Syntax& syntax) {
  std::string value = absl::AsciiStrToLower(syntax.args[1]->text);
  const bool negative = value.starts_with("-");
  if (negative || value.starts_with("+")) value.erase(0, 1);
  if (value == "infinity") value = "inf";
  if (value != "inf" && value != "nan") {
    return Problem(syntax.args[1]->position,
                   "float() of a string takes only 'inf', '-inf' and 'nan'");
  }
  const double number = *FindConstant(value);
  return MakeNumber(syntax.position, negative ? -number : number, false);
}

ExprPtr ExpressionDesugarer::DesugarCall(const Syntax& syntax) {
  const Syntax& callee = *syntax.args[0];
  Target target;
  target.position = syntax.position;
  target.shown = Dotted(callee);
  std::vector<Given> given;
  const std::string path = target.shown.empty() ? "" : FullName(target.shown);
  if (!path.empty()) {
    const size_t dot = path.rfind('.');
    const std::string module =
        dot == std::string::npos ? "" : path.substr(0, dot);
    target.table = TableOfModule(module);
    target.name = path.substr(dot + 1);
    if (ExprPtr polynomial = DesugarPolynomial(syntax, target)) {
      return polynomial;
    }
  } else if (callee.kind == Kind::kName) {
    target.name = callee.text;
    if (target.name == "float" && syntax.args.size() == 2 &&
        syntax.args[1]->kind == Kind::kString) {
      return DesugarFloatOfString(syntax);
    }
  } else if (target.shown.starts_with("self.")) {
    return Problem(syntax.position,
                   Concat(Quoted(target.shown),
                          " is not defined in this text: write a function, "
                          "not a method"));
  } else if (callee.kind == Kind::kAttribute) {
    target.table = kMethodsTable;
    target.name = callee.text;
    target.shown = Concat(".", callee.text);
    Given receiver;
    receiver.value = Desugar(*callee.args[0]);
    receiver.position = callee.args[0]->position;
    given.push_back(std::move(receiver));
  } else {
    if (callee.kind == Kind::kError) return Desugar(callee);
    return Problem(syntax.position,
                   "only a named function can be called: F.relu(x), not "
                   "nn.ReLU()(x)");
  }
  for (size_t i = 1; i < syntax.args.size(); ++i) {
    given.push_back(
        {"", syntax.args[i].get(), nullptr, syntax.args[i]->position});
  }
  for (const auto& [keyword, value] : syntax.keywords) {
    given.push_back({keyword, value.get(), nullptr, value->position});
  }
  return Call(target, given);
}

ExprPtr ExpressionDesugarer::Call(const Target& target,
                                  std::vector<Given>& given) {
  const bool bare = target.table == kBuiltinsTable;
  if (bare) {
    if (scope_.locals.count(target.name) > 0) {
      return Problem(target.position,
                     Concat(Quoted(target.name),
                            " is a number here and cannot be called"));
    }
    if (auto it = scope_.functions.find(target.name);
        it != scope_.functions.end()) {
      return CallHelper(it->second, target, given);
    }
  }
  // The longest of the rows that do not fit says the most.
  std::string problem;
  std::string first_problem;
  size_t longest = 0;
  for (const Synonym* row : FindSynonyms(target.table, target.name)) {
    if (row->refuses()) {
      return Problem(target.position,
                     Concat(Quoted(target.shown), ": ", row->expression->text));
    }
    if (std::optional<Bound> bound =
            BindSynonym(target, *row, given, problem)) {
      return Expand(target, *row, *bound);
    }
    if (row->def->arguments.size() > longest) {
      longest = row->def->arguments.size();
      first_problem = problem;
    }
    if (first_problem.empty()) first_problem = problem;
  }
  if (bare || target.table == kCoreTable) {
    if (ExprPtr call = CallCore(target, given, problem)) return call;
  }
  if (first_problem.empty()) first_problem = problem;
  if (first_problem.empty()) return UnknownFunction(target, given);
  Inspect(given);
  return Problem(target.position, first_problem);
}

ExprPtr ExpressionDesugarer::CallHelper(int helper, const Target& target,
                                        std::vector<Given>& given) {
  const FunctionSignature& signature = scope_.signatures[helper];
  std::string problem;
  std::optional<Bound> bound =
      Bind(target, Parameters::Of(signature), given, problem);
  if (!bound) {
    Inspect(given);
    return Problem(target.position, problem);
  }
  ExprPtr call =
      CallSignature(signature, Expr::Callee::kHelper, target.position, *bound);
  call->helper = helper;
  return call;
}

ExprPtr ExpressionDesugarer::CallCore(const Target& target,
                                      std::vector<Given>& given,
                                      std::string& problem) {
  const bool variadic = target.name == "max" || target.name == "min";
  if (variadic && given.size() > 2) {
    return CallVariadic(target, given);
  }
  const FunctionSignature* primitive = FindPrimitive(target.name);
  const FunctionSignature* catalog = FindCatalogSignature(target.name);
  for (const FunctionSignature* signature : {primitive, catalog}) {
    if (signature == nullptr) continue;
    problem.clear();
    std::optional<Bound> bound =
        Bind(target, Parameters::Of(*signature), given, problem);
    if (!bound) continue;
    return CallSignature(*signature,
                         signature == primitive ? Expr::Callee::kPrimitive
                                                : Expr::Callee::kCatalog,
                         target.position, *bound);
  }
  return nullptr;
}

// max(a, b, c) is max(max(a, b), c).
ExprPtr ExpressionDesugarer::CallVariadic(const Target& target,
                                          std::vector<Given>& given) {
  ExprPtr result;
  for (Given& argument : given) {
    if (!argument.keyword.empty()) {
      return Problem(argument.position,
                     Concat(Quoted(target.name), " takes no argument named ",
                            Quoted(argument.keyword)));
    }
    ExprPtr value = Value(argument);
    if (result == nullptr) {
      result = std::move(value);
      continue;
    }
    ExprPtr call = MakeExpr(Expr::Kind::kCall, target.position);
    call->name = target.name;
    call->args.push_back(std::move(result));
    call->args.push_back(std::move(value));
    result = std::move(call);
  }
  return result;
}

ExprPtr ExpressionDesugarer::CallSignature(const FunctionSignature& signature,
                                           Expr::Callee callee,
                                           Position position,
                                           const Bound& bound) {
  ExprPtr call = MakeExpr(Expr::Kind::kCall, position);
  call->name = signature.name;
  call->callee = callee;
  for (size_t i = 0; i < bound.size(); ++i) {
    ExprPtr value =
        bound[i] != nullptr
            ? Value(*bound[i])
            : MakeNumber(position, signature.defaults[i].value_or(0), false);
    if (bound[i] == nullptr &&
        signature.flags.count(signature.arguments[i]) > 0) {
      value->kind = Expr::Kind::kBool;
    }
    call->args.push_back(std::move(value));
  }
  return call;
}

ExprPtr ExpressionDesugarer::UnknownFunction(const Target& target,
                                             std::vector<Given>& given) {
  Inspect(given);
  if (target.shown.size() > 1 && target.shown[0] == '.' &&
      target.name.ends_with("_")) {
    return Problem(target.position,
                   Concat(Quoted(target.shown),
                          " changes its operand in place: assign the "
                          "result instead, x = x",
                          target.shown.substr(
                              0, std::min<size_t>(target.shown.size() - 1, 64)),
                          "(...)"));
  }
  const bool bare = target.table == kBuiltinsTable;
  // A built-in of a name that no framework has (sine) is a function of its own.
  const bool in_core = FindPrimitive(target.name) != nullptr ||
                       (FindCatalogSignature(target.name) != nullptr &&
                        !ModulesThatHave(target.name).empty());
  if (!bare && in_core) {
    return Problem(target.position, Concat(Quoted(target.shown),
                                           " is not available here: write ",
                                           target.name, "(...)"));
  }
  if (const std::string known = KnownFunction(target); !known.empty()) {
    return Problem(target.position, known);
  }
  std::vector<std::string> known = SynonymNames(
      bare || target.table.empty() ? kBuiltinsTable : target.table);
  if (bare || target.table.empty()) {
    known.insert(known.end(), CoreNames().begin(), CoreNames().end());
  }
  if (bare) {
    for (const auto& [name, index] : scope_.functions) known.push_back(name);
  }
  const std::string suggestion = Suggestion(target.name, known);
  return Problem(target.position, Concat(Quoted(target.shown),
                                         bare ? " is not a known function"
                                              : " is not available here",
                                         suggestion));
}

// Returns the message for a function that a framework has and the language
// lacks, or has under another prefix; "" if no framework has it.
std::string ExpressionDesugarer::KnownFunction(const Target& target) const {
  const std::vector<std::string_view> modules = ModulesThatHave(target.name);
  if (modules.empty()) return "";
  const bool bare = target.table == kBuiltinsTable;
  const std::string_view verdict =
      bare ? " is not a known function" : " is not available here";
  const auto instead = [&](std::string_view prefix) {
    return Concat(Quoted(target.shown), verdict, ": write ", prefix,
                  target.name, "(...)");
  };
  // A function of this very module is another one than its namesakes.
  const bool its_own =
      std::any_of(modules.begin(), modules.end(), [&](std::string_view module) {
        return module == target.table ||
               (target.table == kMethodsTable && module == "torch.Tensor");
      });
  if (!its_own && !FindSynonyms(kBuiltinsTable, target.name).empty()) {
    return instead("");
  }
  for (std::string_view module : modules) {
    const auto rows = FindSynonyms(TableOfModule(module), target.name);
    if (rows.empty()) continue;
    if (rows[0]->refuses()) {
      return Concat(Quoted(target.shown), ": ", rows[0]->expression->text);
    }
    if (!its_own) return instead(Concat(module, "."));
  }
  return Concat(Quoted(target.shown), " is not available here",
                its_own ? "" : Concat(" (", modules[0], " has it)"),
                ": write its formula for one element with the functions of "
                "the language");
}

// polyval([a, b, c], x) is (a * x + b) * x + c. Returns nullptr if `target` is
// no such function.
ExprPtr ExpressionDesugarer::DesugarPolynomial(const Syntax& syntax,
                                               const Target& target) {
  const bool tensorflow = target.table == "tensorflow.math";
  if (target.name != "polyval" ||
      (!tensorflow && target.table != "numpy" && target.table != "jax.numpy")) {
    return nullptr;
  }
  const Syntax* coefficients = nullptr;
  const Syntax* x = nullptr;
  size_t num_given = syntax.args.size() - 1;
  if (num_given > 0) coefficients = syntax.args[1].get();
  if (num_given > 1) x = syntax.args[2].get();
  for (const auto& [keyword, value] : syntax.keywords) {
    if (keyword == "name" || keyword == "unroll") continue;
    ++num_given;
    if (keyword == "x") x = value.get();
    if (keyword == "p" || keyword == "coeffs") coefficients = value.get();
  }
  if (num_given != 2 || coefficients == nullptr || x == nullptr) {
    return Problem(
        target.position,
        Concat(Quoted(target.shown), " takes a list of coefficients and x"));
  }
  if (coefficients->kind == Kind::kName) {
    const auto it = scope_.lists.find(coefficients->text);
    if (it != scope_.lists.end()) coefficients = it->second;
  }
  if (coefficients->kind == Kind::kError) return Desugar(*x);
  if ((coefficients->kind != Kind::kList &&
       coefficients->kind != Kind::kTuple) ||
      coefficients->args.empty()) {
    return Problem(coefficients->position,
                   Concat("the first argument of ", Quoted(target.shown),
                          " must be a list of its coefficients"));
  }
  FunctionDef function;
  std::vector<ExprPtr> values;
  const auto argument = [&](std::string name) {
    ExprPtr node = MakeExpr(Expr::Kind::kName, target.position);
    node->name = std::move(name);
    return node;
  };
  const auto binary = [&](std::string_view op, ExprPtr a, ExprPtr b) {
    ExprPtr node = MakeExpr(Expr::Kind::kBinary, target.position);
    node->op = std::string(op);
    node->args.push_back(std::move(a));
    node->args.push_back(std::move(b));
    return node;
  };
  const auto assign = [&](ExprPtr value, Stmt::Kind kind) {
    Stmt statement;
    statement.kind = kind;
    statement.position = target.position;
    if (kind == Stmt::Kind::kAssign) statement.targets.push_back("y");
    statement.values.push_back(std::move(value));
    function.body.push_back(std::move(statement));
  };
  function.arguments.push_back({"x", target.position, std::nullopt});
  values.push_back(Desugar(*x));
  // NumPy and JAX begin with y = 0, which matters at inf: 0 * inf is NaN.
  if (!tensorflow) {
    assign(MakeNumber(target.position, 0, false), Stmt::Kind::kAssign);
  }
  for (size_t i = 0; i < coefficients->args.size(); ++i) {
    const std::string name = Concat("c", i);
    function.arguments.push_back({name, target.position, std::nullopt});
    values.push_back(Desugar(*coefficients->args[i]));
    assign(i == 0 && tensorflow
               ? argument(name)
               : binary("+", binary("*", argument("y"), argument("x")),
                        argument(name)),
           Stmt::Kind::kAssign);
  }
  assign(argument("y"), Stmt::Kind::kReturn);
  AddFunction(target.name, std::move(function), target.position);
  return CallAdded(static_cast<int>(scope_.added.size()) - 1, target.position,
                   std::move(values));
}

// Reports what is wrong inside the arguments of a call that is wrong itself.
void ExpressionDesugarer::Inspect(std::vector<Given>& given) {
  for (Given& argument : given) {
    if (argument.syntax == nullptr || argument.syntax->kind == Kind::kString ||
        argument.syntax->kind == Kind::kNone) {
      continue;  // These are wrong only as numbers.
    }
    Value(argument);
  }
}

ExprPtr ExpressionDesugarer::Value(Given& given) {
  if (given.value != nullptr) return std::move(given.value);
  if (given.syntax == nullptr) return MakeNumber(given.position, 0, false);
  return Desugar(*given.syntax);
}

}  // namespace actserve
