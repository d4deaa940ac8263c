#include "kernels/lang/parser.h"

#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/base/text.h"
#include "kernels/catalog/catalog.h"
#include "kernels/lang/canonical.h"

namespace actserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

std::optional<Module> ParseText(
    const std::string& text,
    const std::map<std::string, double>& constants = {},
    const LanguageLimits& limits = LanguageLimits()) {
  Diagnostics diagnostics(text);
  std::optional<Module> module = Parse(text, constants, limits, diagnostics);
  EXPECT_TRUE(module) << diagnostics.Render();
  return module;
}

std::string Form(const std::string& text) {
  const std::optional<Module> module = ParseText(text);
  return module ? CanonicalForm(*module, nullptr, false) : "";
}

// Two ways to write one thing.
struct Same {
  std::string written;
  std::string meant;
};

TEST(Parse, FollowsPythonsPrecedence) {
  const std::vector<Same> cases = {
      {"x - g - a", "(x - g) - a"},
      {"x / g * a", "(x / g) * a"},
      {"x - g * a", "x - (g * a)"},
      {"x // g % a", "(x // g) % a"},
      {"-x ** 2", "-(x ** 2)"},
      {"x ** -g", "x ** (-g)"},
      {"x ** g ** a", "x ** (g ** a)"},
      {"-x * g", "(-x) * g"},
      {"- -x", "-(-x)"},
      {"+x", "x"},
      {"-x.abs()", "-(x.abs())"},
      {"x.abs() ** 2", "(abs(x)) ** 2"},
      {"1 if x + 1 < g * 2 else 0", "1 if (x + 1) < (g * 2) else 0"},
      {"1 if not x < g else 0", "1 if (not (x < g)) else 0"},
      {"1 if not x < 1 and g < 1 else 0",
       "1 if (not (x < 1)) and g < 1 else 0"},
      {"1 if x < 1 or x > 2 and g > 3 else 0",
       "1 if x < 1 or (x > 2 and g > 3) else 0"},
      {"1 if x < 1 else 2 if x < 2 else 3",
       "1 if x < 1 else (2 if x < 2 else 3)"},
      {"x + 1 if x < 1 else g - 1", "(x + 1) if (x < 1) else (g - 1)"},
      {"exp(x)", "exp(x,)"},
  };
  const auto text = [](const std::string& expression) {
    return Concat("def f(x, g, a=0.5): return ", expression);
  };
  for (const Same& c : cases) {
    EXPECT_EQ(Form(text(c.written)), Form(text(c.meant))) << c.written;
  }
}

TEST(Parse, ChainedComparisonsStayOneNode) {
  const auto module = ParseText("def f(x): return 1 if 0 < x <= 1 != 2 else x");

  const Expr& condition = *module->functions[0].body[0].values[0]->args[1];
  EXPECT_EQ(condition.kind, Expr::Kind::kCompare);
  EXPECT_THAT(condition.ops, ElementsAre("<", "<=", "!="));
  EXPECT_EQ(condition.args.size(), 4);
}

TEST(Parse, RewritesStatements) {
  const std::vector<Same> cases = {
      {"  x += 1\n  return x", "  x = x + 1\n  return x"},
      {"  x **= 2; x //= 3; x %= 4\n  return x",
       "  x = x ** 2\n  x = x // 3\n  x = x % 4\n  return x"},
      {"  x -= 1 + g\n  return x", "  x = x - (1 + g)\n  return x"},
      {"  a = b = x\n  return a + b", "  a = x\n  b = a\n  return a + b"},
      {"  a, b = c, d = x, g\n  return a + d",
       "  a, b = x, g\n  c, d = a, b\n  return a + d"},
      {"  (a, b) = (x, g)\n  return a - b", "  a, b = x, g\n  return a - b"},
      {"  y: float = x\n  return y", "  y = x\n  return y"},
      {"  y: float\n  return x", "  return x"},
      {"  'doc'\n  pass\n  return x", "  return x"},
      {"  if x > 0: return x\n  return 0",
       "  if x > 0:\n    return x\n  return 0"},
      {"  if x > 0:\n    return x\n  elif g > 0:\n    return g\n  else:\n"
       "    return 0",
       "  if x > 0:\n    return x\n  else:\n    if g > 0:\n      return g\n"
       "    else:\n      return 0"},
      {"  if x > 0: y = 1; z = 2\n  else: y = z = 3\n  return y + z",
       "  if x > 0:\n    y = 1\n    z = 2\n  else:\n    y = 3\n    z = y\n"
       "  return y + z"},
      {"  for i in range(3): x += i\n  return x",
       "  for i in range(0, 3, 1):\n    x = x + i\n  return x"},
      {"  import math as m\n  return m.exp(x)", "  return exp(x)"},
      {"  return (x +\n    g)", "  return x + g"},
      {"  return x + \\\n    g", "  return x + g"},
      {"  return(x)", "  return x"},
  };
  const auto text = [](const std::string& body) {
    return Concat("def f(x, g):\n", body, "\n");
  };
  for (const Same& c : cases) {
    EXPECT_EQ(Form(text(c.written)), Form(text(c.meant))) << c.written;
  }
}

