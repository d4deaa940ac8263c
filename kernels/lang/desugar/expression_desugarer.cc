#include "kernels/lang/desugar/expression_desugarer.h"

#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/text.h"
#include "kernels/lang/expr.h"

namespace actserve {
namespace {

using Kind = Syntax::Kind;

bool IsWhole(double value) {
  return std::isfinite(value) && value == std::trunc(value);
}

}  // namespace

ExprPtr ExpressionDesugarer::Problem(Position position, std::string message) {
  diagnostics_.Error(position, std::move(message));
  return MakeNumber(position, 0, false);
}

std::string ExpressionDesugarer::Suggestion(
    std::string_view name, const std::vector<std::string>& candidates) const {
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
      FindCatalogSignature(last) != nullptr ||
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
  const std::string suggestion = Suggestion(name, known);
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

}  // namespace actserve
