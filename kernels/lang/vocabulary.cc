#include "kernels/lang/vocabulary.h"

#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/catalog/catalog.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/syntax/syntax_tree.h"

namespace actserve {
namespace {

using SignatureMap = std::map<std::string, Signature, std::less<>>;

// Ops of the graph that the syntax spells otherwise (+, <, and, ...) are not
// here; synonyms.cc maps their names to the syntax.
constexpr std::string_view kUnaryPrimitives[] = {
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "exp_minus_square",
    "expm1",
    "float",
    "floor",
    "floormod1",
    "gelu",
    "gelu_grad",
    "gelu_tanh",
    "gelu_tanh_grad",
    "log",
    "log10",
    "log1p",
    "log2",
    "logsigmoid",
    "mish",
    "mish_grad",
    "normcdf",
    "normpdf",
    "round",
    "sech2",
    "sigmoid",
    "sigmoid_grad",
    "sign",
    "silu",
    "silu_grad",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "tan",
    "tanh",
    "tanhshrink",
    "trunc",
};
constexpr std::string_view kBinaryPrimitives[] = {
    "atan2", "fmod", "max", "min", "scaled_silu", "scaled_silu_grad"};

SignatureMap MakePrimitives() {
  SignatureMap map;
  const auto add = [&](std::string_view name,
                       std::vector<std::string> arguments) {
    Signature signature;
    signature.name = std::string(name);
    signature.defaults.resize(arguments.size());
    signature.arguments = std::move(arguments);
    map.emplace(signature.name, std::move(signature));
  };
  for (std::string_view name : kUnaryPrimitives) add(name, {"x"});
  for (std::string_view name : kBinaryPrimitives) add(name, {"a", "b"});
  add("clamp", {"x", "lo", "hi"});
  return map;
}

const SignatureMap& Primitives() {
  static const auto* const map = new SignatureMap(MakePrimitives());
  return *map;
}

// A default in a catalog text: a number, perhaps with a minus sign.
std::optional<double> LiteralValue(const Syntax* value) {
  if (value == nullptr) return std::nullopt;
  if (value->kind == Syntax::Kind::kUnary && value->text == "-") {
    const std::optional<double> operand = LiteralValue(value->args[0].get());
    if (operand) return -*operand;
    return std::nullopt;
  }
  return value->number;
}

SignatureMap MakeCatalogue() {
  SignatureMap map;
  for (const CatalogEntry& entry : Catalog()) {
    Diagnostics diagnostics(entry.text);
    for (const SyntaxStmt& statement :
         ParseSyntax(entry.text, LanguageLimits(), diagnostics)) {
      if (statement.kind != SyntaxStmt::Kind::kDef ||
          statement.name != entry.name) {
        continue;
      }
      Signature signature;
      signature.name = statement.name;
      for (const SyntaxArgument& argument : statement.arguments) {
        signature.arguments.push_back(argument.name);
        signature.defaults.push_back(
            LiteralValue(argument.default_value.get()));
      }
      map.emplace(signature.name, std::move(signature));
    }
  }
  return map;
}

const SignatureMap& Catalogue() {
  static const auto* const map = new SignatureMap(MakeCatalogue());
  return *map;
}

struct NamedConstant {
  std::string_view name;
  double value;
};
constexpr NamedConstant kConstants[] = {
    {"e", std::numbers::e},
    {"inf", std::numeric_limits<double>::infinity()},
    {"nan", std::numeric_limits<double>::quiet_NaN()},
    {"pi", std::numbers::pi},
    {"tau", 2 * std::numbers::pi},
};

const Signature* Find(const SignatureMap& map, std::string_view name) {
  auto it = map.find(name);
  return it == map.end() ? nullptr : &it->second;
}

double FloorMod(double a, double b) {
  const double remainder = std::fmod(a, b);
  if (remainder != 0) {
    return (remainder < 0) != (b < 0) ? remainder + b : remainder;
  }
  return std::copysign(remainder, b);
}

double FloorDiv(double a, double b) {
  const double quotient = (a - FloorMod(a, b)) / b;
  if (quotient == 0) return std::copysign(0.0, a / b);
  return std::round(quotient);  // A whole number but for rounding.
}

}  // namespace

const Signature* FindPrimitive(std::string_view name) {
  return Find(Primitives(), name);
}

const Signature* FindCatalogueSignature(std::string_view name) {
  return Find(Catalogue(), name);
}

std::optional<double> FindConstant(std::string_view name) {
  for (const NamedConstant& row : kConstants) {
    if (row.name == name) return row.value;
  }
  return std::nullopt;
}

const std::vector<std::string>& CoreNames() {
  static const auto* const names = [] {
    auto* all = new std::vector<std::string>();
    for (const auto& [name, signature] : Primitives()) all->push_back(name);
    for (const auto& [name, signature] : Catalogue()) all->push_back(name);
    for (const NamedConstant& row : kConstants) all->emplace_back(row.name);
    return all;
  }();
  return *names;
}

std::optional<double> EvaluateBinary(std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "/") return a / b;
  if (op == "%") return FloorMod(a, b);
  if (op == "//") return FloorDiv(a, b);
  if (op == "**") return std::pow(a, b);
  return std::nullopt;
}

std::optional<double> EvaluatePrimitive(std::string_view name,
                                        const std::vector<double>& arguments) {
  const double x = arguments.empty() ? 0 : arguments[0];
  if (name == "abs") return std::fabs(x);
  if (name == "exp") return std::exp(x);
  if (name == "float") return x;
  if (name == "floor") return std::floor(x);
  if (name == "ceil") return std::ceil(x);
  if (name == "log") return std::log(x);
  if (name == "sqrt") return std::sqrt(x);
  if (name == "max") return arguments[0] < arguments[1] ? arguments[1] : x;
  if (name == "min") return arguments[1] < arguments[0] ? arguments[1] : x;
  return std::nullopt;
}

}  // namespace actserve
