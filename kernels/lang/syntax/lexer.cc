#include "kernels/lang/syntax/lexer.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/charconv.h"
#include "absl/strings/str_format.h"
#include "kernels/base/text.h"
#include "kernels/base/unicode.h"
#include "kernels/lang/syntax/prompts.h"

namespace actserve {
namespace {

// Characters that people paste from formatted pages, and what they meant.
struct LookAlike {
  uint32_t code_point;
  std::string_view meant;
};
constexpr LookAlike kLookAlikes[] = {
    {0x00B2, "** 2"},    {0x00B3, "** 3"},    {0x221A, "sqrt(...)"},
    {0x221E, "inf"},     {0x2026, "..."},     {0x2032, "'"},
    {0x00AC, "not"},     {0x2227, "and"},     {0x2228, "or"},
    {0x2211, "a + b"},   {0x22C5, "*"},       {0x2215, "/"},
    {0x2044, "/"},       {0x201A, "'"},       {0x201E, "\""},
    {0x00AB, "\""},      {0x00BB, "\""},      {0x2009, "a space"},
    {0x200B, "nothing"}, {0x202F, "a space"}, {0x3000, "a space"},
    {0xFEFF, "nothing"}, {0xFF08, "("},       {0xFF09, ")"},
    {0xFF0C, ","},       {0xFF1A, ":"},       {0xFF1D, "="},
    {0xFF0B, "+"},       {0xFF0D, "-"},       {0x2010, "-"},
    {0x2011, "-"},       {0x2192, "->"},      {0x2248, "a comparison"},
    {0x2212, "-"},       {0x2013, "-"},       {0x2014, "-"},
    {0x00D7, "*"},       {0x2217, "*"},       {0x00B7, "*"},
    {0x00F7, "/"},       {0x2264, "<="},      {0x2265, ">="},
    {0x2260, "!="},      {0x2018, "'"},       {0x2019, "'"},
    {0x201C, "\""},      {0x201D, "\""},      {0x00A0, "a space"},
};

// Longest first, so that the first match is Python's.
constexpr std::string_view kOperators[] = {
    "...", "**=", "//=", "<<=", ">>=", "!=", "**", "//", "<=", ">=", "==", "->",
    ":=",  "+=",  "-=",  "*=",  "/=",  "%=", "@=", "&=", "|=", "^=", "<<", ">>",
    "<>",  "+",   "-",   "*",   "/",   "%",  "@",  "&",  "|",  "^",  "~",  "<",
    ">",   "(",   ")",   "[",   "]",   "{",  "}",  ",",  ":",  ".",  ";",  "=",
};

bool IsNameByte(char c) { return absl::ascii_isalnum(c) || c == '_'; }

class Lexer {
 public:
  Lexer(std::string_view text, Diagnostics& diagnostics)
      : without_prompts_(WithoutPrompts(text)),
        text_(without_prompts_ ? *without_prompts_ : text),
        diagnostics_(diagnostics) {}

  std::vector<Token> Run();

 private:
  struct Bracket {
    char open;
    Position position;
  };

  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  Position Here() const {
    return {line_, static_cast<int>(at_ - line_start_) + 1};
  }
  bool AtLineEnd() const {
    return AtEnd() || text_[at_] == '\n' || text_[at_] == '\r';
  }
  void SkipLineEnd();
  void SkipComment();
  void Emit(Token::Kind kind, Position position, std::string_view text = "");
  bool EndsStatement() const;

  void CheckBytes();
  void StartLine();
  void Indentation(int width, int alternative, Position position);
  void LexToken();
  size_t NameEnd(size_t at) const;
  void LexName();
  void LexNumber();
  bool TakeDigits(std::string& digits);
  std::string NumberProblem(const Token& token, std::string_view digits,
                            bool well_placed);
  bool LexRadix(Token& token);
  void LexString(size_t prefix_bytes, bool raw);
  void LexEscape(std::string& value);
  void LexOperator();
  void LexUnknown();
  void CloseBracket(char close, Position position);
  void UnclosedBracket();