TEST(Parse, ReadsDefinitions) {
  const std::vector<Same> cases = {
      {"def f(x: torch.Tensor, a: Optional[float] = 1.0) -> Dict[str, int]: "
       "return x",
       "def f(x, a=1.0): return x"},
      {"def f(x, /, *, a=1): return x", "def f(x, a=1): return x"},
      {"@tf.function\n@jax.jit\ndef f(x): return x", "def f(x): return x"},
      {"from functools import partial\n@partial(jax.jit, static_argnums=1)\n"
       "def f(x): return x",
       "def f(x): return x"},
      {"def f(x): return x\nf = torch.compile(jax.jit(f))",
       "def f(x): return x"},
      {"import actserve as act\n@act.activation(exact=True)\ndef f(x): "
       "return x",
       "def f(x): return x"},
      {"from torch import jit\n@jit.script\ndef f(x): return x",
       "def f(x): return x"},
      {"import torch.nn.functional as T, math\ndef f(x): return T.relu(x)",
       "def f(x): return relu(x)"},
      {"from math import (exp as e1, pi)\ndef f(x): return e1(x) * pi",
       "def f(x): return exp(x) * pi"},
      {"from math import *\ndef f(x): return exp(x)",
       "def f(x): return exp(x)"},
      {"from keras import backend as B\ndef f(x): return B.exp(x)",
       "def f(x): return exp(x)"},
      {"from __future__ import annotations\nfrom typing import Any\n"
       "def f(x: Any): return x",
       "def f(x): return x"},
      {"'''doc'''\nA, B = 1, 2\nC = -A / B\ndef f(x): return x * C",
       "def f(x): return x * -0.5"},
      {"    def f(x):\n        return x\n", "def f(x): return x"},
      {"def f(x):\r\n\tif x > 0:\r\n\t\treturn x\r\n\treturn 0\r\n",
       "def f(x):\n  if x > 0:\n    return x\n  return 0"},
      {"def f(x, a=math.sqrt(2 / math.pi)): return x * a",
       "def f(x, a=0.7978845608028654): return x * a"},
      {"def f(x, a=-2 ** 2 // 3 % 5): return x * a",
       "def f(x, a=3.0): return x * a"},
      {"def h(v, k=2, m=3): return v * k + m\ndef f(x): return h(x, m=1)",
       "def h(a, b, c): return a * b + c\ndef f(x): return h(x, 2, 1)"},
      {"def f(x, e): return e * x", "def f(x, e): return (e) * x"},
  };
  for (const Same& c : cases) {
    EXPECT_EQ(Form(c.written), Form(c.meant)) << c.written;
  }
}

TEST(Parse, TheLastFunctionIsTheActivation) {
  struct Case {
    std::string text;
    int main;
    std::optional<int> gradient;
  };
  const std::vector<Case> cases = {
      {"def f(x): return x", 0, std::nullopt},
      {"def h(x): return x\ndef f(x): return h(x)", 1, std::nullopt},
      {"def f(x): return x\ndef f_grad(x, dy): return dy", 0, 1},
      {"def f_grad(x, dy): return dy\ndef f(x): return x", 1, 0},
      {"def h(x): return x\ndef f(x): return h(x)\ndef f_grad(x, dy): "
       "return dy * h(x)",
       1, 2},
      {"def h_grad(x): return x\ndef f(x): return h_grad(x)", 1, std::nullopt},
      {"def no_grad(x): return x", 0, std::nullopt},
  };
  for (const Case& c : cases) {
    const auto module = ParseText(c.text);
    EXPECT_EQ(module->main, c.main) << c.text;
    EXPECT_EQ(module->functions[module->main].gradient, c.gradient) << c.text;
  }
}

