#ifndef ACTSERVE_KERNELS_LANG_DESUGAR_EXPRESSION_DESUGARER_H_
#define ACTSERVE_KERNELS_LANG_DESUGAR_EXPRESSION_DESUGARER_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/lang/ast.h"
#include "kernels/lang/desugar/synonyms.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/syntax/syntax_tree.h"
#include "kernels/lang/vocabulary.h"

namespace actserve {

// The meaning of names inside one function of a text.
struct Scope {
  // Arguments, and names assigned anywhere in the function (Python's rule).
  std::set<std::string, std::less<>> locals;
  // True if the arguments could not be read: then no name is known to be wrong.
  bool locals_unknown = false;
  // The functions of the text, by name; module.functions has the same order.
  std::map<std::string, int, std::less<>> functions;
  std::vector<FunctionSignature> signatures;
  // Numbers assigned outside functions, and numbers bound from outside.
  std::map<std::string, double, std::less<>> constants;
  std::map<std::string, double, std::less<>> outside;
  // The members of `outside` that were read, with the first place.
  std::map<std::string, Position> used_outside;
  // Truth values that a name always has, for options such as approximate=.
  std::map<std::string, bool, std::less<>> flags;
  // Lists of numbers assigned outside functions.
  std::map<std::string, const Syntax*, std::less<>> lists;
  // Names bound by imports: "np" to "numpy", "relu" to "torch.relu".
  std::map<std::string, std::string, std::less<>> imports;
  // Functions that no `def` of the text defines; in module.functions they
  // follow those of `signatures`. Rows of the table are among them once each.
  std::vector<FunctionDef> added;
  std::map<const Synonym*, int> row_functions;
};

// Rewrites expressions to the core. Never returns nullptr: a wrong expression
// is reported and becomes a number.
class ExpressionDesugarer {
 public:
  // Both must outlive this object.
  ExpressionDesugarer(Scope& scope, Diagnostics& diagnostics)
      : scope_(scope), diagnostics_(diagnostics) {}

  ExprPtr Desugar(const Syntax& syntax);

  // The full name of a dotted name: "np.pi" is "numpy.pi". "" if it does not
  // start with a module.
  std::string FullName(std::string_view dotted) const;
  // Likewise of an expression; "" if it is no dotted name.
  std::string FullNameOf(const Syntax& syntax) const {
    return FullName(Dotted(syntax));
  }

 private:
  // An argument of a call, before it is known what is called.
  struct Given {
    std::string keyword;             // "": by position
    const Syntax* syntax = nullptr;  // nullptr: `value` is ready
    ExprPtr value;
    Position position;
  };
  // The callee as the text names it.
  struct Target {
    std::string_view table = kBuiltinsTable;
    std::string name;
    std::string shown;  // as the text spells it
    Position position;
  };
  struct Parameters {
    std::vector<std::string> names;
    std::vector<bool> required;
    std::vector<bool> keyword_only;

    static Parameters Of(const FunctionSignature& signature);
    static Parameters Of(const Synonym& synonym);
  };
  // One entry for each parameter of the callee; nullptr: not given.
  using Bound = std::vector<Given*>;

  ExprPtr DesugarName(const Syntax& syntax);
  ExprPtr DesugarAttribute(const Syntax& syntax);
  ExprPtr DesugarUnary(const Syntax& syntax);
  ExprPtr DesugarCall(const Syntax& syntax);
  ExprPtr DesugarFloatOfString(const Syntax& syntax);
  ExprPtr DesugarPolynomial(const Syntax& syntax, const Target& target);
  ExprPtr DesugarTypeLimit(const Syntax& syntax);

  ExprPtr Call(const Target& target, std::vector<Given>& given);
  ExprPtr CallHelper(int helper, const Target& target,
                     std::vector<Given>& given);
  ExprPtr CallCore(const Target& target, std::vector<Given>& given,
                   std::string& problem);
  ExprPtr CallVariadic(const Target& target, std::vector<Given>& given);
  ExprPtr CallSignature(const FunctionSignature& signature, Expr::Callee callee,
                        Position position, const Bound& bound);
  ExprPtr UnknownFunction(const Target& target, std::vector<Given>& given);
  std::string KnownFunction(const Target& target) const;

  // Returns nullopt and sets `problem` to the reason if the arguments do not
  // fit.
  static std::optional<Bound> Bind(const Target& target,
                                   const Parameters& parameters,
                                   std::vector<Given>& given,
                                   std::string& problem);
  std::optional<Bound> BindSynonym(const Target& target, const Synonym& synonym,
                                   std::vector<Given>& given,
                                   std::string& problem) const;
  ExprPtr Expand(const Target& target, const Synonym& synonym,
                 const Bound& bound);
  using Substitution = std::map<std::string, ExprPtr>;
  ExprPtr CallRow(const Target& target, const Synonym& synonym,
                  Substitution arguments);
  void AddFunction(std::string_view name, FunctionDef function,
                   Position position);
  ExprPtr CallAdded(int index, Position position,
                    std::vector<ExprPtr> values) const;
  static ExprPtr Substitute(const Syntax& template_syntax, Position position,
                            Substitution& arguments);

  ExprPtr Value(Given& given);
  void Inspect(std::vector<Given>& given);
  void CheckDType(const Given& given);
  std::string Dotted(const Syntax& syntax) const;
  ExprPtr Problem(Position position, std::string message);
  std::string Suggestion(std::string_view name,
                         const std::vector<std::string>& candidates) const;

  Scope& scope_;
  Diagnostics& diagnostics_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_DESUGAR_EXPRESSION_DESUGARER_H_
