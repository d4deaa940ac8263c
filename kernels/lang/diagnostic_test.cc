// One row for each thing that a text can get wrong, with the place and the
// message that its author sees.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/base/text.h"
#include "kernels/lang/parser.h"

namespace actserve {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using testing::UnorderedElementsAre;

struct ErrorCase {
  std::string text;
  int line;
  int column;
  std::string message;  // a part of it
};

std::string ManyParameters(int count) {
  std::string text = "def f(x";
  for (int i = 0; i < count; ++i) text += Concat(", p", i, "=1");
  return text + "): return x";
}

const std::vector<ErrorCase>& ErrorCases() {
  static const auto* const cases = new std::vector<ErrorCase>{
      {"def f(x):\n  return x $ 2", 2, 12, "unexpected character '$'"},
      {"def f(x):\n  return !x", 2, 10, "unexpected character '!': write not"},
      {"def f(x):\n  return x ? 1 : 2", 2, 12,
       "unexpected character '?': write a if condition else b"},
      {"def f(x):\n  return x \342\210\222 1", 2, 12,
       "character U+2212 is not allowed outside comments: write -"},
      {"def f(x):\n  return x \342\211\244 1", 2, 12, "write <="},
      {"def f(x):\n  return x\u00B2", 2, 11,
       "character U+00B2 is not allowed outside comments: write ** 2"},
      {"def f(x):  # caf\351\n  return x", 1, 17,
       "byte 0xE9 is not valid UTF-8"},
      {"def f(x):  # \007\n  return x", 1, 14,
       "control character U+0007 is not allowed"},
      {std::string("def f(x):\n  return x\0", 21), 2, 11,
       "control character U+0000 is not allowed"},
      {"def f(x):\n  return 1j", 2, 10,
       "complex numbers are not supported: '1j'"},
      {"def f(x):\n  return 12abc", 2, 10, "malformed number: '12abc'"},
      {"def f(x):\n  return 1__0", 2, 10,
       "'_' may stand only between digits: '1__0'"},
      {"def f(x):\n  return 007", 2, 10,
       "a whole number may not start with 0: '007'"},
      {"def f(x):\n  return 0xZ", 2, 10, "malformed or too large whole number"},
      {Concat("def f(x):\n  return 1", std::string(309, '0')), 2, 10,
       "this whole number is larger than any float64"},
      {"def f(x):\n  '''doc\n  return x", 2, 3, "this string is never closed"},
      {"def f(x):\n  y = 'a\n  return x", 2, 7, "this string is never closed"},
      {"def f(x):\n  return (x", 2, 10, "'(' is never closed"},
      {"def f(x):\n  y = exp(x\n  return y", 2, 10, "'(' is never closed"},
      {"def f(x):\n  return x)", 2, 11, "')' closes nothing"},
      {"def f(x):\n  return (x]", 2, 12,
       "']' does not match '(' opened at 2:10"},
      {"def f(x):\n        if x > 0:\n\t\treturn x\n        return 1", 3, 3,
       "tabs and spaces are mixed"},
      {"def f(x):\n    y = x\n  return y", 3, 3,
       "this line's indentation matches no block above it"},
      {"def f(x):\n  y = x\n    z = y\n  return z", 3, 5,
       "unexpected indentation"},
      {"def f(x)\n  return x", 1, 9,
       "expected ':' after def, found the end of the line"},
      {"def f(x):\nreturn x", 2, 1,
       "expected an indented block after def, found 'return'"},
      {"def (x):\n  return x", 1, 5, "expected the function's name, found '('"},
      {"def f x:\n  return x", 1, 7, "expected '(' after the name, found 'x'"},
      {"def f(x, 2):\n  return x", 1, 10,
       "expected an argument's name, found a number"},
      {"def f(*x):\n  return x", 1, 7, "starred arguments are not supported"},
      {"def f(x, **k):\n  return x", 1, 10,
       "starred arguments are not supported"},
      {"def f(x):\n  if x = 0:\n    return 1\n  return x", 2, 8,
       "'=' assigns: use == to compare"},
      {"def f(x):\n  if x > 0:\n    return 1\n  else if x < 0:\n    return 2\n "
       " return x",
       4, 8, "write elif instead of else if"},
      {"def f(x):\n  else:\n    return 1\n  return x", 2, 3,
       "'else' belongs to no statement above it"},
      {"def f(x):\n  elif x:\n    return 1\n  return x", 2, 3,
       "'elif' belongs to no statement above it"},
      {"def f(x):\n  while x > 1:\n    x = x / 2\n  return x", 2, 3,
       "while loops are not supported because their length depends on the "
       "data"},
      {"def f(x):\n  while True:\n    break\n  return x", 2, 3,
       "the loop has no fixed length"},
      {"def f(x):\n  for i in range(3):\n    break\n  return x", 3, 5,
       "break is not supported"},
      {"def f(x):\n  for i in range(3):\n    continue\n  return x", 3, 5,
       "continue is not supported"},
      {"def f(x):\n  for i in 3:\n    pass\n  return x", 2, 12,
       "a loop must run over range(N) with a constant N"},
      {"def f(x):\n  for i, j in range(3):\n    pass\n  return x", 2, 7,
       "only for i in range(...), with one name, is supported"},
      {"def f(x):\n  for i in range(3):\n    pass\n  else:\n    pass\n  return "
       "x",
       4, 3, "else after a loop is not supported"},
      {"def f(x):\n  try:\n    y = x\n  except:\n    y = 1\n  return y", 2, 3,
       "try is not supported"},
      {"def f(x):\n  with a as b:\n    y = x\n  return y", 2, 3,
       "with is not supported"},
      {"def f(x):\n  global a\n  return x", 2, 3, "global is not supported"},
      {"def f(x):\n  nonlocal a\n  return x", 2, 3,
       "nonlocal is not supported"},
      {"def f(x):\n  del x\n  return 1", 2, 3, "del is not supported"},
      {"def f(x):\n  raise x\n  return 1", 2, 3, "raise is not supported"},
      {"def f(x):\n  assert x > 0\n  return 1", 2, 3,
       "assert is not supported"},
      {"def f(x):\n  yield x\n  return 1", 2, 3, "yield is not supported"},
      {"async def f(x):\n  return 1\ndef g(x): return x", 1, 1,
       "async is not supported"},
      {"class A:\n  def f(self, x):\n    return x\ndef g(x): return x", 1, 1,
       "classes are not supported"},
      {"def f(x):\n  def g(y):\n    return y\n  return x", 2, 3,
       "functions inside functions are not supported"},
      {"def f(x):\n  print x\n  return x", 2, 3,
       "print is not part of an activation"},
      {"def f(x):\n  x++\n  return x", 2, 6,
       "expected an expression, found the end of the line"},
      {"def f(x):\n  x ^= 2\n  return x", 2, 5,
       "'^=' is not supported: use **= for powers"},
      {"def f(x):\n  retura:n x\n  return x", 2, 12,
       "expected the end of the statement, found 'x'"},
      {"def f(x):\n  x[0]: n = x\n  return x", 2, 4,
       "indexing is not supported"},
      {"def f(x):\n  -x: float\n  return x", 2, 5,
       "only a name can be annotated"},
      {"def f(x: 3): return x", 1, 10, "expected a name, found a number"},
      {"def f(x):\n  +y = x\n  return x", 2, 3,
       "only a name can be assigned to"},
      {"def f(x):\n  x y\n  return x", 2, 5,
       "expected the end of the statement, found 'y'"},
      {"def f(x):\n  1 = x\n  return x", 2, 3,
       "only a name can be assigned to"},
      {"def f(x):\n  x.y = 1\n  return x", 2, 3,
       "attributes cannot be assigned: use a name"},
      {"def f(x):\n  x[0] = 1\n  return x", 2, 4, "indexing is not supported"},
      {"def f(x):\n  a, b = x\n  return a", 2, 3,
       "2 names are assigned 1 values"},
      {"def f(x):\n  a, a = x, x\n  return a", 2, 6,
       "expected a name that is assigned once"},
      {"def f(x):\n  return", 2, 3, "return needs a value"},
      {"def f(x):\n  return x, x", 2, 3,
       "the function must return one numeric value: return y only"},
      {"def f(x):\n  return None", 2, 10, "None is not a number"},
      {"import os\ndef f(x): return x", 1, 8,
       "import os is not allowed. Available: math, np, tf, torch, jnp, K"},
      {"from sklearn.utils import erf\ndef f(x): return x", 1, 6,
       "import sklearn.utils is not allowed"},
      {"import\ndef f(x): return x", 1, 7,
       "expected a name, found the end of the line"},
      {"x = f(2)\ndef g(x): return x", 1, 5, "'f' is not a known function"},
      {"def f(x): return x\nprint(f(1))", 2, 1,
       "only functions, imports and numbers may stand outside a function"},
      {"if 1 > 0: pass\ndef f(x): return x", 1, 1,
       "only functions, imports and numbers may stand outside a function"},
      {"N = 1e999\ndef f(x): return x", 1, 5,
       "only finite numbers can be assigned outside a function"},
      {"a, b = 1\ndef f(x): return x", 1, 1,
       "each name must be assigned one number here"},
      {"a.b = 1\ndef f(x): return x", 1, 1, "attributes cannot be assigned"},
      {"@tf.custom_gradient\ndef f(x): return x", 1, 2,
       "@tf.custom_gradient is not supported: write the gradient as a second "
       "function, def f_grad(x, dy)"},
      {"@numba.jit\ndef f(x): return x", 1, 2,
       "decorator @numba.jit is not supported: remove it"},
      {"@staticmethod\nx = 1\ndef f(x): return x", 2, 1,
       "expected def after a decorator"},
      {"x = 1", 1, 1, "the text defines no function"},
      {"", 1, 1, "the text defines no function"},
      {"def f(x):\n  return x +", 2, 13,
       "expected an expression, found the end of the line"},
      {"def f(x):\n  return x ^ 3", 2, 12, "use ** for powers"},
      {"def f(x):\n  return 1 if x > 0 & x < 1 else 0", 2, 21,
       "'&' is not supported: write and"},
      {"def f(x):\n  return 1 if x > 0 | x < 1 else 0", 2, 21,
       "'|' is not supported: write or"},
      {"def f(x):\n  return 1 if ~(x > 0) else 0", 2, 15,
       "'~' is not supported: write not"},
      {"def f(x):\n  return x @ x", 2, 12, "'@' multiplies matrices"},
      {"def f(x):\n  return x << 1", 2, 12,
       "'<<' is not supported: multiply by a power of 2"},
      {"def f(x):\n  return x >> 1", 2, 12,
       "'>>' is not supported: divide by a power of 2"},
      {"def f(x):\n  return 1 if x is 0 else x", 2, 17,
       "'is' is not supported"},
      {"def f(x):\n  return 1 if x is not 0 else x", 2, 17,
       "'is' is not supported"},
      {"def f(x):\n  return 1 if x in x else x", 2, 17,
       "'in' is not supported"},
      {"def f(x):\n  return 1 if x not in x else x", 2, 17,
       "'in' is not supported"},
      {"def f(x):\n  return 1 if x <> 0 else x", 2, 17,
       "'<>' is not Python: use !="},
      {"def f(x):\n  return 1 if x > 0", 2, 20,
       "expected 'else': a conditional expression gives both values"},
      {"def f(x):\n  return lambda t: t", 2, 10, "lambda is not supported"},
      {"f = lambda x: x", 1, 5, "lambda is not supported"},
      {"def f(x):\n  y = (z := x)\n  return y", 2, 10, "':=' is not supported"},
      {"def f(x):\n  return [x, x]", 2, 10, "lists are not supported"},
      {"def f(x):\n  return {1: x}", 2, 10,
       "dictionaries and sets are not supported"},
      {"def f(x):\n  return [t for t in x]", 2, 10, "lists are not supported"},
      {"def f(x):\n  return exp(t for t in x)", 2, 14,
       "comprehensions are not supported"},
      {"def f(x):\n  return (t for t in x)", 2, 10,
       "comprehensions are not supported"},
      {"def f(x):\n  return exp(*x)", 2, 14,
       "starred expressions are not supported"},
      {"def f(x):\n  return ...", 2, 10, "'...' is not a number"},
      {"def f(x):\n  return ()", 2, 10, "'()' is not a number"},
      {"def f(x):\n  return (x, x) + 1", 2, 11, "a tuple is not a number"},
      {"def f(x):\n  return 'tanh'", 2, 10, "a string is not a number"},
      {"def f(x):\n  return f'{x}'", 2, 10,
       "formatted and byte strings are not supported"},
      {"def f(x):\n  return x[0]", 2, 11, "indexing is not supported"},
      {"def f(x):\n  return x[:, 1:]", 2, 11, "indexing is not supported"},
      {"def f(x):\n  return x.shape", 2, 10, "'.shape' is not visible here"},
      {"def f(x):\n  return x.foo", 2, 10,
       "attributes of values are not supported: '.foo'"},
      {"def f(x):\n  return x.\n", 2, 12, "expected a name after '.'"},
      {"def f(x):\n  return self.alpha * x", 2, 10,
       "'self.alpha' is not defined in this text: make it a parameter"},
      {"def f(self, x):\n  return x", 1, 7, "'self' is not an input"},
      {"def f(x):\n  return self.act(x)", 2, 10,
       "'self.act' is not defined in this text: write a function, not a "
       "method"},
      {"def f(x):\n  return nn.ReLU()(x)", 2, 10,
       "only a named function can be called"},
      {"def f(x):\n  return x(1)", 2, 10,
       "'x' is a number here and cannot be called"},
      {"def f(x):\n  return exp(x, y=2", 2, 13, "'(' is never closed"},
      {"def f(x):\n  return max(x, b=1, 2)", 2, 22,
       "an argument without a name follows a named one"},
      {"def f(x):\n  return h_size * x", 2, 10,
       "'h_size' is not defined in this text: add it as a parameter with a "
       "default, for example h_size=1.0"},
      {"def f(x, alpha=1.0):\n  return alhpa * x", 2, 10,
       "'alhpa' is not defined in this text: did you mean 'alpha'?"},
      {"def f(x):\n  return siqmoid(x)", 2, 10,
       "'siqmoid' is not a known function: did you mean 'sigmoid'?"},
      {"def f(x):\n  return np.tahn(x)", 2, 10,
       "'np.tahn' is not available here: did you mean 'tanh'?"},
      {"def f(x):\n  return np.load('x')", 2, 10,
       "'np.load' is not available here"},
      {"def f(x):\n  return x.tahn()", 2, 10,
       "'.tahn' is not available here: did you mean 'tanh'?"},
      {"def f(x):\n  return np.foo", 2, 10,
       "'np.foo' is not a number that can be used here"},
      {"def f(x):\n  return np * x", 2, 10, "'np' is a module, not a number"},
      {"def f(x):\n  return exp * x", 2, 10,
       "'exp' is a function: call it with arguments"},
      {"def f(x):\n  return tau * x", 2, 10,
       "'tau' is not defined in this text"},
      {"def f(x):\n  return torch.nn.foo.relu(x)", 2, 10,
       "'torch.nn.foo.relu' is not available here"},
      {"def h(x): return x\ndef f(x):\n  return h * x", 3, 10,
       "'h' is a function: call it with arguments"},
      {"def f(x):\n  if x > 0:\n    y = x\n  return y", 4, 10,
       "'y' may have no value here"},
      {"def f(x):\n  y = y + x\n  return y", 2, 7,
       "'y' may have no value here"},
      {"def f(x):\n  for i in range(0):\n    y = x\n  return y", 4, 10,
       "'y' may have no value here"},
      {"def f(x):\n  e = e + x\n  return e", 2, 7,
       "'e' may have no value here"},
      {"def f(x):\n  if x > 0:\n    return x", 1, 5,
       "'f' does not return a value on every path"},
      {"def f(x):\n  pass", 1, 5, "'f' does not return a value on every path"},
      {"def f(x):\n  for i in range(0):\n    return x", 1, 5,
       "'f' does not return a value on every path"},
      {"def f(x, x): return x", 1, 10, "argument 'x' occurs twice"},
      {"def f(x): return x\ndef f(x): return x", 2, 5,
       "function 'f' is defined twice"},
      {"def f(a=1, x): return x", 1, 12,
       "argument 'x' without a default follows one with a default"},
      {"def f(a=1): return a", 1, 5, "'f' has no tensor input"},
      {"def f(a, b, c, d, g): return a", 1, 5,
       "'f' has 5 tensor inputs, limit 4"},
      {ManyParameters(33), 1, 5, "'f' has 33 parameters, limit 32"},
      {"def f(x, a='no'): return x", 1, 12, "a string is not a number"},
      {"def f(x, a=inf): return x", 1, 12,
       "the default of 'a' must be a finite number"},
      {"def f(x, a=1/0): return x", 1, 12,
       "the default of 'a' must be a finite number"},
      {"def f(x, a=1 if 1 < 2 else 2): return x", 1, 12,
       "the default of 'a' must be a finite number"},
      {"def f(x, a=b): return x", 1, 12, "'b' is not defined in this text"},
      {"def f(x): return f(x - 1)", 1, 18,
       "'f' calls itself: write it as a loop with a fixed count"},
      {"def tanh(x): return tanh(x)", 1, 21, "'tanh' calls itself"},
      {"def g(x): return f(x)\ndef f(x): return g(x)", 2, 18,
       "'g' calls itself through 'f'"},
      {"def f(x): return x\ndef f_grad(x): return x", 2, 5,
       "'f_grad' must take the 1 tensor input of 'f' and then the upstream "
       "gradient"},
      {"def f(x, g): return x\ndef f_grad(x, g, dy): return dy", 2, 23,
       "the gradient must return 2 values, one for each tensor input, not 1"},
      {"def f(x): return x\ndef f_grad(x, dy): return dy, dy", 2, 20,
       "the gradient must return 1 value, one for each tensor input, not 2"},
      {"def f(x, a=2): return a * x\ndef f_grad(x, dy, a=3): return a * dy", 2,
       19, "the default of 'a' is 3 here and 2 in 'f': both are one parameter"},
      {"def f(x, a=1): return x\ndef f_grad(x, dy, b=1): return dy", 2, 19,
       "'b' is no parameter of 'f'"},
      {"def f(x): return exp()", 1, 18, "argument 'x' of 'exp' (x) is missing"},
      {"def f(x): return exp(x, x)", 1, 18,
       "'exp' takes 1 argument (x), 2 are given"},
      {"def f(x): return clamp(x, 1)", 1, 18,
       "argument 'hi' of 'clamp' (x, lo, hi) is missing"},
      {"def f(x): return clamp(x, lo=1, low=2)", 1, 18,
       "'clamp' takes no argument named 'low' (x, lo, hi)"},
      {"def f(x): return clamp(x, 0, lo=1)", 1, 18,
       "argument 'lo' of 'clamp' is given twice"},
      {"def f(x): return leaky_relu(x, slope=1)", 1, 18,
       "'leaky_relu' takes no argument named 'slope' (x, negative_slope)"},
      {"def h(a, b=1): return a\ndef f(x): return h(x, c=2)", 2, 18,
       "'h' takes no argument named 'c' (a, b)"},
      {"def h(a, b): return a\ndef f(x): return h(x)", 2, 18,
       "argument 'b' of 'h' (a, b) is missing"},
      {"def f(x): return max(x)", 1, 18,
       "argument 'b' of 'max' (a, b) is missing"},
      {"def f(x): return max(x, 1, c=2)", 1, 30,
       "'max' takes no argument named 'c'"},
      {"def f(x): return round(x, 2)", 1, 18,
       "'round' takes 1 argument (x), 2 are given"},
      {"def f(x): return np.max(x, 0)", 1, 18,
       "for elementwise use maximum(x, 0)"},
      {"def f(x): return torch.max(x, 0)", 1, 18,
       "this reduces over elements or an axis: along the axis that each "
       "request names, write rowmax(x)"},
      {"def f(x): return x.min(dim=-1, keepdim=True)", 1, 18,
       "along the axis that each request names, write rowmin(x)"},
      {"def f(x): return x - x.amax(-1, keepdim=True)", 1, 22,
       "this reads rows, along the axis that each request names: write "
       "rowmax(x), or of two numbers maximum(a, b)"},
      {"def f(x): return jax.nn.softmax(x, axis=-1)", 1, 18,
       "write softmax(x)"},
      {"def f(x): return torch.softmax(x, -1)", 1, 18, "write softmax(x)"},
      {"def f(x): return tf.nn.softmax(x)", 1, 18, "write softmax(x)"},
      {"def f(x): return x.softmax(dim=-1)", 1, 18, "write softmax(x)"},
      {"def f(x): return tf.reduce_logsumexp(x, -1)", 1, 18,
       "rowmax(x) + log(rowsum(exp(x - rowmax(x))))"},
      {"def f(x): return F.glu(x, dim=-1)", 1, 18, "return glu(a, b)"},
      {"def f(x): return F.softmax(x, dim=-1)", 1, 18,
       "this reads rows, along the axis that each request names: write "
       "softmax(x)"},
      {"def f(x): return torch.nn.functional.layer_norm(x, 3)", 1, 18,
       "write layer_norm(x, weight, bias)"},
      {"def f(x): return tf.math.l2_normalize(x)", 1, 18,
       "write l2_normalize(x)"},
      {"def f(x): return np.sum(x)", 1, 18, "write rowsum(x)"},
      {"def f(x): return x.sum(dim=-1, keepdim=True)", 1, 18,
       "this reads rows, along the axis that each request names: write "
       "rowsum(x)"},
      {"def f(x): return x.mean(-1, keepdim=True)", 1, 18, "write rowmean(x)"},
      {"def f(x): return torch.chunk(x, 2)", 1, 18,
       "this splits the tensor: write the gate with two inputs, def f(a, b): "
       "return a * sigmoid(b)"},
      {"def f(x): return x.view(1, 2)", 1, 18, "shapes are not visible here"},
      {"def f(x): return torch.randn(2)", 1, 18,
       "random numbers need a seed here"},
      {"def f(x): return x + torch.normal(0, 1)", 1, 22,
       "write normal(seed), with a parameter seed=0: def f(x, seed=0)"},
      {"def f(x): return x + np.random.uniform(0, 1)", 1, 22,
       "'np.random.uniform': random numbers need a seed here, so that forward "
       "and backward draw the same: write uniform(seed), with"},
      {"def f(x): return x + np.random.normal()", 1, 22, "write normal(seed),"},
      {"def f(x): return x + np.random.standard_normal()", 1, 22,
       "write normal(seed),"},
      {"def f(x): return x + tf.random.normal(1)", 1, 22,
       "write normal(seed),"},
      {"def f(x): return x + jax.random.normal(x)", 1, 22,
       "write normal(seed),"},
      {"import random\ndef f(x): return x + random.gauss(0, 1)", 2, 22,
       "write normal(seed),"},
      {"def f(x): return x + random.random()", 1, 22, "write uniform(seed),"},
      {"def f(x): return x + torch.rand_like(x)", 1, 22,
       "write uniform(seed),"},
      {"def f(x): return x + torch.randn_like(x)", 1, 22,
       "write normal(seed),"},
      {"def f(x): return x.normal_()", 1, 18, "write normal(seed),"},
      {"def f(x): return torch.bernoulli(x)", 1, 18,
       "write (1 if uniform(seed) < p else 0),"},
      {"def f(x): return softmax(x, axis=0)", 1, 18,
       "(x, temperature): leave axis out, each request names the axis along "
       "which rows run"},
      {"def f(x): return F.rrelu(x)", 1, 18,
       "write leaky_relu(x, (lower + upper) / 2)"},
      {"def f(x):\n  print(x)\n  return x", 2, 3,
       "'print': this is not part of an activation"},
      {"def f(x): return x.detach()", 1, 18,
       "'.detach': not supported: write the gradient as a second function, def "
       "f_grad(x, dy)"},
      {"def f(x): return x.mul_(2)", 1, 18,
       "'.mul_' changes its operand in place: assign the result instead, x = "
       "x.mul(...)"},
      {"def f(x): return tf.cast(x, tf.int32)", 1, 29,
       "only floating-point types can be named here"},
      {"def f(x): return F.gelu(x, approximate='foo')", 1, 18,
       "argument 'approximate' of 'F.gelu' must be one of the values that it "
       "documents"},
      {"def f(x): return tf.keras.activations.hard_sigmoid(x)", 1, 18,
       "write the formula"},
      {"def f(x): return torch.sinc(x)", 1, 18,
       "'torch.sinc': not available here: write sin(pi * x) / (pi * x)"},
      {"def f(x): return jnp.select([x > 0], [x])", 1, 18,
       "lists of conditions are not supported"},
      {"def f(x): return torch.rot90(x)", 1, 18,
       "'torch.rot90' is not available here: write its formula"},
      {"def f(x): return tf.fabs(x)", 1, 18,
       "'tf.fabs' is not available here: write fabs(...)"},
      {"def f(x): return np.sine(x)", 1, 18,
       "'np.sine' is not available here: did you mean 'sin'?"},
      {"def f(x): return keras.activations.relu(x, slope=1)", 1, 18,
       "takes no argument named 'slope' (x, negative_slope, max_value, "
       "threshold)"},
      {"def f(x): return float('one')", 1, 24,
       "float() of a string takes only 'inf', '-inf' and 'nan'"},
      {"def f(x): return math.foo(x)", 1, 18,
       "'math.foo' is not available here"},
      {"def f(x): return clamp(x, None, 1)", 1, 27, "None is not a number"},
  };
  return *cases;
}

Diagnostics Refuse(const std::string& text) {
  Diagnostics diagnostics(text);
  EXPECT_FALSE(Parse(text, {}, LanguageLimits(), diagnostics));
  return diagnostics;
}

TEST(Diagnostics, OneErrorForOneProblem) {
  for (const ErrorCase& c : ErrorCases()) {
    SCOPED_TRACE(c.text);

    const Diagnostics diagnostics = Refuse(c.text);

    EXPECT_EQ(diagnostics.num_errors(), 1) << diagnostics.Render();
    const Diagnostic& found = diagnostics.list().at(0);
    EXPECT_THAT(found.message, HasSubstr(c.message));
    EXPECT_EQ(found.position.line, c.line);
    EXPECT_EQ(found.position.column, c.column);
    EXPECT_TRUE(!found.message.ends_with(".") ||
                found.message.ends_with("..."));
  }
}

TEST(Diagnostics, EveryProblemOfATextIsReported) {
  const Diagnostics diagnostics = Refuse(R"py(import os
def helper(x, x):
    while x > 1:
        x = x / 2
    return sigmod(x)
def f(x, alpha=1.0):
    y = x[0] +
    z = alhpa * x ^ 2
    if z = 1:
        z = np.sum(x)
    return z, y
)py");

  std::vector<std::string> places;
  for (const Diagnostic& diagnostic : diagnostics.list()) {
    places.push_back(
        Concat(diagnostic.position.line, ":", diagnostic.position.column));
  }
  EXPECT_THAT(places,
              UnorderedElementsAre("1:8", "2:15", "3:5", "5:12", "7:10", "7:15",
                                   "8:9", "8:19", "9:10", "10:13", "11:5"))
      << diagnostics.Render();
}

TEST(Diagnostics, RendersLineAndCaretInOrder) {
  const Diagnostics diagnostics =
      Refuse("def f(x):\n\ty = g * x\n\treturn h(y)\n");

  EXPECT_EQ(diagnostics.Render(),
            "2:6: error: 'g' is not defined in this text: add it as a "
            "parameter with a default, for example g=1.0\n"
            "    \ty = g * x\n"
            "    \t    ^\n"
            "3:9: error: 'h' is not a known function\n"
            "    \treturn h(y)\n"
            "    \t       ^\n");
}

TEST(Diagnostics, CaretCountsCharactersAndEndsOfLines) {
  Diagnostics diagnostics("one\r\n  \xC3\xA9 = $\rthree");
  diagnostics.Error({3, 1}, "third");
  diagnostics.Warning({2, 8}, "second");
  diagnostics.Note({9, 1}, "beyond");

  EXPECT_EQ(diagnostics.Render(),
            "2:8: warning: second\n      \xC3\xA9 = $\n          ^\n"
            "3:1: error: third\n    three\n    ^\n"
            "9:1: note: beyond\n    \n    ^\n");
}

TEST(Diagnostics, LongLinesAreCutAroundTheCaret) {
  const std::string line =
      Concat(std::string(500, 'a'), "$", std::string(500, 'b'));
  Diagnostics diagnostics(line);
  diagnostics.Error({1, 501}, "here");

  EXPECT_EQ(
      diagnostics.Render(),
      Concat("1:501: error: here\n    ", std::string(60, 'a'), "$",
             std::string(59, 'b'), "\n    ", std::string(60, ' '), "^\n"));
}

TEST(Diagnostics, ListStopsGrowing) {
  Diagnostics diagnostics("x");
  for (int i = 0; i < 1000; ++i) diagnostics.Error({1, 1}, "again");

  EXPECT_EQ(diagnostics.num_errors(), 1000);
  EXPECT_EQ(diagnostics.list().size(), 101);
  EXPECT_THAT(diagnostics.list().back().message, StartsWith("too many"));
}

TEST(NearestName, FindsMisspellingsOnly) {
  const std::vector<std::string> names = {"sigmoid", "tan", "tanh", "alpha"};

  EXPECT_EQ(NearestName("siqmoid", names), "sigmoid");
  EXPECT_EQ(NearestName("sigmod", names), "sigmoid");
  EXPECT_EQ(NearestName("tahn", names), "tanh");
  EXPECT_EQ(NearestName("alhpa", names), "alpha");
  EXPECT_EQ(NearestName("Tan", names), "tan");
  EXPECT_EQ(NearestName("beta", names), "");
  EXPECT_EQ(NearestName("x", {"y"}), "");
  EXPECT_EQ(NearestName(std::string(100000, 'a'), names), "");
}

TEST(Warnings, SayWhatHasNoEffect) {
  const std::string text =
      "def f(x):\n  x + 1\n  return x\n  y = x\n  return y\n";
  Diagnostics diagnostics(text);

  const auto module = Parse(text, {}, LanguageLimits(), diagnostics);

  ASSERT_TRUE(module);
  EXPECT_EQ(module->functions[0].body.size(), 1);
  EXPECT_EQ(diagnostics.num_errors(), 0);
  EXPECT_EQ(diagnostics.Render(),
            "2:3: warning: this line computes a value and drops it\n"
            "      x + 1\n      ^\n"
            "4:3: warning: this is never reached: every path above it "
            "returns\n      y = x\n      ^\n");
}

}  // namespace
}  // namespace actserve