TEST(Parse, ParametersOfAGradientHaveTheActivationsDefaults) {
  const auto module = ParseText(
      "def f(x, g, a=0.5): return x\n"
      "def f_grad(x, g, a, dy): return dy * a, dy\n");

  const std::vector<Argument>& arguments = module->functions[1].arguments;
  ASSERT_EQ(arguments.size(), 4);
  EXPECT_EQ(arguments[0].default_value, std::nullopt);
  EXPECT_EQ(arguments[2].default_value, 0.5);
  EXPECT_EQ(arguments[3].default_value, std::nullopt);
}

TEST(Parse, KeepsNameDocstringAndDefaults) {
  const auto module = ParseText(
      "def f(x, alpha=1/3, beta=-1e-3):\n  '''What it\n  is.'''\n"
      "  return x * alpha * beta\n");

  const FunctionDef& f = module->functions[0];
  EXPECT_EQ(f.name, "f");
  EXPECT_EQ(f.docstring, "What it\n  is.");
  EXPECT_EQ(f.position.column, 5);
  EXPECT_EQ(f.arguments[1].default_value, 1.0 / 3);
  EXPECT_EQ(f.arguments[2].default_value, -1e-3);
}

TEST(Parse, BindsNumbersFromOutsideAndSaysSo) {
  const std::string text =
      "SCALE = 2\ndef f(x):\n  return x * SCALE + limit + pi\n";
  Diagnostics diagnostics(text);

  const auto module = Parse(text, {{"limit", 6.5}, {"unused", 1}},
                            LanguageLimits(), diagnostics);

  ASSERT_TRUE(module) << diagnostics.Render();
  EXPECT_THAT(module->constants,
              ElementsAre(Pair("SCALE", 2), Pair("limit", 6.5)));
  ASSERT_EQ(diagnostics.list().size(), 1);
  EXPECT_EQ(diagnostics.list()[0].severity, Diagnostic::Severity::kNote);
  EXPECT_EQ(diagnostics.list()[0].message,
            "'limit' is bound to 6.5 from outside the text");
}

TEST(Parse, RefusesNumbersFromOutsideThatAreNotFinite) {
  const std::string text = "def f(x): return x * limit";
  for (double value : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    Diagnostics diagnostics(text);
    EXPECT_FALSE(
        Parse(text, {{"limit", value}}, LanguageLimits(), diagnostics));
    EXPECT_THAT(diagnostics.list()[0].message, HasSubstr("is not finite"));
  }
}

