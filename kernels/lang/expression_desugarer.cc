#include "kernels/lang/expression_desugarer.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "kernels/lang/text.h"

namespace actserve {
namespace {

using Kind = Syntax::Kind;

constexpr std::string_view kFloatTypes[] = {
    "float", "float16", "float32", "float64", "bfloat16", "double",
    "half",  "single",  "dtype",   "floatx",  "float_",
};

Expr::Kind CoreKind(Kind kind) {
  switch (kind) {
    case Kind::kNumber:
      return Expr::Kind::kNumber;
    case Kind::kBool:
      return Expr::Kind::kBool;
    case Kind::kUnary:
      return Expr::Kind::kUnary;
    case Kind::kBinary:
      return Expr::Kind::kBinary;
    case Kind::kCompare:
      return Expr::Kind::kCompare;
    case Kind::kBoolOp:
      return Expr::Kind::kBoolOp;
    default:
      return Expr::Kind::kConditional;
  }
}

// The node of `syntax`, which means the same in the core; without children.
ExprPtr CopyNode(const Syntax& syntax, Position position) {
  ExprPtr node = MakeExpr(CoreKind(syntax.kind), position);
  node->number = syntax.number;
  node->is_integer = syntax.is_integer;
  node->op = syntax.text;
  node->ops = syntax.ops;
  return node;
}

bool IsWhole(double value) {
  return std::isfinite(value) && value == std::trunc(value);
}

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

std::string CountOf(size_t count, std::string_view noun) {
  return Concat(count, " ", noun, count == 1 ? "" : "s");
}

// The negative of a number is a number, so that -0.5 and a constant of that
// value are the same tree. Whole numbers have no negative zero.
ExprPtr Negate(ExprPtr operand, Position position) {
  if (operand->kind == Expr::Kind::kNumber) {
    const bool whole_zero = operand->is_integer && operand->number == 0;
    return MakeNumber(position, whole_zero ? 0 : -operand->number,
                      operand->is_integer);
  }
  ExprPtr node = MakeExpr(Expr::Kind::kUnary, position);
  node->op = '-';
  node->args.push_back(std::move(operand));
  return node;
}

// What the core makes of a call by position: the primitive or the built-in
// activation called `name`.
ExprPtr MakeCoreCall(std::string_view name, Position position,
                     std::vector<ExprPtr> args) {
  ExprPtr call = MakeExpr(Expr::Kind::kCall, position);
  call->name = std::string(name);
  const Signature* signature = FindPrimitive(name);
  if (signature == nullptr || signature->arguments.size() != args.size()) {
    signature = FindCatalogueSignature(name);
    call->callee = Expr::Callee::kCatalogue;
  }
  call->args = std::move(args);
  if (signature == nullptr) return call;
  for (size_t i = call->args.size(); i < signature->defaults.size(); ++i) {
    const double value = signature->defaults[i].value_or(0);
    call->args.push_back(MakeNumber(position, value, false));
  }
  return call;
}

}  // namespace

ExprPtr MakeExpr(Expr::Kind kind, Position position) {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->position = position;
  return node;
}

ExprPtr MakeNumber(Position position, double value, bool is_integer) {
  ExprPtr node = MakeExpr(Expr::Kind::kNumber, position);
  node->number = value;
  node->is_integer = is_integer;
  return node;
}

std::optional<double> EvaluateConstant(const Expr& expr) {
  std::vector<double> values;
  for (const ExprPtr& arg : expr.args) {
    const std::optional<double> value = EvaluateConstant(*arg);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  if (expr.kind == Expr::Kind::kNumber) return expr.number;
  if (expr.kind == Expr::Kind::kUnary && expr.op == "-") return -values[0];
  if (expr.kind == Expr::Kind::kBinary) {
    return EvaluateBinary(expr.op, values[0], values[1]);
  }
  if (expr.kind == Expr::Kind::kCall &&
      expr.callee == Expr::Callee::kPrimitive) {
    return EvaluatePrimitive(expr.name, values);
  }
  return std::nullopt;
}

ExprPtr ExpressionDesugarer::Problem(Position position, std::string message) {
  diagnostics_.Error(position, std::move(message));
  return MakeNumber(position, 0, false);
}

std::string ExpressionDesugarer::Suggestion(
    std::string_view name, std::vector<std::string> candidates) const {
  const std::string nearest = NearestName(name, candidates);
  if (nearest.empty()) return "";
  return Concat(": did you mean '", nearest, "'?");
}

ExprPtr ExpressionDesugarer::Desugar(const Syntax& syntax) {
  switch (syntax.kind) {
    case Kind::kName:
      return DesugarName(syntax);
    case Kind::kAttribute:
      return DesugarAttribute(syntax);
    case Kind::kCall:
      return DesugarCall(syntax);
    case Kind::kUnary:
      return DesugarUnary(syntax);
    case Kind::kNone:
      return Problem(syntax.position, "None is not a number");
    case Kind::kString:
      return Problem(syntax.position,
                     "a string is not a number: register one activation for "
                     "each mode");
    case Kind::kTuple:
      return Problem(syntax.position,
                     "a tuple is not a number: only several names can be "
                     "assigned at once");
    case Kind::kError:
      for (const SyntaxPtr& arg : syntax.args) Desugar(*arg);
      return MakeNumber(syntax.position, 0, false);
    default:
      break;
  }
  ExprPtr node = CopyNode(syntax, syntax.position);
  for (const SyntaxPtr& arg : syntax.args) {
    node->args.push_back(Desugar(*arg));
  }
  return node;
}

ExprPtr ExpressionDesugarer::DesugarUnary(const Syntax& syntax) {
  ExprPtr operand = Desugar(*syntax.args[0]);
  if (syntax.text == "+") return operand;
  if (syntax.text == "-") return Negate(std::move(operand), syntax.position);
  ExprPtr node = CopyNode(syntax, syntax.position);
  node->args.push_back(std::move(operand));
  return node;
}

ExprPtr ExpressionDesugarer::DesugarName(const Syntax& syntax) {
  const std::string& name = syntax.text;
  if (scope_.locals.count(name) > 0) {
    ExprPtr node = MakeExpr(Expr::Kind::kName, syntax.position);
    node->name = name;
    return node;
  }
  if (auto it = scope_.constants.find(name); it != scope_.constants.end()) {
    return MakeNumber(syntax.position, it->second, IsWhole(it->second));
  }
  if (auto it = scope_.outside.find(name); it != scope_.outside.end()) {
    scope_.used_outside.emplace(name, syntax.position);
    return MakeNumber(syntax.position, it->second, IsWhole(it->second));
  }
  std::string path = FullName(name);
  if (path.empty()) path = name;
  const std::string last = path.substr(path.rfind('.') + 1);
  // tau without a prefix is far more often a temperature left undefined.
  const std::optional<double> value = FindConstant(last);
  if (value && (last != "tau" || path != name)) {
    return MakeNumber(syntax.position, *value, false);
  }
  if (scope_.functions.count(name) > 0 || FindPrimitive(last) != nullptr ||
      FindCatalogueSignature(last) != nullptr ||
      !FindSynonyms(kBare, last).empty()) {
    return Problem(
        syntax.position,
        Concat(Quoted(name), " is a function: call it with arguments"));
  }
  if (path != name || !DefaultModule(name).empty()) {
    return Problem(syntax.position,
                   Concat(Quoted(name), " is a module, not a number"));
  }
  if (scope_.locals_unknown) return MakeNumber(syntax.position, 0, false);
  if (name == "self") {
    return Problem(syntax.position,
                   "'self' is not defined here: write a function, not a "
                   "method");
  }
  std::vector<std::string> known(scope_.locals.begin(), scope_.locals.end());
  for (const auto& [constant, value] : scope_.constants) {
    known.push_back(constant);
  }
  for (const auto& [constant, value] : scope_.outside) {
    known.push_back(constant);
  }
  const std::string suggestion = Suggestion(name, std::move(known));
  return Problem(
      syntax.position,
      Concat(Quoted(name), " is not defined in this text",
             suggestion.empty() ? Concat(": add it as a parameter with a "
                                         "default, for example ",
                                         name.substr(0, 64), "=1.0")
                                : suggestion));
}

// "a.b.c" of nested attributes of a name; "" if it is not that.
std::string ExpressionDesugarer::Dotted(const Syntax& syntax) const {
  if (syntax.kind == Kind::kName) return syntax.text;
  if (syntax.kind != Kind::kAttribute) return "";
  std::string head = Dotted(*syntax.args[0]);
  return head.empty() ? "" : Concat(head, ".", syntax.text);
}

std::string ExpressionDesugarer::FullName(std::string_view dotted) const {
  const size_t dot = dotted.find('.');
  const std::string_view root = dotted.substr(0, dot);
  const std::string_view rest =
      dot == std::string_view::npos ? "" : dotted.substr(dot);
  if (scope_.locals.count(root) > 0 || scope_.functions.count(root) > 0 ||
      scope_.constants.count(root) > 0) {
    return "";
  }
  if (auto it = scope_.imports.find(root); it != scope_.imports.end()) {
    return Concat(it->second, rest);
  }
  const std::string_view module = DefaultModule(root);
  return module.empty() ? "" : Concat(module, rest);
}

ExprPtr ExpressionDesugarer::DesugarAttribute(const Syntax& syntax) {
  const std::string dotted = Dotted(syntax);
  const std::string path = dotted.empty() ? "" : FullName(dotted);
  if (!path.empty()) {
    const size_t dot = path.rfind('.');
    const std::optional<double> value = FindConstant(path.substr(dot + 1));
    if (value && FamilyOfModule(path.substr(0, dot)) != 0) {
      return MakeNumber(syntax.position, *value, false);
    }
    return Problem(
        syntax.position,
        Concat(Quoted(dotted), " is not a number that can be used here"));
  }
  static constexpr std::string_view kShapes[] = {"shape", "size",  "ndim",
                                                 "T",     "dtype", "device"};
  for (std::string_view name : kShapes) {
    if (syntax.text != name) continue;
    return Problem(syntax.position,
                   Concat("'.", name,
                          "' is not visible here: the "
                          "result has the input's shape and type"));
  }
  if (dotted.starts_with("self.")) {
    return Problem(syntax.position,
                   Concat(Quoted(dotted),
                          " is not defined in this text: make it a "
                          "parameter with a default"));
  }
  ExprPtr object = Desugar(*syntax.args[0]);
  return Problem(syntax.position,
                 Concat("attributes of values are not supported: '.",
                        syntax.text.substr(0, 64), "'"));
}

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
  const Signature& signature = scope_.signatures[helper];
  std::vector<bool> required;
  for (const auto& value : signature.defaults) required.push_back(!value);
  std::string problem;
  std::optional<Bound> bound =
      Bind(target, signature.arguments, required, given, problem);
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
  const Signature* primitive = FindPrimitive(target.name);
  const Signature* catalogue = FindCatalogueSignature(target.name);
  for (const Signature* signature : {primitive, catalogue}) {
    if (signature == nullptr) continue;
    std::vector<bool> required;
    for (const auto& value : signature->defaults) required.push_back(!value);
    problem.clear();
    std::optional<Bound> bound =
        Bind(target, signature->arguments, required, given, problem);
    if (!bound) continue;
    return CallSignature(*signature,
                         signature == primitive ? Expr::Callee::kPrimitive
                                                : Expr::Callee::kCatalogue,
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

ExprPtr ExpressionDesugarer::CallSignature(const Signature& signature,
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
                             FindCatalogueSignature(target.name) != nullptr)) {
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
  const std::string suggestion = Suggestion(target.name, std::move(known));
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
