#include "kernels/lang/canonical.h"

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/base/text.h"
#include "kernels/lang/parser.h"

namespace actserve {
namespace {

Module MustParse(const std::string& text) {
  Diagnostics diagnostics(text);
  std::optional<Module> module =
      Parse(text, {{"OUTSIDE", 0.5}}, LanguageLimits(), diagnostics);
  EXPECT_TRUE(module) << diagnostics.Render();
  return module ? std::move(*module) : Module();
}

std::string Form(const std::string& text) {
  return CanonicalForm(MustParse(text), nullptr, false);
}

constexpr char kSpiky[] = R"py(
def spiky(x):
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0
)py";

// Every kind of node, written once. These bytes are frozen: a difference
// means that every id in checkpoints and clients has changed.
constexpr char kEverything[] = R"py(
def h(v, k=2.0):
    return v ** k
def f(x, g, alpha=0.25):
    a, b = x, -g
    s = 0
    for i in range(1, 4):
        s += i * h(x)
    if 0 < x <= 3 and not b == 2 or True:
        s = relu(x) - tanh(a) // b
    else:
        s = x % 2 if x != 1 else alpha / nan
    return s + h(a, 3)
def f_grad(x, g, dy, alpha):
    return dy * alpha, dy
)py";

TEST(Canonical, FormIsFrozen) {
  EXPECT_EQ(Form(kSpiky),
            "(activation v1 ((input x)) "
            "((set (1) (% $0 #3ff0000000000000)) "
            "(if (compare <= $1 #3fe0000000000000) ((return $1)) "
            "((return #0000000000000000)))))");
  EXPECT_EQ(
      Form(kEverything),
      "(activation v1 ((input x) (input g) (parameter alpha "
      "#3fd0000000000000)) ((set (3 4) $0 (neg $1)) "
      "(set (5) #0000000000000000) "
      "(for 6 #3ff0000000000000 #4010000000000000 #3ff0000000000000 "
      "((set (5) (+ $5 (* $6 (apply "
      "c30049a8948f2ca2dae5ccb4794e1163ceaf119fe80e8a057168baf957735111 "
      "$0 #4000000000000000)))))) "
      "(if (or (and (compare < <= #0000000000000000 $0 #4008000000000000) "
      "(not (compare == $4 #4000000000000000))) true) "
      "((set (5) (- (call relu $0) (// (call tanh $3) $4)))) "
      "((set (5) (choose (% $0 #4000000000000000) "
      "(compare != $0 #3ff0000000000000) (/ $2 #7ff8000000000000))))) "
      "(return (+ $5 (apply "
      "c30049a8948f2ca2dae5ccb4794e1163ceaf119fe80e8a057168baf957735111 "
      "$3 #4008000000000000)))) "
      "(gradient ((input) (input) (input) (parameter alpha "
      "#3fd0000000000000)) ((return (* $2 $3) $2))))");
}

struct GoldenId {
  std::string text;
  bool exact;
  std::string id;
};

TEST(Canonical, IdsAreFrozen) {
  const std::vector<GoldenId> cases = {
      {kSpiky, false,
       "sha256:"
       "7d90def587fa359b5f99e3efc0186bc46084a127c0558532e2141cc1d494f8f3"},
      {kSpiky, true,
       "sha256:"
       "890bb2206c6d8de2f95d1606ad5341ab2f436e69606b44d777e4de6454de4566"},
      {kEverything, false,
       "sha256:"
       "07da7d40909fbaac7b666c766ddbad736bae60506a234a38fdd06993348ad1c2"},
      {"def gelu(x):\n    return x * normcdf(x)\n", false,
       "sha256:"
       "61f111f832d1456d73d96495d0cb909b95db6f01890826da0df53ed7511853b8"},
      {"def f(x):\n"
       "    return rowsum(x) + rowmax(x) + rowmin(x) + rowmean(x) + "
       "rowsize(x)\n",
       false,
       "sha256:"
       "b214eebf5e0aa2bd87d9a2fa0bc2d05adcb707e619374763f0534bf63bf7e478"},
      {"def softmax(x, temperature=1.0):\n"
       "    e = exp((x - rowmax(x)) / temperature)\n"
       "    return e / rowsum(e)\n",
       false,
       "sha256:"
       "259a6aef1bdecf2750f92873627d55ae6814349e9e83deab6a05b8b07d9f9df1"},
  };
  for (const GoldenId& c : cases) {
    SCOPED_TRACE(c.text);
    EXPECT_EQ(ContentId(MustParse(c.text), nullptr, c.exact), c.id);
  }
}

