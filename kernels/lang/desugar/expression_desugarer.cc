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

// The numbers that finfo() of a floating-point type has.
struct TypeLimits {
  std::string_view type;
  double eps;
  double tiny;
  double max;
};
constexpr TypeLimits kTypeLimits[] = {
    {"float64", 0x1p-52, 0x1p-1022, 0x1.fffffffffffffp1023},
    {"double", 0x1p-52, 0x1p-1022, 0x1.fffffffffffffp1023},
    {"float", 0x1p-52, 0x1p-1022, 0x1.fffffffffffffp1023},
    {"float32", 0x1p-23, 0x1p-126, 0x1.fffffep127},
    {"single", 0x1p-23, 0x1p-126, 0x1.fffffep127},
    {"float16", 0x1p-10, 0x1p-14, 0x1.ffcp15},
    {"half", 0x1p-10, 0x1p-14, 0x1.ffcp15},
    {"bfloat16", 0x1p-7, 0x1p-126, 0x1.fep127},
};

const TypeLimits* FindTypeLimits(std::string_view type) {
  for (const TypeLimits& row : kTypeLimits) {
    if (row.type == type) return &row;
  }
  return nullptr;
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
    case Kind::kList:
      return Problem(syntax.position,
                     "lists are not supported: the values here are single "
                     "numbers");
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
  if (auto it = scope_.flags.find(name); it != scope_.flags.end()) {
    ExprPtr node = MakeExpr(Expr::Kind::kBool, syntax.position);
    node->number = it->second;
    return node;
  }
  if (scope_.lists.count(name) > 0) {
    return Problem(
        syntax.position,
        Concat(Quoted(name), " is a list: only polyval() takes one"));
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
      !FindSynonyms(kBuiltinsTable, last).empty()) {
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
      scope_.constants.count(root) > 0 || scope_.flags.count(root) > 0 ||
      scope_.lists.count(root) > 0) {
    return "";
  }
  if (auto it = scope_.imports.find(root); it != scope_.imports.end()) {
    return Concat(it->second, rest);
  }
  const std::string_view module = DefaultModule(root);
  return module.empty() ? "" : Concat(module, rest);
}

// np.finfo(np.float32).eps and the like. Returns nullptr if it is not that.
ExprPtr ExpressionDesugarer::DesugarTypeLimit(const Syntax& syntax) {
  const Syntax& call = *syntax.args[0];
  if (call.kind != Kind::kCall) return nullptr;
  const std::string path = FullName(Dotted(*call.args[0]));
  if (path.substr(path.rfind('.') + 1) != "finfo") return nullptr;
  const Syntax* type = call.args.size() > 1 ? call.args[1].get() : nullptr;
  if (!call.keywords.empty()) type = call.keywords[0].second.get();
  const bool torch = path.starts_with("torch");
  // torch.float is float32, Python's float is float64.
  std::string name = type == nullptr ? "" : type->text;
  if (type == nullptr && torch) name = "float32";
  if (name == "float" && type->kind == Kind::kAttribute && torch) {
    name = "float32";
  }
  const TypeLimits* limits = FindTypeLimits(name);
  if (limits == nullptr) {
    return Problem(syntax.position,
                   Concat("the request chooses the type of the tensors: name "
                          "one here, for example ",
                          Dotted(*call.args[0]).substr(0, 64),
                          torch ? "(torch.float32)." : "(np.float32).",
                          syntax.text.substr(0, 64)));
  }
  if (syntax.text == "eps") {
    return MakeNumber(syntax.position, limits->eps, false);
  }
  if (syntax.text == "tiny" || syntax.text == "smallest_normal") {
    return MakeNumber(syntax.position, limits->tiny, false);
  }
  if (syntax.text == "max" || syntax.text == "min") {
    return MakeNumber(syntax.position,
                      syntax.text == "max" ? limits->max : -limits->max, false);
  }
  return Problem(syntax.position,
                 Concat("only eps, tiny, smallest_normal, max and "
                        "min of a type are known here, not ",
                        Quoted(syntax.text)));
}

ExprPtr ExpressionDesugarer::DesugarAttribute(const Syntax& syntax) {
  const std::string dotted = Dotted(syntax);
  const std::string path = dotted.empty() ? "" : FullName(dotted);
  if (!path.empty()) {
    const size_t dot = path.rfind('.');
    const std::optional<double> value = FindConstant(path.substr(dot + 1));
    if (value && !TableOfModule(path.substr(0, dot)).empty()) {
      return MakeNumber(syntax.position, *value, false);
    }
    if (path.starts_with("sys.float_info.")) {
      const std::string name = path.substr(dot + 1);
      const TypeLimits& limits = *FindTypeLimits("float64");
      if (name == "epsilon") {
        return MakeNumber(syntax.position, limits.eps, false);
      }
      if (name == "max" || name == "min") {
        return MakeNumber(syntax.position,
                          name == "max" ? limits.max : limits.tiny, false);
      }
    }
    return Problem(
        syntax.position,
        Concat(Quoted(dotted), " is not a number that can be used here"));
  }
  if (ExprPtr limit = DesugarTypeLimit(syntax)) return limit;
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
