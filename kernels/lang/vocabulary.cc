#include "kernels/lang/vocabulary.h"

#include <limits>
#include <map>
#include <numbers>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/catalog/catalog.h"
#include "kernels/graph/interpret.h"
#include "kernels/graph/op.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/syntax/syntax_tree.h"

namespace actserve {
namespace {

using SignatureMap = std::map<std::string, FunctionSignature, std::less<>>;

SignatureMap MakePrimitives() {
  SignatureMap map;
  const auto add = [&](std::string_view name,
                       std::vector<std::string> arguments) {
    FunctionSignature signature;
    signature.name = std::string(name);
    signature.defaults.resize(arguments.size());
    signature.arguments = std::move(arguments);
    map.emplace(signature.name, std::move(signature));
  };
  for (const OpInfo& info : AllOps()) {
    if (!info.callable || IsDraw(info.op)) continue;
    add(info.name, info.arity == 1 ? std::vector<std::string>{"x"}
                                   : std::vector<std::string>{"a", "b"});
  }
  // Those of ast.h that are no op.
  add("clamp", {"x", "lo", "hi"});
  add("float", {"x"});
  for (const std::string_view name : {"rowmean", "rowmin", "rowprod",
                                      "rowsorted", "rowcumsum", "rowargmax"}) {
    add(name, {"x"});
  }
  add("rowkth", {"x", "k"});
  for (const OpInfo& info : AllOps()) {
    if (!IsDraw(info.op)) continue;
    add(info.name, {"seed", "stream"});
    map.find(info.name)->second.defaults[1] = 0;
  }
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

SignatureMap MakeBuiltins() {
  SignatureMap map;
  for (const CatalogEntry& entry : Catalog()) {
    Diagnostics diagnostics(entry.text);
    for (const SyntaxStmt& statement :
         ParseSyntax(entry.text, LanguageLimits(), diagnostics)) {
      if (statement.kind != SyntaxStmt::Kind::kDef ||
          statement.name != entry.name) {
        continue;
      }
      FunctionSignature signature;
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

const SignatureMap& Builtins() {
  static const auto* const map = new SignatureMap(MakeBuiltins());
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

const FunctionSignature* Find(const SignatureMap& map, std::string_view name) {
  auto it = map.find(name);
  return it == map.end() ? nullptr : &it->second;
}

// The functions that a constant expression may call.
constexpr std::string_view kConstantFunctions[] = {
    "abs", "ceil", "exp", "floor", "log", "max", "min", "sqrt"};

}  // namespace

const FunctionSignature* FindPrimitive(std::string_view name) {
  return Find(Primitives(), name);
}

const FunctionSignature* FindCatalogSignature(std::string_view name) {
  return Find(Builtins(), name);
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
    for (const auto& [name, signature] : Builtins()) all->push_back(name);
    for (const NamedConstant& row : kConstants) all->emplace_back(row.name);
    return all;
  }();
  return *names;
}

std::optional<double> EvaluateBinary(std::string_view op, double a, double b) {
  static constexpr std::pair<std::string_view, Op> kOperators[] = {
      {"+", Op::kAdd},  {"-", Op::kSub},      {"*", Op::kMul},
      {"/", Op::kDiv},  {"%", Op::kFloorMod}, {"//", Op::kFloorDiv},
      {"**", Op::kPow},
  };
  for (const auto& [name, row] : kOperators) {
    if (name == op) return NumberOps<double>::Apply(row, a, b);
  }
  return std::nullopt;
}

std::optional<double> EvaluatePrimitive(std::string_view name,
                                        const std::vector<double>& arguments) {
  if (name == "float") return arguments[0];
  for (std::string_view function : kConstantFunctions) {
    if (function != name) continue;
    return NumberOps<double>::Apply(*FindOp(name), arguments.front(),
                                    arguments.back());
  }
  return std::nullopt;
}

}  // namespace actserve