TEST(Canonical, SpellingDoesNotMatter) {
  const std::vector<std::vector<std::string>> groups = {
      {kSpiky,
       "def other(x):\n  '''doc'''\n  rest = x % 1.0  # comment\n"
       "  if (rest <= 5e-1): return rest\n  else: return 0.0\n"},
      {"def f(x):\n  y = x\n  y += 1\n  return y",
       "def f(x):\n  z = x\n  z = z + 1\n  return z"},
      {"def f(x):\n  a = b = x\n  return a * b",
       "def f(x):\n  a = x\n  c = a\n  return a * c"},
      {"def f(x): return max(x, 0)", "def f(x): return np.maximum(x, 0)",
       "import torch as t\ndef f(x): return t.maximum(x, 0)"},
      {"def f(x): return abs(x)", "def f(x): return x.abs()",
       "def f(x): return tf.math.abs(x)"},
      {"def f(x): return x if x > 0 else 1",
       "def f(x): return tf.where(tf.greater(x, 0), x, tf.constant(1))"},
      {"def f(x): return leaky_relu(x)",
       "def f(x): return F.leaky_relu(x, negative_slope=0.01)"},
      {"def f(x): return x * pi", "def f(x): return x * np.pi",
       "P = math.pi\ndef f(x): return x * P"},
      {"def f(x): return x * 0.5", "def f(x): return x * OUTSIDE"},
      {"def f(x, a=0.5): return x * a", "def f(x, a=1/2): return x * a"},
      {"def h(x): return x + 1\ndef f(x): return h(x)",
       "def unused(x): return x\ndef h(y): return y + 1\n"
       "def f(x): return h(x)"},
  };
  for (const auto& group : groups) {
    for (const std::string& text : group) {
      EXPECT_EQ(Form(text), Form(group[0])) << text;
    }
  }
}

TEST(Canonical, MeaningDoes) {
  // Two helpers of one value, and the gradients declared for them.
  const auto two_helpers = [](std::string_view first, std::string_view second) {
    return Concat("def g(x): return x * 2\ndef h(x): return x * 2\n", first,
                  second, "def f(x): return g(x) + 3 * h(x)");
  };
  constexpr std::string_view five = "def g_grad(x, dy): return dy * 5\n";
  constexpr std::string_view zero = "def h_grad(x, dy): return dy * 0\n";
  const std::vector<std::string> texts = {
      two_helpers("", ""),
      two_helpers(five, ""),
      two_helpers("", zero),
      two_helpers(five, zero),
      two_helpers("def g_grad(x, dy): return dy * 0\n",
                  "def h_grad(x, dy): return dy * 5\n"),
      two_helpers("def g_grad(x, dy): return g(dy)\n", ""),
      kSpiky,
      kEverything,
      "def f(x): return x",
      "def f(y): return y",
      "def f(x, a=1.0): return x",
      "def f(x, a=2.0): return x",
      "def f(x, b=1.0): return x",
      "def f(x, a): return x",
      "def f(x): return -x",
      "def f(x): return x + 1",
      "def f(x): return 1 + x",
      "def f(x): return x + 2",
      "def f(x): return x * 0.0",
      "def f(x): return x * -0.0",
      "def h(x): return x + 1\ndef f(x): return h(x)",
      "def h(x): return x + 2\ndef f(x): return h(x)",
      "def f(x): return x\ndef f_grad(x, dy): return dy",
      "def f(x): return x\ndef f_grad(x, dy): return x",
      "def f(x, a=1, b=1): return x\ndef f_grad(x, dy, a): return dy * a",
      "def f(x, a=1, b=1): return x\ndef f_grad(x, dy, b): return dy * b",
  };
  std::set<std::string> ids;
  for (const std::string& text : texts) {
    EXPECT_TRUE(ids.insert(ContentId(MustParse(text), nullptr, false)).second)
        << text;
  }
  const Module module = MustParse(texts[0]);
  const Module one = MustParse("def d(x): return 1");
  const Module two = MustParse("def d(x): return 2");
  EXPECT_TRUE(ids.insert(ContentId(module, nullptr, true)).second);
  EXPECT_TRUE(ids.insert(ContentId(module, &one, false)).second);
  EXPECT_TRUE(ids.insert(ContentId(module, &two, false)).second);
  EXPECT_TRUE(ids.insert(ContentId(module, &two, true)).second);
}

// Helpers that each call the one before twice: 4,096 terms if inlined.
TEST(Canonical, FormDoesNotGrowWithInlining) {
  std::string text = "def h0(x): return x\n";
  for (int i = 1; i <= 12; ++i) {
    text +=
        Concat("def h", i, "(x): return h", i - 1, "(x) + h", i - 1, "(x)\n");
  }

  EXPECT_LT(Form(text).size(), 500);
}

}  // namespace
}  // namespace actserve
