// Nodes of the core tree, for the stages that build and read them.

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

// The node of `syntax`, a number, truth value or operator, which means the
// same in the core; without children.
ExprPtr CopyNode(const Syntax& syntax, Position position);

// -operand. The negative of a number is a number, so that -0.5 and a constant
// of that value are the same tree. Whole numbers have no negative zero.
ExprPtr Negate(ExprPtr operand, Position position);

// The call by position of the primitive or the built-in activation `name`,
// whichever takes so many arguments; defaults filled in.
ExprPtr MakeCoreCall(std::string_view name, Position position,
                     std::vector<ExprPtr> args);

// The value of an expression of numbers only; nullopt if it is not one.
std::optional<double> EvaluateConstant(const Expr& expr);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_EXPR_H_