TEST(Parse, CallsSayWhatTheyCall) {
  struct Case {
    std::string text;
    Expr::Callee callee;
    std::string name;
  };
  const std::vector<Case> cases = {
      {"def f(x): return tanh(x)", Expr::Callee::kPrimitive, "tanh"},
      {"def tanh(x): return math.tanh(x)", Expr::Callee::kPrimitive, "tanh"},
      {"def relu(x): return F.relu(x)", Expr::Callee::kCatalog, "relu"},
      {"def tanh(x): return x\ndef f(x): return tanh(x)", Expr::Callee::kHelper,
       "tanh"},
      {"def tanh(x): return x\ndef f(x): return np.tanh(x)",
       Expr::Callee::kPrimitive, "tanh"},
      {"def f(x): return elu(x)", Expr::Callee::kCatalog, "elu"},
      {"def f(x): return softplus(x)", Expr::Callee::kPrimitive, "softplus"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const auto module = ParseText(c.text);
    const Expr& call =
        *module->functions[module->main].body.back().values.back();
    EXPECT_EQ(call.kind, Expr::Kind::kCall);
    EXPECT_EQ(call.callee, c.callee);
    EXPECT_EQ(call.name, c.name);
    EXPECT_EQ(call.helper, c.callee == Expr::Callee::kHelper ? 0 : -1);
  }
}

// Functions that each call the one before.
std::string HelperChain(int length) {
  std::string text = "def h0(x): return -x\n";
  for (int i = 1; i < length; ++i) {
    text += Concat("def h", i, "(x): return -h", i - 1, "(x)\n");
  }
  return text;
}

struct LimitCase {
  std::string text;
  std::string message;
};

TEST(Parse, LimitsAreNamedWithTheirValue) {
  const std::vector<LimitCase> cases = {
      {"def f(x): return ((((((((x))))))))", "nested 9 levels deep, limit 8"},
      {"def f(x): return x + x + x + x + x + x + x + x + x",
       "nested 9 levels deep, limit 8"},
      {"def f(a, b, c): return a", "'f' has 3 tensor inputs, limit 2"},
      {"def f(x, a=1, b=2, c=3): return x", "'f' has 3 parameters, limit 2"},
      {"def f(x):\n  for i in range(10):\n    for j in range(200):\n"
       "      x = x + 1\n  return x",
       "grows to 8044 terms, limit 2000"},
      {"def f(x):\n  for i in range(1e9):\n    pass\n  return x",
       "terms, limit 2000"},
      {Concat("def f(x):\n  return x #", std::string(500, '-')),
       "bytes, limit 500"},
      {HelperChain(12), "levels deep, limit 32"},
  };
  LanguageLimits limits;
  limits.depth = 8;
  limits.inputs = 2;
  limits.parameters = 2;
  limits.weight = 100;
  limits.source_bytes = 500;
  for (const LimitCase& c : cases) {
    Diagnostics diagnostics(c.text);
    EXPECT_FALSE(Parse(c.text, {}, limits, diagnostics)) << c.text;
    EXPECT_THAT(diagnostics.Render(), HasSubstr(c.message));
  }
}

TEST(Parse, DepthUpToTheLimitIsAccepted) {
  LanguageLimits limits;
  limits.depth = 16;
  const std::string text =
      Concat("def f(x):\n  if x > 0:\n    return ", std::string(12, '('), "x",
             std::string(12, ')'), "\n  return 0\n");

  EXPECT_TRUE(ParseText(text, {}, limits));
}

// The programs of the question that the project began with, and their like.
TEST(Parse, AcceptsWhatUsersPaste) {
  const std::vector<std::string> texts = {
      R"py(
def np_spiky(x):
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0
)py",
      R"py(
def tf_spiky(x):
    return tf.where(tf.less_equal(tf.floormod(x, tf.constant(1)), tf.constant(0.5)), tf.floormod(x, tf.constant(1)), tf.constant(0))
)py",
      R"py(
def np_d_spiky(x):
    r = x % 1
    if r <= 0.5:
        return 1
    else:
        return 0
)py",
      R"py(
import tensorflow as tf
from tensorflow.keras import backend as K

@tf.function(jit_compile=True)
def act(x: tf.Tensor, alpha: float = 0.2) -> tf.Tensor:
    """Some paper's function."""
    one = tf.constant(1.0, dtype=tf.float32)
    r = tf.math.floormod(x, one)
    y = K.sigmoid(alpha * x) * tf.cast(r <= 0.5, tf.float32)
    return tf.where(x > 0., y, tf.zeros_like(x))
)py",
      R"py(
import math
import torch
import torch.nn.functional as F

SQRT_2_PI = math.sqrt(2.0 / math.pi)

def inner(v):
    return SQRT_2_PI * (v + 0.044715 * torch.pow(v, 3))

@torch.jit.script
def act(input, threshold=20.0):
    mask = (input > 0).float()
    y = 0.5 * input * (1.0 + torch.tanh(inner(input)))
    return torch.where(input > threshold, input, y) * mask + input.clamp(max=0)
)py",
      R"py(
import jax
import jax.numpy as jnp

@jax.jit
def act(x, y):
    a, b = jnp.abs(x), jnp.abs(y)
    for i in range(4):
        a += jax.nn.gelu(b) / (i + 1)
    return jnp.where((x > 0), a, b)
)py",
  };
  for (const std::string& text : texts) EXPECT_TRUE(ParseText(text));
}

TEST(Parse, AcceptsEveryCatalogText) {
  for (const CatalogEntry& entry : Catalog()) {
    Diagnostics diagnostics(entry.text);
    EXPECT_TRUE(Parse(entry.text, {}, LanguageLimits(), diagnostics))
        << diagnostics.Render();
    EXPECT_THAT(diagnostics.list(), IsEmpty()) << entry.name;
  }
}

TEST(IsName, TakesWhatATextCanCallItsOwn) {
  for (const char* name : {"x", "_", "a1", "Scale_2", "none", "match"}) {
    EXPECT_TRUE(IsName(name)) << name;
  }
  for (const char* name : {"", "1a", "a b", "a.b", "a\n", "\u00e9", "lambda",
                           "None", "x;", "\x1b[31m"}) {
    EXPECT_FALSE(IsName(name)) << name;
  }
}

}  // namespace
}  // namespace actserve
