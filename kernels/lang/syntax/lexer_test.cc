#include "kernels/lang/syntax/lexer.h"

#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/base/text.h"

namespace actserve {
namespace {

// The tokens as words: names and operators as they are, the others by kind.
std::string Words(const std::string& text) {
  Diagnostics diagnostics(text);
  std::string out;
  for (const Token& token : Tokenize(text, diagnostics)) {
    if (!out.empty()) out += ' ';
    switch (token.kind) {
      case Token::Kind::kName:
      case Token::Kind::kOperator:
        out += token.text;
        break;
      case Token::Kind::kNumber:
        out += Concat(token.number);
        break;
      case Token::Kind::kString:
        out += Concat("'", token.text, "'");
        break;
      case Token::Kind::kNewline:
        out += "NL";
        break;
      case Token::Kind::kIndent:
        out += "IN";
        break;
      case Token::Kind::kDedent:
        out += "OUT";
        break;
      case Token::Kind::kBad:
        out += "BAD";
        break;
      case Token::Kind::kEnd:
        out += "END";
        break;
    }
  }
  EXPECT_EQ(diagnostics.num_errors(), 0) << diagnostics.Render();
  return out;
}

struct Case {
  std::string text;
  std::string words;
};

TEST(Tokenize, FollowsPythonsLines) {
  const std::vector<Case> cases = {
      {"", "END"},
      {"\n\n  \n# only a comment", "END"},
      {"a", "a NL END"},
      {"a\nb", "a NL b NL END"},
      {"a\r\nb\rc\n", "a NL b NL c NL END"},
      {"\xEF\xBB\xBF"
       "a",
       "a NL END"},
      {"a # comment \xC3\xA9\nb", "a NL b NL END"},
      {"a:\n  b\n  c\nd", "a : NL IN b NL c NL OUT d NL END"},
      {"a:\n  b:\n    c", "a : NL IN b : NL IN c NL OUT OUT END"},
      {"a:\n  b:\n    c\nd", "a : NL IN b : NL IN c NL OUT OUT d NL END"},
      {"a:\n\tb\n\tc", "a : NL IN b NL c NL OUT END"},
      {"a:\n  b\n\n# x\n    # y\n  c", "a : NL IN b NL c NL OUT END"},
      {"    a:\n      b\n    c", "a : NL IN b NL OUT c NL END"},
      {"(a\n  b\n\n# c\n)", "( a b ) NL END"},
      {"a \\\n  b", "a b NL END"},
      {"a\fb", "a b NL END"},
      {"a; b", "a ; b NL END"},
  };
  for (const Case& c : cases) EXPECT_EQ(Words(c.text), c.words) << c.text;
}

TEST(Tokenize, ReadsLettersOutsideAsciiAsPythonDoes) {
  const std::vector<Case> cases = {
      {"\u03B1*\u03B21_", "\u03B1 * \u03B21_ NL END"},
      {"\u0434\u03C3x", "\u0434\u03C3x NL END"},
      // The symbol and the letter are one name.
      {"\u03D5 \u03C6", "\u03C6 \u03C6 NL END"},
      {"\u00B5", "\u03BC NL END"},
  };
  for (const Case& c : cases) EXPECT_EQ(Words(c.text), c.words) << c.text;
}

TEST(Tokenize, DropsThePromptsOfASession) {
  const std::vector<Case> cases = {
      {">>> a:\n...   b\n... \n>>> c", "a : NL IN b NL OUT c NL END"},
      {"\n >>> (a\n ... b)\n", "( a b ) NL END"},
      {">>> a\n...\n>>>\n", "a NL END"},
      {"In [12]: a:\n    ...:   b\n    ...: c", "a : NL IN b NL OUT c NL END"},
      {"In [9]: a\n\nIn [10]: b\n", "a NL b NL END"},
      {"a\n...", "a NL ... NL END"},
  };
  for (const Case& c : cases) EXPECT_EQ(Words(c.text), c.words) << c.text;
}

TEST(Tokenize, TakesTheLongestOperator) {
  const std::vector<Case> cases = {
      {"a**b*c", "a ** b * c NL END"},
      {"a//=b", "a //= b NL END"},
      {"a<=b<c!=d", "a <= b < c != d NL END"},
      {"a:=b->c", "a := b -> c NL END"},
      {"x.y...", "x . y ... NL END"},
      {"a-->b", "a - -> b NL END"},
  };
  for (const Case& c : cases) EXPECT_EQ(Words(c.text), c.words) << c.text;
}

TEST(Tokenize, ReadsStringsForDocstrings) {
  const std::vector<Case> cases = {
      {"'a' \"b\"", "'a' 'b' NL END"},
      {"'''a\n'b'\n'''", "'a\n'b'\n' NL END"},
      {"\"\"\"a\r\nb\"\"\"", "'a\nb' NL END"},
      {R"('a\n\'\\\d')", "'a\n'\\\\d' NL END"},
      {R"(r'a\n\'')", "'a\\n\\'' NL END"},
      {"'a\\\nb'", "'ab' NL END"},
      {"''", "'' NL END"},
  };
  for (const Case& c : cases) EXPECT_EQ(Words(c.text), c.words) << c.text;
}

struct NumberCase {
  std::string text;
  double value;
  bool is_integer;
};

TEST(Tokenize, ReadsNumbersExactly) {
  const std::vector<NumberCase> cases = {
      {"0", 0, true},
      {"00", 0, true},
      {"42", 42, true},
      {"1_000_000", 1e6, true},
      {"0x1F", 31, true},
      {"0b1_01", 5, true},
      {"0o17", 15, true},
      {"9007199254740993", 9007199254740992.0, true},
      {"1.", 1, false},
      {".5", 0.5, false},
      {"5.e1", 50, false},
      {"1e-3", 0.001, false},
      {"1E+3", 1000, false},
      {"0.1", 0.1, false},
      {"0.7071067811865476", 0.7071067811865476, false},
      {"1.0507009873554804934193349852946", 1.0507009873554805, false},
      {"4.9e-324", 4.9e-324, false},
      {"1e-400", 0, false},
      {"1e400", std::numeric_limits<double>::infinity(), false},
  };
  for (const NumberCase& c : cases) {
    SCOPED_TRACE(c.text);
    Diagnostics diagnostics(c.text);

    const std::vector<Token> tokens = Tokenize(c.text, diagnostics);

    EXPECT_EQ(diagnostics.num_errors(), 0) << diagnostics.Render();
    ASSERT_EQ(tokens.size(), 3);
    EXPECT_EQ(tokens[0].kind, Token::Kind::kNumber);
    EXPECT_EQ(tokens[0].number, c.value);
    EXPECT_EQ(tokens[0].is_integer, c.is_integer);
  }
}

TEST(Tokenize, PositionsCountFromOneInBytes) {
  const std::string text = "a\n  bc = (\n 12)";
  Diagnostics diagnostics(text);

  const std::vector<Token> tokens = Tokenize(text, diagnostics);

  const std::vector<std::vector<int>> want = {{1, 1}, {1, 2}, {2, 3}, {2, 3},
                                              {2, 6}, {2, 8}, {3, 2}, {3, 4}};
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(tokens[i].position.line, want[i][0]) << i;
    EXPECT_EQ(tokens[i].position.column, want[i][1]) << i;
  }
}

}  // namespace
}  // namespace actserve
