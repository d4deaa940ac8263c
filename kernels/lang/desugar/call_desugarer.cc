// The second half of expression_desugarer.h: which function a call means, and
// which argument is which.

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "kernels/base/text.h"
#include "kernels/lang/desugar/expression_desugarer.h"
#include "kernels/lang/expr.h"

namespace actserve {
namespace {

using Kind = Syntax::Kind;

constexpr std::string_view kFloatTypes[] = {
    "float", "float16", "float32", "float64", "bfloat16", "double",
    "half",  "single",  "dtype",   "floatx",  "float_",
};

bool IsWholeLiteral(const Syntax& syntax) {
  if (syntax.kind == Kind::kUnary) return IsWholeLiteral(*syntax.args[0]);
  return syntax.kind == Kind::kNumber && syntax.is_integer;
}

int CountUses(const Syntax& syntax, std::string_view name) {
  int count = syntax.kind == Kind::kName && syntax.text == name;
  const bool is_call = syntax.kind == Kind::kCall;
  for (size_t i = is_call ? 1 : 0; i < syntax.args.size(); ++i) {
    count += CountUses(*syntax.args[i], name);
  }
  return count;
}

// Parameters of frameworks' functions that cannot change a value here.
constexpr std::string_view kWithoutEffect[] = {
    "name",   "inplace",  "dtype", "device",     "requires_grad",
    "layout", "sharding", "shape", "dtype_hint", "memory_format",
};

bool HasNoEffect(std::string_view parameter) {
  return std::find(std::begin(kWithoutEffect), std::end(kWithoutEffect),
                   parameter) != std::end(kWithoutEffect);
}

// True if a default of this kind is one of several values, each with a row.
bool IsOption(const Syntax& default_value) {
  return default_value.kind == Kind::kString ||
         default_value.kind == Kind::kBool ||
         default_value.kind == Kind::kAttribute;
}

// The literal in the form of a text.
std::string Shown(const Syntax& literal) {
  switch (literal.kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return literal.number != 0 ? "True" : "False";
    case Kind::kString:
    case Kind::kAttribute:
      return Quoted(literal.text);
    default:
      return Concat(literal.number);
  }
}

bool IsSameLiteral(const Syntax& a, const Syntax& b) {
  return a.kind == b.kind && a.text == b.text && a.number == b.number;
}

// torch.max(x, 0) reduces over axis 0; torch.max(x, y) does not.
bool IsAxis(const Synonym& synonym, size_t index, const Syntax& value) {
  return synonym.module.starts_with("torch") && index == 1 &&
         (synonym.def->name == "max" || synonym.def->name == "min") &&
         IsWholeLiteral(value);
}

bool IsLeaf(const Expr& expr) {
  return expr.kind == Expr::Kind::kNumber || expr.kind == Expr::Kind::kName ||
         expr.kind == Expr::Kind::kBool;
}

ExprPtr CopyLeaf(const Expr& expr) {
  ExprPtr copy = MakeExpr(expr.kind, expr.position);
  copy->number = expr.number;
  copy->is_integer = expr.is_integer;
  copy->name = expr.name;
  return copy;
}

std::string CountOf(size_t count, std::string_view noun) {
  return Concat(count, " ", noun, count == 1 ? "" : "s");
}

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

ExpressionDesugarer::Parameters ExpressionDesugarer::Parameters::Of(
    const FunctionSignature& signature) {
  Parameters parameters;
  parameters.names = signature.arguments;
  for (const std::optional<double>& value : signature.defaults) {
    parameters.required.push_back(!value.has_value());
    parameters.keyword_only.push_back(false);
  }
  return parameters;
}

ExpressionDesugarer::Parameters ExpressionDesugarer::Parameters::Of(
    const Synonym& synonym) {
  Parameters parameters;
  for (const SyntaxArgument& argument : synonym.def->arguments) {
    parameters.names.push_back(argument.name);
    parameters.required.push_back(argument.default_value == nullptr);
    parameters.keyword_only.push_back(argument.keyword_only);
  }
  return parameters;
}

std::optional<ExpressionDesugarer::Bound> ExpressionDesugarer::Bind(
    const Target& target, const Parameters& parameters,
    std::vector<Given>& given, std::string& problem) {
  const std::vector<std::string>& names = parameters.names;
  Bound bound(names.size(), nullptr);
  const size_t positional = std::find(parameters.keyword_only.begin(),
                                      parameters.keyword_only.end(), true) -
                            parameters.keyword_only.begin();
  size_t next = 0;
  for (Given& argument : given) {
    const bool by_name = !argument.keyword.empty();
    size_t index = next;
    if (by_name) {
      index = std::find(names.begin(), names.end(), argument.keyword) -
              names.begin();
    } else {
      ++next;
    }
    if (index >= (by_name ? bound.size() : positional)) {
      problem = Concat(
          Quoted(target.shown), " takes ",
          by_name ? Concat("no argument named ", Quoted(argument.keyword))
                  : CountOf(positional, "argument"),
          " (", absl::StrJoin(names, ", "), ")",
          by_name ? "" : Concat(", ", given.size(), " are given"));
      return std::nullopt;
    }
    if (bound[index] != nullptr) {
      problem = Concat("argument ", Quoted(names[index]), " of ",
                       Quoted(target.shown), " is given twice");
      return std::nullopt;
    }
    bound[index] = &argument;
  }
  for (size_t i = 0; i < bound.size(); ++i) {
    if (bound[i] != nullptr && bound[i]->syntax != nullptr &&
        bound[i]->syntax->kind == Kind::kNone && !parameters.required[i]) {
      bound[i] = nullptr;
    }
    if (parameters.required[i] && bound[i] == nullptr) {
      problem =
          Concat("argument ", Quoted(names[i]), " of ", Quoted(target.shown),
                 " (", absl::StrJoin(names, ", "), ") is missing");
      return std::nullopt;
    }
  }
  return bound;
}

std::optional<ExpressionDesugarer::Bound> ExpressionDesugarer::BindSynonym(
    const Target& target, const Synonym& synonym, std::vector<Given>& given,
    std::string& problem) const {
  const auto& arguments = synonym.def->arguments;
  std::optional<Bound> bound =
      Bind(target, Parameters::Of(synonym), given, problem);
  if (!bound) return std::nullopt;
  for (size_t i = 0; i < bound->size(); ++i) {
    const Syntax* value =
        (*bound)[i] == nullptr ? nullptr : (*bound)[i]->syntax;
    if (value == nullptr) continue;
    if (IsAxis(synonym, i, *value)) {
      problem = Concat("the second argument of ", Quoted(target.shown),
                       " is an axis");
      return std::nullopt;
    }
    const std::string& name = arguments[i].name;
    const Syntax* fallback = arguments[i].default_value.get();
    if (fallback == nullptr || HasNoEffect(name)) continue;
    const bool is_option = IsOption(*fallback);
    if (!is_option && CountUses(*synonym.expression, name) > 0) continue;
    const bool same =
        fallback->kind == Kind::kBool && value->kind == Kind::kName &&
                scope_.flags.count(value->text) > 0
            ? scope_.flags.find(value->text)->second == (fallback->number != 0)
            : IsSameLiteral(*value, *fallback);
    if (same) continue;
    problem =
        is_option
            ? Concat("argument ", Quoted(name), " of ", Quoted(target.shown),
                     " must be one of the values that it documents")
            : Concat("argument ", Quoted(name), " of ", Quoted(target.shown),
                     " can only be ", Shown(*fallback), " here");
    return std::nullopt;
  }
  return bound;
}

ExprPtr ExpressionDesugarer::Expand(const Target& target,
                                    const Synonym& synonym,
                                    const Bound& bound) {
  Substitution arguments;
  bool shared = false;
  for (size_t i = 0; i < bound.size(); ++i) {
    const SyntaxArgument& parameter = synonym.def->arguments[i];
    if (parameter.name == "dtype" && bound[i] != nullptr) {
      CheckDType(*bound[i]);
      continue;
    }
    const int uses = CountUses(*synonym.expression, parameter.name);
    // The first is looked at even where the value does not depend on it.
    if (uses == 0 && i > 0) continue;
    ExprPtr value;
    if (bound[i] != nullptr) {
      value = Value(*bound[i]);
    } else if (parameter.default_value->kind == Kind::kNone) {
      const double bound_value = std::numeric_limits<double>::infinity();
      const bool lower = parameter.name.find("min") != std::string::npos;
      value = MakeNumber(target.position, lower ? -bound_value : bound_value,
                         false);
    } else if (uses > 0) {
      Substitution none;
      value = Substitute(*parameter.default_value, target.position, none);
    }
    if (uses == 0) continue;
    shared |= uses > 1 && !IsLeaf(*value);
    arguments[parameter.name] = std::move(value);
  }
  if (shared) return CallRow(target, synonym, std::move(arguments));
  return Substitute(*synonym.expression, target.position, arguments);
}

// A row that uses an argument more than once becomes a function of its own, so
// that the argument is computed once.
ExprPtr ExpressionDesugarer::CallRow(const Target& target,
                                     const Synonym& synonym,
                                     Substitution arguments) {
  const auto [it, inserted] = scope_.row_functions.try_emplace(
      &synonym, static_cast<int>(scope_.added.size()));
  if (inserted) {
    Substitution names;
    FunctionDef function;
    for (const auto& [name, value] : arguments) {
      function.arguments.push_back({name, target.position, std::nullopt});
      names[name] = MakeExpr(Expr::Kind::kName, target.position);
      names[name]->name = name;
    }
    Stmt result;
    result.position = target.position;
    result.values.push_back(
        Substitute(*synonym.expression, target.position, names));
    function.body.push_back(std::move(result));
    AddFunction(Concat(synonym.module, ".", synonym.def->name),
                std::move(function), target.position);
  }
  std::vector<ExprPtr> values;
  values.reserve(arguments.size());
  for (auto& [name, value] : arguments) values.push_back(std::move(value));
  return CallAdded(it->second, target.position, std::move(values));
}

// The name is no identifier, so that no text can name the function.
void ExpressionDesugarer::AddFunction(std::string_view name,
                                      FunctionDef function, Position position) {
  function.name = Concat("<", name, ">");
  function.position = position;
  scope_.added.push_back(std::move(function));
}

ExprPtr ExpressionDesugarer::CallAdded(int index, Position position,
                                       std::vector<ExprPtr> values) const {
  ExprPtr call = MakeExpr(Expr::Kind::kCall, position);
  call->name = scope_.added[index].name;
  call->callee = Expr::Callee::kHelper;
  call->helper = static_cast<int>(scope_.signatures.size()) + index;
  call->args = std::move(values);
  return call;
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

ExprPtr ExpressionDesugarer::Substitute(const Syntax& template_syntax,
                                        Position position,
                                        Substitution& arguments) {
  if (template_syntax.kind == Kind::kName) {
    if (auto it = arguments.find(template_syntax.text);
        it != arguments.end() && it->second != nullptr) {
      if (IsLeaf(*it->second)) return CopyLeaf(*it->second);
      return std::move(it->second);
    }
    return MakeNumber(position, FindConstant(template_syntax.text).value_or(0),
                      false);
  }
  std::vector<ExprPtr> args;
  const bool is_call = template_syntax.kind == Kind::kCall;
  for (size_t i = is_call ? 1 : 0; i < template_syntax.args.size(); ++i) {
    args.push_back(Substitute(*template_syntax.args[i], position, arguments));
  }
  if (is_call) {
    return MakeCoreCall(template_syntax.args[0]->text, position,
                        std::move(args));
  }
  if (template_syntax.kind == Kind::kUnary && template_syntax.text == "-") {
    return Negate(std::move(args[0]), position);
  }
  ExprPtr node = CopyNode(template_syntax, position);
  node->args = std::move(args);
  return node;
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

// Types are the request's affair: the name of a floating-point type is read
// and dropped, any other would change the value.
void ExpressionDesugarer::CheckDType(const Given& given) {
  if (given.syntax == nullptr) return;
  const Syntax* syntax = given.syntax;
  if (syntax->kind == Kind::kCall) syntax = syntax->args[0].get();
  for (std::string_view name : kFloatTypes) {
    if (syntax->text == name) return;
  }
  diagnostics_.Error(given.position,
                     "only floating-point types can be named here: write "
                     "trunc(x) for whole numbers, a comparison for booleans");
}

}  // namespace actserve
