// Functions that make and read nodes of the core tree.

#ifndef ACTSERVE_KERNELS_LANG_EXPR_H_
#define ACTSERVE_KERNELS_LANG_EXPR_H_

#include <optional>
#include <string_view>
#include <vector>

#include "kernels/lang/ast.h"
#include "kernels/lang/syntax/syntax_tree.h"

namespace actserve {

ExprPtr MakeExpr(Expr::Kind kind, Position position);
ExprPtr MakeNumber(Position position, double value, bool is_integer);

// Copies `syntax` without its children. It must be a number, a truth value or
// an operator, which mean the same in the core.
ExprPtr CopyNode(const Syntax& syntax, Position position);

// Returns -operand. The negative of a number is a number, so -0.5 and a
// constant with that value are the same tree. Whole numbers have no negative
// zero.
ExprPtr Negate(ExprPtr operand, Position position);

// Returns a call of the primitive or the built-in `name`, whichever takes that
// many arguments. Arguments are given by position, defaults filled in.
ExprPtr MakeCoreCall(std::string_view name, Position position,
                     std::vector<ExprPtr> args);

// Returns the value of an expression that consists of numbers only, or nullopt.
std::optional<double> EvaluateConstant(const Expr& expr);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_EXPR_H_
