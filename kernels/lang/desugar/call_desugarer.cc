// The second half of expression_desugarer.h: which function a call means, and
// which argument is which.

#include <algorithm>
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

bool Mentions(const Syntax& syntax, std::string_view name) {
  if (syntax.kind == Kind::kName && syntax.text == name) return true;
  return std::any_of(
      syntax.args.begin(), syntax.args.end(),
      [&](const SyntaxPtr& arg) { return Mentions(*arg, name); });
}

// True for each argument without a default.
std::vector<bool> Required(const FunctionSignature& signature) {
  std::vector<bool> required(signature.defaults.size());
  for (size_t i = 0; i < required.size(); ++i) {
    required[i] = !signature.defaults[i].has_value();
  }
  return required;
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
    target.family = FamilyOfModule(module);
    target.name = path.substr(dot + 1);
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
    target.family = kMethod | kTorch;
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
  if (target.family == kBare) {
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
  std::string problem;
  std::string first_problem;
  for (const Synonym* row :
       FindSynonyms(static_cast<Family>(target.family), target.name)) {
    if (row->expression->kind == Kind::kString) {
      return Problem(target.position,
                     Concat(Quoted(target.shown), ": ", row->expression->text));
    }
    if (std::optional<Bound> bound =
            BindSynonym(target, *row, given, problem)) {
      return Expand(target, *row, *bound);
    }
    if (first_problem.empty()) first_problem = problem;
  }
  if (target.family != 0) {
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
      Bind(target, signature.arguments, Required(signature), given, problem);
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
  if (variadic && target.family == kBare && given.size() > 2) {
    return CallVariadic(target, given);
  }
  const FunctionSignature* primitive = FindPrimitive(target.name);
  const FunctionSignature* catalog = FindCatalogSignature(target.name);
  for (const FunctionSignature* signature : {primitive, catalog}) {
    if (signature == nullptr) continue;
    problem.clear();
    std::optional<Bound> bound = Bind(target, signature->arguments,
                                      Required(*signature), given, problem);
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
    call->args.push_back(
        bound[i] != nullptr
            ? Value(*bound[i])
            : MakeNumber(position, signature.defaults[i].value_or(0), false));
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
  if (target.family == 0 && (FindPrimitive(target.name) != nullptr ||
                             FindCatalogSignature(target.name) != nullptr)) {
    return Problem(target.position, Concat(Quoted(target.shown),
                                           " is not available here: "
                                           "write ",
                                           target.name, "(...)"));
  }
  std::vector<std::string> known = CoreNames();
  const std::vector<std::string> synonyms = SynonymNames(
      static_cast<Family>(target.family == 0 ? kBare : target.family));
  known.insert(known.end(), synonyms.begin(), synonyms.end());
  if (target.family == kBare) {
    for (const auto& [name, index] : scope_.functions) known.push_back(name);
  }
  const std::string suggestion = Suggestion(target.name, known);
  return Problem(target.position,
                 Concat(Quoted(target.shown),
                        target.family == kBare ? " is not a known function"
                                               : " is not available here",
                        suggestion));
}

std::optional<ExpressionDesugarer::Bound> ExpressionDesugarer::Bind(
    const Target& target, const std::vector<std::string>& parameters,
    const std::vector<bool>& required, std::vector<Given>& given,
    std::string& problem) {
  Bound bound(parameters.size(), nullptr);
  size_t next = 0;
  for (Given& argument : given) {
    size_t index = next;
    if (argument.keyword.empty()) {
      ++next;
    } else {
      const auto it =
          std::find(parameters.begin(), parameters.end(), argument.keyword);
      index = it - parameters.begin();
    }
    if (index >= bound.size()) {
      const bool by_name = !argument.keyword.empty();
      problem = Concat(
          Quoted(target.shown), " takes ",
          by_name ? Concat("no argument named ", Quoted(argument.keyword))
                  : CountOf(parameters.size(), "argument"),
          " (", absl::StrJoin(parameters, ", "), ")",
          by_name ? "" : Concat(", ", given.size(), " are given"));
      return std::nullopt;
    }
    if (bound[index] != nullptr) {
      problem = Concat("argument ", Quoted(parameters[index]), " of ",
                       Quoted(target.shown), " is given twice");
      return std::nullopt;
    }
    bound[index] = &argument;
  }
  for (size_t i = 0; i < bound.size(); ++i) {
    if (bound[i] != nullptr && bound[i]->syntax != nullptr &&
        bound[i]->syntax->kind == Kind::kNone && !required[i]) {
      bound[i] = nullptr;
    }
    if (required[i] && bound[i] == nullptr) {
      problem = Concat("argument ", Quoted(parameters[i]), " of ",
                       Quoted(target.shown), " (",
                       absl::StrJoin(parameters, ", "), ") is missing");
      return std::nullopt;
    }
  }
  return bound;
}

std::optional<ExpressionDesugarer::Bound> ExpressionDesugarer::BindSynonym(
    const Target& target, const Synonym& synonym, std::vector<Given>& given,
    std::string& problem) {
  const auto& arguments = synonym.def->arguments;
  std::vector<std::string> parameters;
  std::vector<bool> required;
  for (const SyntaxArgument& argument : arguments) {
    parameters.push_back(argument.name);
    required.push_back(argument.default_value == nullptr);
  }
  std::optional<Bound> bound =
      Bind(target, parameters, required, given, problem);
  if (!bound) return std::nullopt;
  for (size_t i = 0; i < bound->size(); ++i) {
    const Syntax* value =
        (*bound)[i] == nullptr ? nullptr : (*bound)[i]->syntax;
    if (value == nullptr) continue;
    if (parameters[i] == "not_axis" && IsWholeLiteral(*value)) {
      problem = Concat("the second argument of ", Quoted(target.shown),
                       " is an axis");
      return std::nullopt;
    }
    const Syntax* option = arguments[i].default_value.get();
    if (option == nullptr ||
        (option->kind != Kind::kString && option->kind != Kind::kBool)) {
      continue;
    }
    if (value->kind != option->kind || value->text != option->text ||
        value->number != option->number) {
      problem = Concat("argument ", Quoted(parameters[i]), " of ",
                       Quoted(target.shown),
                       " must be one of the values that it documents");
      return std::nullopt;
    }
  }
  return bound;
}

ExprPtr ExpressionDesugarer::Expand(const Target& target,
                                    const Synonym& synonym,
                                    const Bound& bound) {
  Substitution arguments;
  for (size_t i = 0; i < bound.size(); ++i) {
    const SyntaxArgument& parameter = synonym.def->arguments[i];
    if (parameter.name == "dtype" && bound[i] != nullptr) {
      CheckDType(*bound[i]);
      continue;
    }
    const Syntax* fallback = parameter.default_value.get();
    if (bound[i] == nullptr) {
      Substitution none;
      if (fallback->kind == Kind::kString) continue;
      arguments[parameter.name] = Substitute(*fallback, target.position, none);
      continue;
    }
    const bool used = i == 0 || Mentions(*synonym.expression, parameter.name);
    if (used) arguments[parameter.name] = Value(*bound[i]);
  }
  return Substitute(*synonym.expression, target.position, arguments);
}

ExprPtr ExpressionDesugarer::Substitute(const Syntax& template_syntax,
                                        Position position,
                                        Substitution& arguments) {
  if (template_syntax.kind == Kind::kName) {
    if (auto it = arguments.find(template_syntax.text);
        it != arguments.end() && it->second != nullptr) {
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
