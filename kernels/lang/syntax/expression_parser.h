#ifndef ACTSERVE_KERNELS_LANG_SYNTAX_EXPRESSION_PARSER_H_
#define ACTSERVE_KERNELS_LANG_SYNTAX_EXPRESSION_PARSER_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/lang/diagnostic.h"
#include "kernels/lang/syntax/lexer.h"
#include "kernels/lang/syntax/syntax_tree.h"

namespace actserve {

// Recursive descent over the tokens of expressions; the statement parser
// derives from it and shares the cursor.
//
// A Parse function that meets malformed text reports it and returns nullptr,
// and the caller gives up its statement. Well-formed Python that is not
// supported is reported and becomes a kError node; parsing continues.
class ExpressionParser {
 protected:
  ExpressionParser(std::vector<Token> tokens, const LanguageLimits& limits,
                   Diagnostics& diagnostics)
      : tokens_(std::move(tokens)),
        limits_(limits),
        diagnostics_(diagnostics) {}

  // One expression, or several with commas between (kTuple).
  SyntaxPtr ParseExpressionList();
  SyntaxPtr ParseExpression();

  const Token& Peek(size_t ahead = 0) const;
  // True if the next token is this operator or word.
  bool At(std::string_view text) const;
  bool At(Token::Kind kind) const { return Peek().kind == kind; }
  void Advance() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }
  bool TakeIf(std::string_view text);
  // Reports `expected ..., found ...` here; false.
  bool Expected(std::string_view what);
  // Skips to just after the bracket that closes the one here.
  void SkipBrackets();
  // Skips to a token of `stops` outside brackets, or to the line's end.
  void SkipTo(std::initializer_list<std::string_view> stops);

  // Counts one level of nesting while it lives.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser) : parser_(parser) {
      ++parser_.depth_;
    }
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    // Returns false, and reports it, beyond the limit.
    bool Allowed() { return parser_.CheckDepth(parser_.depth_); }

   private:
    ExpressionParser& parser_;
  };

  void Error(Position position, std::string message) {
    diagnostics_.Error(position, std::move(message));
  }
  bool CheckDepth(int depth);

 private:
  SyntaxPtr Make(Syntax::Kind kind, Position position, std::string_view text,
                 std::vector<SyntaxPtr> args);
  SyntaxPtr MakeError(Position position, std::string message);
  SyntaxPtr ParseBoolOp(bool is_or);
  SyntaxPtr ParseNot();
  SyntaxPtr ParseComparison();
  std::string TakeComparison();
  SyntaxPtr ParseBinary(int minimum_precedence);
  SyntaxPtr ParseUnary();
  SyntaxPtr ParsePower();
  SyntaxPtr ParsePostfix();
  SyntaxPtr ParseCall(SyntaxPtr callee);
  bool ParseArgument(Syntax& call);
  SyntaxPtr ParseAtom();
  SyntaxPtr ParseWord();
  SyntaxPtr ParseList();
  SyntaxPtr ParseParentheses();
  SyntaxPtr ParseLambda();

  std::vector<Token> tokens_;
  size_t at_ = 0;

 protected:
  const LanguageLimits& limits_;
  Diagnostics& diagnostics_;
  int depth_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_SYNTAX_EXPRESSION_PARSER_H_
