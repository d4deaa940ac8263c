#include "kernels/lang/expr.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/lang/vocabulary.h"

namespace actserve {
namespace {

Expr::Kind CoreKind(Syntax::Kind kind) {
  switch (kind) {
    case Syntax::Kind::kNumber:
      return Expr::Kind::kNumber;
    case Syntax::Kind::kBool:
      return Expr::Kind::kBool;
    case Syntax::Kind::kUnary:
      return Expr::Kind::kUnary;
    case Syntax::Kind::kBinary:
      return Expr::Kind::kBinary;
    case Syntax::Kind::kCompare:
      return Expr::Kind::kCompare;
    case Syntax::Kind::kBoolOp:
      return Expr::Kind::kBoolOp;
    default:
      return Expr::Kind::kConditional;
  }
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

ExprPtr CopyNode(const Syntax& syntax, Position position) {
  ExprPtr node = MakeExpr(CoreKind(syntax.kind), position);
  node->number = syntax.number;
  node->is_integer = syntax.is_integer;
  node->op = syntax.text;
  node->ops = syntax.ops;
  return node;
}

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

ExprPtr MakeCoreCall(std::string_view name, Position position,
                     std::vector<ExprPtr> args) {
  ExprPtr call = MakeExpr(Expr::Kind::kCall, position);
  call->name = std::string(name);
  const FunctionSignature* signature = FindPrimitive(name);
  if (signature == nullptr || signature->arguments.size() != args.size()) {
    signature = FindCatalogSignature(name);
    call->callee = Expr::Callee::kCatalog;
  }
  call->args = std::move(args);
  if (signature == nullptr) return call;
  for (size_t i = call->args.size(); i < signature->defaults.size(); ++i) {
    const double value = signature->defaults[i].value_or(0);
    call->args.push_back(MakeNumber(position, value, false));
  }
  return call;
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

}  // namespace actserve
