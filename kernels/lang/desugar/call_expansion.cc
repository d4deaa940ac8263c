// Part of expression_desugarer.h: which argument of a call is which, and what
// the call of a row of the spellings becomes.

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

// What to do instead of naming the axis of rows in a text.
std::string AxisAdvice(std::string_view keyword) {
  if (keyword != "axis" && keyword != "dim") return "";
  return Concat(": leave ", keyword,
                " out, each request names the axis along which rows run");
}

}  // namespace

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
          by_name ? AxisAdvice(argument.keyword)
                  : Concat(", ", given.size(), " are given"));
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
