#ifndef ACTSERVE_KERNELS_LANG_SYNTAX_LEXER_H_
#define ACTSERVE_KERNELS_LANG_SYNTAX_LEXER_H_

#include <string>
#include <string_view>
#include <vector>

#include "kernels/lang/diagnostic.h"

namespace actserve {

// One token of a text.
struct Token {
  enum class Kind {
    kName,      // `text`; keywords too
    kNumber,    // `number`, `is_integer`
    kString,    // `text`: the value, escapes resolved
    kOperator,  // `text`: an operator or delimiter of Python
    kNewline,   // the end of a logical line
    kIndent,
    kDedent,
    kBad,  // not a token; already reported
    kEnd,
  };
  Kind kind = Kind::kEnd;
  Position position;
  std::string text;
  double number = 0;
  bool is_integer = false;
};

// Splits `text` into Python's tokens: indentation becomes kIndent and kDedent,
// lines joined by brackets or a backslash are one logical line, comments and
// blank lines are gone. Always ends with kNewline (if anything came before),
// the open kDedents and kEnd, whatever the text. A text indented as a whole is
// accepted. Names are ASCII; the text must be UTF-8 without control characters.
// Linear in the text, not recursive.
std::vector<Token> Tokenize(std::string_view text, Diagnostics& diagnostics);

// True for the reserved words of Python 3.
bool IsKeyword(std::string_view word);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_SYNTAX_LEXER_H_