  const std::optional<std::string> without_prompts_;
  const std::string_view text_;
  Diagnostics& diagnostics_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  int line_ = 1;
  bool at_line_start_ = true;
  // Widths with a tab to the next multiple of 8, and with a tab as 1: where
  // the two orders disagree, Python (and we) refuse.
  std::vector<std::pair<int, int>> indents_;
  std::vector<Bracket> brackets_;
};

void Lexer::SkipLineEnd() {
  if (Peek() == '\r' && Peek(1) == '\n') ++at_;
  ++at_;
  ++line_;
  line_start_ = at_;
}

void Lexer::SkipComment() {
  while (!AtLineEnd()) ++at_;
}

void Lexer::Emit(Token::Kind kind, Position position, std::string_view text) {
  Token token;
  token.kind = kind;
  token.position = position;
  token.text = std::string(text);
  tokens_.push_back(std::move(token));
}

bool Lexer::EndsStatement() const {
  return tokens_.empty() || tokens_.back().kind == Token::Kind::kNewline ||
         tokens_.back().kind == Token::Kind::kIndent ||
         tokens_.back().kind == Token::Kind::kDedent;
}

// Reports every byte that may not occur even in a comment, once a line.
void Lexer::CheckBytes() {
  int line = 1;
  size_t start = 0;
  int reported = 0;
  for (size_t i = 0; i < text_.size();) {
    const char c = text_[i];
    if (c == '\n' ||
        (c == '\r' && i + 1 < text_.size() && text_[i + 1] != '\n')) {
      ++line;
      start = ++i;
      continue;
    }
    uint32_t code_point = 0;
    const int length = DecodeUtf8(text_.substr(i), code_point);
    const bool blank = c == '\t' || c == '\r' || c == '\f';
    const bool control = (code_point < 0x20 && !blank) ||
                         (code_point >= 0x7F && code_point < 0xA0);
    if ((length == 0 || control) && reported != line) {
      diagnostics_.Error(
          {line, static_cast<int>(i - start) + 1},
          length == 0
              ? absl::StrFormat("byte 0x%02X is not valid UTF-8",
                                static_cast<uint8_t>(c))
              : absl::StrFormat("control character U+%04X is not allowed",
                                code_point));
      reported = line;
    }
    i += std::max(length, 1);
  }
}

std::vector<Token> Lexer::Run() {
  CheckBytes();
  if (text_.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;
  while (!AtEnd()) {
    if (at_line_start_ && brackets_.empty()) {
      StartLine();
      continue;
    }
    LexToken();
  }
  if (!brackets_.empty()) UnclosedBracket();
  if (!EndsStatement()) Emit(Token::Kind::kNewline, Here());
  for (size_t i = 1; i < indents_.size(); ++i) {
    Emit(Token::Kind::kDedent, Here());
  }
  Emit(Token::Kind::kEnd, Here());
  return std::move(tokens_);
}

// Measures a line's indentation, unless the line is blank.
void Lexer::StartLine() {
  int width = 0;
  int alternative = 0;
  for (;; ++at_) {
    const char c = Peek();
    if (c == ' ') {
      ++width, ++alternative;
    } else if (c == '\t') {
      width = width / 8 * 8 + 8, ++alternative;
    } else if (c == '\f') {
      width = alternative = 0;
    } else {
      break;
    }
  }
  if (Peek() == '#') SkipComment();
  if (AtEnd()) return;
  if (AtLineEnd()) {
    SkipLineEnd();
    return;
  }
  at_line_start_ = false;
  Indentation(width, alternative, Here());
}

void Lexer::Indentation(int width, int alternative, Position position) {
  if (indents_.empty()) indents_.push_back({width, alternative});
  const auto [top, top_alternative] = indents_.back();
  if ((width > top) != (alternative > top_alternative) ||
      (width < top) != (alternative < top_alternative)) {
    diagnostics_.Error(position,
                       "tabs and spaces are mixed so that the indentation "
                       "depends on the width of a tab");
    if (width > top) alternative = top_alternative + 1;  // Said once.
  }
  if (width > top) {
    indents_.push_back({width, alternative});
    Emit(Token::Kind::kIndent, position);
    return;
  }
  while (width < indents_.back().first) {
    const size_t depth = indents_.size();
    if (depth == 1 || width > indents_[depth - 2].first) {
      // Taken as a line of the inner block.
      diagnostics_.Error(position,
                         "this line's indentation matches no block above it");
      indents_.back() = {width, alternative};
      return;
    }
    indents_.pop_back();
    Emit(Token::Kind::kDedent, position);
  }
}

void Lexer::LexToken() {
  const char c = Peek();
  if (c == ' ' || c == '\t' || c == '\f') {
    ++at_;
  } else if (c == '#') {
    SkipComment();
  } else if (c == '\n' || c == '\r') {
    const Position position = Here();
    SkipLineEnd();
    if (!brackets_.empty()) return;
    Emit(Token::Kind::kNewline, position);
    at_line_start_ = true;
  } else if (c == '\\' && (Peek(1) == '\n' || Peek(1) == '\r')) {
    ++at_;
    SkipLineEnd();
  } else if (!absl::ascii_isdigit(c) && NameEnd(at_) > at_) {
    LexName();
  } else if (absl::ascii_isdigit(c) ||
             (c == '.' && absl::ascii_isdigit(Peek(1)))) {
    LexNumber();
  } else if (c == '"' || c == '\'') {
    LexString(0, /*raw=*/false);
  } else {
    LexOperator();
  }
}

// The end of the run of letters, digits and underscores at `at`.
size_t Lexer::NameEnd(size_t at) const {
  while (at < text_.size()) {
    if (IsNameByte(text_[at])) {
      ++at;
      continue;
    }
    uint32_t code_point = 0;
    const int length = DecodeUtf8(text_.substr(at), code_point);
    if (length < 2 || !IsLetter(code_point)) break;
    at += length;
  }
  return at;
}

void Lexer::LexName() {
  const size_t end = NameEnd(at_);
  const std::string_view name = text_.substr(at_, end - at_);
  if (end < text_.size() && (text_[end] == '"' || text_[end] == '\'')) {
    const std::string prefix =
        absl::AsciiStrToLower(std::string(name.substr(0, 3)));
    if (prefix == "r" || prefix == "u") {
      LexString(name.size(), prefix == "r");
      return;
    }
  }
  // A bracket left open swallows the lines after it; these words cannot occur
  // inside one, so the text goes on as if it had been closed.
  if (!brackets_.empty() && brackets_.back().position.line != line_ &&
      (name == "def" || name == "return" || name == "elif")) {
    const std::string_view before =
        text_.substr(line_start_, at_ - line_start_);
    if (before.find_first_not_of(" \t") == std::string_view::npos) {
      UnclosedBracket();
      at_ = line_start_;
      at_line_start_ = true;
      return;
    }
  }
  Emit(Token::Kind::kName, Here(), NormalizedName(name));
  at_ = end;
}

void Lexer::UnclosedBracket() {
  const Bracket bracket = brackets_.back();
  diagnostics_.Error(bracket.position, Concat("'", std::string(1, bracket.open),
                                              "' is never closed"));
  brackets_.clear();
  Emit(Token::Kind::kBad, Here());
  Emit(Token::Kind::kNewline, Here());
}

// 0x, 0o and 0b. False if there is no such prefix here.
bool Lexer::LexRadix(Token& token) {
  const char letter = absl::ascii_tolower(Peek(1));
  const int radix = letter == 'x'   ? 16
                    : letter == 'o' ? 8
                    : letter == 'b' ? 2
                                    : 0;
  if (Peek() != '0' || radix == 0) return false;
  at_ += 2;
  uint64_t value = 0;
  bool valid = false;
  for (; IsNameByte(Peek()); ++at_) {
    const char c = absl::ascii_tolower(Peek());
    if (c == '_') continue;
    const int digit = absl::ascii_isdigit(c) ? c - '0' : c - 'a' + 10;
    valid = digit < radix && value <= (UINT64_MAX >> 4);
    if (!valid) break;
    value = value * radix + digit;
  }
  if (!valid) {
    diagnostics_.Error(token.position, "malformed or too large whole number");
    while (IsNameByte(Peek())) ++at_;
    token.kind = Token::Kind::kBad;
  }
  token.number = static_cast<double>(value);
  token.is_integer = true;
  return true;
}

// Takes the digits of a number, without '_', to `digits`. False if an '_' does
// not stand between digits.
bool Lexer::TakeDigits(std::string& digits) {
  bool well_placed = true;
  for (; absl::ascii_isdigit(Peek()) || Peek() == '_'; ++at_) {
    if (Peek() != '_') {
      digits += Peek();
    } else if (digits.empty() || !absl::ascii_isdigit(text_[at_ - 1]) ||
               !absl::ascii_isdigit(Peek(1))) {
      well_placed = false;
    }
  }
  return well_placed;
}

// The error of the number `token`, spelled `digits`, behind which `at_` is.
// Skips what belongs to it.
std::string Lexer::NumberProblem(const Token& token, std::string_view digits,
                                 bool well_placed) {
  if (IsNameByte(Peek())) {
    const char c = absl::ascii_tolower(Peek());
    while (IsNameByte(Peek())) ++at_;
    return c == 'j' ? "complex numbers are not supported" : "malformed number";
  }
  if (!well_placed) return "'_' may stand only between digits";
  if (!token.is_integer) return "";
  if (digits.size() > 1 && digits[0] == '0' && token.number != 0) {
    return "a whole number may not start with 0";
  }
  if (token.number == std::numeric_limits<double>::infinity()) {
    return "this whole number is larger than any float64";
  }
  return "";
}

void Lexer::LexNumber() {
  Token token;
  token.kind = Token::Kind::kNumber;
  token.position = Here();
  if (LexRadix(token)) {
    tokens_.push_back(std::move(token));
    return;
  }
  const size_t begin = at_;
  std::string digits;
  bool well_placed = TakeDigits(digits);
  token.is_integer = true;
  if (Peek() == '.') {
    token.is_integer = false;
    digits += '.';
    ++at_;
    well_placed &= TakeDigits(digits);
  }
  const bool sign = Peek(1) == '+' || Peek(1) == '-';
  if (absl::ascii_tolower(Peek()) == 'e' &&
      absl::ascii_isdigit(Peek(sign ? 2 : 1))) {
    token.is_integer = false;
    digits += text_.substr(at_, sign ? 2 : 1);
    at_ += sign ? 2 : 1;
    well_placed &= TakeDigits(digits);
  }
  const auto result = absl::from_chars(
      digits.data(), digits.data() + digits.size(), token.number);
  if (result.ec == std::errc::result_out_of_range && token.number > 1) {
    token.number = std::numeric_limits<double>::infinity();
  }
  const std::string problem = NumberProblem(token, digits, well_placed);
  if (!problem.empty()) {
    diagnostics_.Error(
        token.position,
        Concat(problem, ": ", Quoted(text_.substr(begin, at_ - begin))));
    token.kind = Token::Kind::kBad;
  }
  tokens_.push_back(std::move(token));
}

// One character after a backslash, `at_` being on it.
void Lexer::LexEscape(std::string& value) {
  if (Peek() == '\n' || Peek() == '\r') {
    SkipLineEnd();
    return;
  }
  switch (Peek()) {
    case 'n':
      value += '\n';
      break;
    case 't':
      value += '\t';
      break;
    case '\\':
    case '\'':
    case '"':
      value += Peek();
      break;
    default:  // Kept as it is written, as Python does.
      value += '\\';
      value += Peek();
  }
  ++at_;
}

void Lexer::LexString(size_t prefix_bytes, bool raw) {
  const Position position = Here();
  at_ += prefix_bytes;
  const char quote = Peek();
  const bool triple = Peek(1) == quote && Peek(2) == quote;
  at_ += triple ? 3 : 1;
  std::string value;
  while (!AtEnd()) {
    const char c = Peek();
    if (c == quote && (!triple || (Peek(1) == quote && Peek(2) == quote))) {
      at_ += triple ? 3 : 1;
      Emit(Token::Kind::kString, position, value);
      return;
    }
    if (c == '\n' || c == '\r') {
      if (!triple) break;
      value += '\n';
      SkipLineEnd();
    } else if (c == '\\' && at_ + 1 < text_.size()) {
      ++at_;
      if (raw) {
        value += c;
        if (Peek() != '\n' && Peek() != '\r') {
          value += Peek();
          ++at_;
        }
      } else {
        LexEscape(value);
      }
    } else {
      value += c;
      ++at_;
    }
  }
  diagnostics_.Error(position, "this string is never closed");
  Emit(Token::Kind::kBad, position);
}

void Lexer::CloseBracket(char close, Position position) {
  const char open = close == ')' ? '(' : close == ']' ? '[' : '{';
  if (!brackets_.empty() && brackets_.back().open == open) {
    brackets_.pop_back();
    return;
  }
  if (brackets_.empty()) {
    diagnostics_.Error(position,
                       Concat("'", std::string(1, close), "' closes nothing"));
  } else {
    const Bracket bracket = brackets_.back();
    diagnostics_.Error(
        position, Concat("'", std::string(1, close), "' does not match '",
                         std::string(1, bracket.open), "' opened at ",
                         bracket.position.line, ":", bracket.position.column));
    brackets_.pop_back();
  }
  tokens_.back().kind = Token::Kind::kBad;
}

void Lexer::LexOperator() {
  const std::string_view rest = text_.substr(at_);
  for (std::string_view op : kOperators) {
    if (rest.substr(0, op.size()) != op) continue;
    const Position position = Here();
    Emit(Token::Kind::kOperator, position, op);
    at_ += op.size();
    if (op == "(" || op == "[" || op == "{") {
      brackets_.push_back({op[0], position});
    } else if (op == ")" || op == "]" || op == "}") {
      CloseBracket(op[0], position);
    }
    return;
  }
  LexUnknown();
}

// Bytes that start no token: one report for a run of them.
void Lexer::LexUnknown() {
  const Position position = Here();
  uint32_t code_point = 0;
  const int length = DecodeUtf8(text_.substr(at_), code_point);
  if (length == 1 && code_point >= 0x20 && code_point != 0x7F) {
    const char c = Peek();
    const std::string_view hint = c == '!'   ? ": write not"
                                  : c == '?' ? ": write a if condition else b"
                                             : "";
    diagnostics_.Error(position, Concat("unexpected character '",
                                        std::string(1, c), "'", hint));
  } else if (length > 1 && code_point >= 0xA0) {
    std::string message = absl::StrFormat(
        "character U+%04X is not allowed outside comments", code_point);
    for (const LookAlike& row : kLookAlikes) {
      if (row.code_point == code_point) {
        message += Concat(": write ", row.meant);
      }
    }
    diagnostics_.Error(position, std::move(message));
  }  // The rest CheckBytes() has reported.
  Emit(Token::Kind::kBad, position);
  at_ += std::max(length, 1);
  while (!AtEnd() && (Peek() & 0x80) != 0 && NameEnd(at_) == at_) ++at_;
}

}  // namespace

std::vector<Token> Tokenize(std::string_view text, Diagnostics& diagnostics) {
  return Lexer(text, diagnostics).Run();
}

bool IsKeyword(std::string_view word) {
  static constexpr std::string_view kKeywords[] = {
      "False",  "None",   "True",    "and",      "as",       "assert", "async",
      "await",  "break",  "class",   "continue", "def",      "del",    "elif",
      "else",   "except", "finally", "for",      "from",     "global", "if",
      "import", "in",     "is",      "lambda",   "nonlocal", "not",    "or",
      "pass",   "raise",  "return",  "try",      "while",    "with",   "yield",
  };
  return std::binary_search(std::begin(kKeywords), std::end(kKeywords), word);
}

}  // namespace actserve
