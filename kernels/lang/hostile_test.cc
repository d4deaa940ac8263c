// Texts written to break the parser: none may crash it, take long, or leave
// it without an answer.

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/base/text.h"
#include "kernels/base/unicode.h"
#include "kernels/catalog/catalog.h"
#include "kernels/lang/canonical.h"
#include "kernels/lang/parser.h"

namespace actserve {
namespace {

std::string Repeat(std::string_view part, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += part;
  return out;
}

// Parses and checks what holds of every text.
std::optional<Module> ParseAnything(const std::string& text,
                                    const LanguageLimits& limits) {
  Diagnostics diagnostics(text);
  std::optional<Module> module = Parse(text, {}, limits, diagnostics);
  EXPECT_EQ(module.has_value(), !diagnostics.has_errors());
  int lines = 2;  // One more than there are, for what is missing at the end.
  for (char c : text) lines += c == '\n' || c == '\r';
  for (const Diagnostic& diagnostic : diagnostics.list()) {
    EXPECT_GE(diagnostic.position.line, 1);
    EXPECT_LE(diagnostic.position.line, lines);
    EXPECT_GE(diagnostic.position.column, 1);
    EXPECT_LE(diagnostic.position.column, static_cast<int>(text.size()) + 1);
    EXPECT_FALSE(diagnostic.message.empty());
    EXPECT_LT(diagnostic.message.size(), 500);
  }
  const std::string rendered = diagnostics.Render();
  for (size_t i = 0; i < rendered.size();) {
    const char c = rendered[i];
    uint32_t code_point = 0;
    const int length =
        DecodeUtf8(std::string_view(rendered).substr(i), code_point);
    EXPECT_TRUE((c >= 0x20 && c < 0x7F) || c == '\n' || c == '\t' ||
                (length > 1 && IsLetter(code_point)));
    i += std::max(length, 1);
  }
  if (module) {
    EXPECT_FALSE(CanonicalForm(*module, nullptr, false).empty());
  }
  return module;
}

std::string NestedIfs(int depth) {
  std::string text = "def f(x):\n";
  for (int i = 1; i <= depth; ++i) text += Repeat(" ", i) + "if x > 0:\n";
  return text + Repeat(" ", depth + 1) + "return x\n";
}

std::string HelperChain(int length) {
  std::string text = "def h0(x): return -x\n";
  for (int i = 1; i <= length; ++i) {
    text += Concat("def h", i, "(x): return -h", i - 1, "(x)\n");
  }
  return text;
}

struct DeepText {
  std::string name;
  std::string text;
};

std::vector<DeepText> DeepTexts() {
  constexpr int kMany = 100000;
  const auto returning = [](std::string expression) {
    return "def f(x):\n  return " + std::move(expression) + "\n";
  };
  return {
      {"parentheses", returning(Repeat("(", kMany) + "x" + Repeat(")", kMany))},
      {"open parentheses", returning(Repeat("(", kMany))},
      {"open brackets", returning(Repeat("[", kMany))},
      {"mixed brackets", returning(Repeat("([{", kMany))},
      {"closing parentheses", returning(Repeat(")", kMany))},
      {"not", returning(Repeat("not ", kMany) + "x")},
      {"minus", returning(Repeat("-", kMany) + "x")},
      {"plus", returning(Repeat("+", kMany) + "x")},
      {"invert", returning(Repeat("~", kMany) + "x")},
      {"powers", returning(Repeat("x**", kMany) + "x")},
      {"sum", returning(Repeat("x+", kMany) + "x")},
      {"product", returning(Repeat("x*", kMany) + "x")},
      {"bitwise", returning(Repeat("x|x&x^", kMany) + "x")},
      {"conditionals", returning(Repeat("x if x > 0 else ", kMany) + "x")},
      {"conditions", returning(Repeat("x if ", kMany) + "x")},
      {"lambdas", returning(Repeat("lambda: ", kMany) + "x")},
      {"walrus", returning(Repeat("x := ", kMany) + "x")},
      {"calls", returning(Repeat("exp(", kMany) + "x" + Repeat(")", kMany))},
      {"open calls", returning(Repeat("exp(", kMany))},
      {"keywords", returning(Repeat("f(x=", kMany))},
      {"methods", returning("x" + Repeat(".abs()", kMany))},
      {"attributes", returning("x" + Repeat(".abs", kMany))},
      {"calls of calls", returning("x" + Repeat("()", kMany))},
      {"indices", returning("x" + Repeat("[0]", kMany))},
      {"comparisons", returning(Repeat("x < ", kMany) + "x")},
      {"ands", returning(Repeat("x > 0 and ", kMany) + "x > 0")},
      {"commas", returning(Repeat("x, ", kMany) + "x")},
      {"strings", returning(Repeat("'' ", kMany))},
      {"assignments", "def f(x):\n  " + Repeat("y = ", kMany) + "x\n"},
      {"one-line ifs", "def f(x):\n  " + Repeat("if x: ", kMany)},
      {"ifs", NestedIfs(1000)},
      {"defs on one line", Repeat("def f(x): ", kMany)},
      {"elifs", "def f(x):\n  if x > 0:\n    return x\n" +
                    Repeat("  elif x > 1:\n    return x\n", kMany / 10)},
      {"else ifs", "def f(x):\n  if x > 0:\n    return x\n" +
                       Repeat("  else if x > 1:\n    return x\n", kMany / 10)},
      {"whiles", "def f(x):\n  " + Repeat("while x: ", kMany)},
      {"tries", "def f(x):\n  " + Repeat("try: ", kMany)},
      {"decorators", Repeat("@a\n", kMany) + "def f(x): return x\n"},
      {"helpers", HelperChain(3000)},
      {"helpers backwards", "def f(x): return g(x)\n" + HelperChain(3000)},
      {"statements",
       "def f(x):\n" + Repeat("  y = x\n", kMany) + "  return y\n"},
      {"long name", "def f(x):\n  return " + Repeat("y", kMany) + "\n"},
      {"long number", "def f(x):\n  return " + Repeat("1", kMany) + "\n"},
      {"long fraction", "def f(x):\n  return 0." + Repeat("1", kMany) + "\n"},
      {"long exponent", "def f(x):\n  return 1e" + Repeat("9", kMany) + "\n"},
      {"long hexadecimal", "def f(x):\n  return 0x" + Repeat("f", kMany)},
      {"NULs", std::string(kMany, '\0')},
      {"high bytes", std::string(kMany, '\xFF')},
      {"backslashes", Repeat("\\\n", kMany)},
      {"blank lines", Repeat("\n", kMany)},
      {"carriage returns", Repeat("\r", kMany)},
      {"tabs", Repeat("\t", kMany)},
      {"unknown names", returning(Repeat("a1()+", 60) + "x")},
      {"staircase",
       [] {
         std::string text = "def f(x):\n";
         for (int i = 1; i < 500; ++i) text += Repeat(" ", i) + "x\n";
         return text;
       }()},
  };
}

void ParseDeepTexts() {
  LanguageLimits limits;
  limits.source_bytes = 64 << 20;
  for (const DeepText& c : DeepTexts()) {
    SCOPED_TRACE(c.name);
    const auto start = std::chrono::steady_clock::now();
    ParseAnything(c.text, limits);
    const std::chrono::duration<double> taken =
        std::chrono::steady_clock::now() - start;
    EXPECT_LT(taken.count(), 20.0);  // Minutes, if something were quadratic.
  }
}

// On a stack of 1 MiB, an eighth of what threads get, sanitizers included.
TEST(HostileText, NestingNeverOverflowsTheStack) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 1 << 20);
  pthread_t thread;
  const auto run = [](void*) -> void* {
    ParseDeepTexts();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, nullptr), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(HostileText, SizeLimitComesFirst) {
  const std::string text(LanguageLimits().source_bytes + 1, '(');
  Diagnostics diagnostics(text);

  EXPECT_FALSE(Parse(text, {}, LanguageLimits(), diagnostics));

  ASSERT_EQ(diagnostics.list().size(), 1);
  EXPECT_EQ(diagnostics.list()[0].message,
            "the text has 16385 bytes, limit 16384");
}

// What Python's keywords and the language's own words look like to a mutator.
constexpr std::string_view kWords[] = {
    "def ",   "return ", "if ",     "else",   ":",       "(",      ")",
    "x",      "=",       "**",      "\n",     "\n  ",    " ",      ",",
    ".",      "elif ",   "for ",    "in ",    "range(",  "while ", "[",
    "]",      "not ",    "and ",    "1e308",  "0x",      "'",      "\"\"\"",
    "\\",     "#",       "lambda ", "yield",  "import ", "from ",  "as ",
    "@",      "None",    "True",    "-",      "//",      "%",      "<",
    "==",     ":=",      "*",       "\t",     "\r\n",    "f",      "dy",
    "f_grad", "max(",    "np.",     "x.abs()"};

std::string Mutate(std::string text, std::mt19937& random) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  const int edits = 1 + static_cast<int>(below(6));
  for (int i = 0; i < edits; ++i) {
    const size_t at = below(text.size() + 1);
    const size_t length = below(std::min<size_t>(text.size() - at, 20) + 1);
    switch (below(5)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, kWords[below(std::size(kWords))]);
        break;
      case 2:
        text.insert(at, 1, static_cast<char>(below(256)));
        break;
      case 3:
        text.insert(below(text.size() + 1), text.substr(at, length));
        break;
      case 4:
        text.replace(at, length, kWords[below(std::size(kWords))]);
        break;
    }
  }
  return text;
}

TEST(HostileText, MutationsOfRealTextsAreAnswered) {
  constexpr uint32_t kSeed = 20240611;
  constexpr int kRounds = 500;
  std::mt19937 random(kSeed);
  int accepted = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (const CatalogEntry& entry : Catalog()) {
      const std::string text = Mutate(std::string(entry.text), random);
      SCOPED_TRACE(text);
      accepted += ParseAnything(text, LanguageLimits()).has_value();
    }
  }
  EXPECT_GT(accepted, 0);  // Or the mutations explore nothing.
}

TEST(HostileText, RandomBytesAreAnswered) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 200, '\0');
    for (char& c : text) c = static_cast<char>(random());
    ParseAnything(text, LanguageLimits());
    for (char& c : text) c = static_cast<char>((c & 0x7F) % 96 + 32);
    ParseAnything(text, LanguageLimits());
  }
}

}  // namespace
}  // namespace actserve
