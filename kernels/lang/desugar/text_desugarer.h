#ifndef ACTSERVE_KERNELS_LANG_DESUGAR_TEXT_DESUGARER_H_
#define ACTSERVE_KERNELS_LANG_DESUGAR_TEXT_DESUGARER_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernels/lang/ast.h"
#include "kernels/lang/desugar/expression_desugarer.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/limits.h"
#include "kernels/lang/syntax/syntax_tree.h"

namespace actserve {

// Rewrites a whole text, as Desugar() says: desugar.cc has what stands outside
// functions and what concerns a whole function, body_desugarer.cc the
// statements inside them. For one text.
class TextDesugarer {
 public:
  // `limits` and `diagnostics` must outlive this object.
  TextDesugarer(const std::map<std::string, double>& constants,
                const LanguageLimits& limits, Diagnostics& diagnostics)
      : limits_(limits),
        diagnostics_(diagnostics),
        expressions_(scope_, diagnostics) {
    scope_.outside.insert(constants.begin(), constants.end());
  }

  Module Run(const std::vector<SyntaxStmt>& text);

 private:
  using Block = std::vector<Stmt>;

  void ReadTopLevel(const SyntaxStmt& statement);
  void ReadImport(const SyntaxStmt& statement);
  void ReadConstant(const SyntaxStmt& statement);
  void ReadConstant(const Syntax& target, const Syntax& value);
  const Syntax* DecoratedName(const Syntax& value) const;
  void ReadDef(const SyntaxStmt& def);
  void CheckDecorators(const SyntaxStmt& def);
  std::optional<double> ReadDefault(const SyntaxArgument& argument);
  void FindMain();
  void FixFlags(int function);
  void CheckMain();
  void TakeDefault(const FunctionDef& function, const Argument& parameter,
                   Argument& argument);
  void CheckGradient(int gradient);

  void ReadHelperGradient(int index);
  FunctionDef* FunctionOfGradient(int index);
  size_t CountResults(int function);
  void DesugarBody(int function);
  void DesugarBlock(const std::vector<SyntaxStmt>& block, Block& out);
  void DesugarStatement(const SyntaxStmt& statement, Block& out);
  void DesugarAssign(const SyntaxStmt& statement, Block& out);
  void DesugarAugmented(const SyntaxStmt& statement, Block& out);
  void DesugarFor(const SyntaxStmt& statement, Block& out);
  void DesugarReturn(const SyntaxStmt& statement, Block& out);
  void DesugarExpression(const SyntaxStmt& statement);
  std::vector<std::string> Targets(const Syntax& target);

  const LanguageLimits& limits_;
  Diagnostics& diagnostics_;
  Scope scope_;
  ExpressionDesugarer expressions_;
  Module module_;
  std::vector<const SyntaxStmt*> defs_;  // as module_.functions
  // Truth values that are defaults of the activation and of its gradient.
  std::map<int, std::map<std::string, bool, std::less<>>> fixed_flags_;
  // The function being desugared, and the activation whose gradient it is.
  int current_ = -1;
  const FunctionDef* current_activation_ = nullptr;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_DESUGAR_TEXT_DESUGARER_H_
