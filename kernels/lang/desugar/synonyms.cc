#include "kernels/lang/desugar/synonyms.h"

#include <cassert>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/lang/diagnostic.h"
#include "kernels/lang/limits.h"

namespace actserve {
namespace {

constexpr uint32_t kFrameworks = kNumpy | kTf | kKeras | kTorch | kJax | kLax;
constexpr uint32_t kEverywhere = kBare | kFrameworks | kMethod;

struct Section {
  uint32_t families;
  std::string_view rows;
};

// Defaults are those of the framework. Where one prefix has two meanings (by
// version, or by who writes), the row asks for the formula.
//
// A parameter `not_axis` may not be a whole number, which would be an axis
// there. A parameter `dtype` takes the name of a floating-point type.
constexpr Section kTable[] = {
    {kEverywhere, R"py(
def add(a, b): return a + b
def subtract(a, b): return a - b
def sub(a, b): return a - b
def multiply(a, b): return a * b
def mul(a, b): return a * b
def divide(a, b): return a / b
def div(a, b): return a / b
def true_divide(a, b): return a / b
def truediv(a, b): return a / b
def negative(x): return -x
def neg(x): return -x
def power(a, b): return a ** b
def pow(a, b): return a ** b
def mod(a, b): return a % b
def remainder(a, b): return a % b
def floormod(a, b): return a % b
def floor_mod(a, b): return a % b
def floor_div(a, b): return a // b
def floordiv(a, b): return a // b
def floor_divide(a, b): return a // b
def maximum(a, b): return max(a, b)
def minimum(a, b): return min(a, b)
def absolute(x): return abs(x)
def reciprocal(x): return 1 / x
def rsqrt(x): return 1 / sqrt(x)
def square(x): return x ** 2
def less(a, b): return a < b
def less_equal(a, b): return a <= b
def greater(a, b): return a > b
def greater_equal(a, b): return a >= b
def equal(a, b): return a == b
def not_equal(a, b): return a != b
def logical_and(a, b): return a and b
def logical_or(a, b): return a or b
def logical_not(a): return not a
def isnan(x): return not abs(x) <= inf
def isinf(x): return abs(x) == inf
def isfinite(x): return abs(x) < inf
def where(condition, x, y): return x if condition else y
def zeros_like(x, dtype=0): return 0.0
def ones_like(x, dtype=0): return 1.0
def full_like(x, fill_value, dtype=0): return fill_value
def expit(x): return sigmoid(x)
def swish(x): return silu(x)
def log_sigmoid(x): return logsigmoid(x)
def tanh_shrink(x): return tanhshrink(x)
def hard_tanh(x): return hardtanh(x)
def hard_shrink(x): return hardshrink(x)
def soft_shrink(x): return softshrink(x)
def soft_sign(x): return softsign(x)
def identity(x): return x
)py"},
    {kFrameworks | kBare, R"py(
def arccos(x): return acos(x)
def arccosh(x): return acosh(x)
def arcsin(x): return asin(x)
def arcsinh(x): return asinh(x)
def arctan(x): return atan(x)
def arctan2(a, b): return atan2(a, b)
def arctanh(x): return atanh(x)
def fabs(x): return abs(x)
def rint(x): return round(x)
def fix(x): return trunc(x)
def select(condition, x, y): return x if condition else y
)py"},
    {kBare, R"py(
def int(x): return trunc(x)
def bool(x): return x != 0
def sum(x): return "this adds elements: an activation sees one element at a time"
def len(x): return "shapes are not visible here: the result has the input's shape"
def print(x): return "this is not part of an activation: remove this line"
def isinstance(x, y): return "this is not part of an activation: the inputs are numbers"
def range(n): return "this may stand only in for i in range(N)"
)py"},
    {kMath, R"py(
def fabs(x): return abs(x)
def pow(a, b): return a ** b
def remainder(a, b): return "this rounds the quotient: write a % b or fmod(a, b)"
def isnan(x): return not abs(x) <= inf
def isinf(x): return abs(x) == inf
def isfinite(x): return abs(x) < inf
def log(x, base): return log(x) / log(base)
)py"},
    {kNumpy | kTorch | kJax | kKeras | kMethod, R"py(
def clip(x, a_min=-inf, a_max=inf): return clamp(x, a_min, a_max)
def clip(x, min=-inf, max=inf): return clamp(x, min, max)
def clip(x, min_value, max_value): return clamp(x, min_value, max_value)
)py"},
    {kTorch | kMethod, R"py(
def clamp(x, min=-inf, max=inf): return clamp(x, min, max)
def clamp_min(x, min): return clamp(x, min, inf)
def clamp_max(x, max): return clamp(x, -inf, max)
def gt(a, b): return a > b
def ge(a, b): return a >= b
def lt(a, b): return a < b
def le(a, b): return a <= b
def eq(a, b): return a == b
def ne(a, b): return a != b
def sgn(x): return sign(x)
def fmod(a, b): return fmod(a, b)
def ndtr(x): return normcdf(x)
def tensor(x, dtype=0, device=0, requires_grad=0): return x
def as_tensor(x, dtype=0, device=0): return x
def relu(x, inplace=0): return relu(x)
def relu6(x, inplace=0): return relu6(x)
def silu(x, inplace=0): return silu(x)
def mish(x, inplace=0): return mish(x)
def selu(x, inplace=0): return selu(x)
def elu(x, alpha=1.0, inplace=0): return elu(x, alpha)
def celu(x, alpha=1.0, inplace=0): return celu(x, alpha)
def leaky_relu(x, negative_slope=0.01, inplace=0): return leaky_relu(x, negative_slope)
def hardtanh(x, min_val=-1.0, max_val=1.0, inplace=0): return hardtanh(x, min_val, max_val)
def hardsigmoid(x, inplace=0): return hardsigmoid(x)
def hardswish(x, inplace=0): return hardswish(x)
def threshold(x, threshold, value, inplace=0): return threshold(x, threshold, value)
def prelu(x, weight): return prelu(x, weight)
def softplus(x): return softplus(x)
def softplus(x, beta): return "here it has no beta and no threshold: write softplus(beta * x) / beta"
def gelu(x, approximate="none"): return gelu(x)
def gelu(x, approximate="tanh"): return gelu_tanh(x)
def max(x, not_axis): return max(x, not_axis)
def max(x): return "this reduces over elements or an axis: for elementwise use x.clamp(min=0)"
def min(x, not_axis): return min(x, not_axis)
def min(x): return "this reduces over elements or an axis: for elementwise use x.clamp(max=0)"
)py"},
    {kMethod, R"py(
def float(x): return float(x)
def double(x): return float(x)
def type_as(x, other): return float(x)
def astype(x, dtype): return float(x)
def to(x, dtype): return float(x)
def type(x, dtype): return float(x)
def clone(x): return x
def contiguous(x): return x
def copy(x): return x
def detach(x): return "not supported: write the gradient as a second function, def f_grad(x, dy)"
def item(x): return "not needed: the values here are single numbers already"
)py"},
    {kNumpy | kJax, R"py(
def amax(x): return "this reduces over elements or an axis (its second argument): for elementwise use maximum(x, 0)"
def amin(x): return "this reduces over elements or an axis (its second argument): for elementwise use minimum(x, 0)"
def max(x): return "this reduces over elements or an axis (its second argument): for elementwise use maximum(x, 0)"
def min(x): return "this reduces over elements or an axis (its second argument): for elementwise use minimum(x, 0)"
def array(x, dtype=0): return float(x)
def asarray(x, dtype=0): return float(x)
def float32(x): return float(x)
def float64(x): return float(x)
)py"},
    {kJax, R"py(
def gelu(x, approximate=True): return gelu_tanh(x)
def gelu(x, approximate=False): return gelu(x)
def leaky_relu(x, negative_slope=0.01): return leaky_relu(x, negative_slope)
def hard_sigmoid(x): return hardsigmoid(x)
def hard_swish(x): return hardswish(x)
def hard_silu(x): return hardswish(x)
def squareplus(x, b=4): return squareplus(x, b)
def ndtr(x): return normcdf(x)
)py"},
    {kLax, R"py(
def clamp(min, x, max): return clamp(x, min, max)
def rem(a, b): return fmod(a, b)
def integer_pow(x, y): return x ** y
def logistic(x): return sigmoid(x)
def lt(a, b): return a < b
def le(a, b): return a <= b
def gt(a, b): return a > b
def ge(a, b): return a >= b
def eq(a, b): return a == b
def ne(a, b): return a != b
def stop_gradient(x): return "not supported: write the gradient as a second function, def f_grad(x, dy)"
)py"},
    {kTf, R"py(
def constant(value, dtype=0, shape=0, name=0): return value
def convert_to_tensor(value, dtype=0, name=0): return value
def cast(x, dtype, name=0): return float(x)
def to_float(x): return float(x)
def clip_by_value(t, clip_value_min, clip_value_max, name=0): return clamp(t, clip_value_min, clip_value_max)
def relu(x, name=0): return relu(x)
def relu6(x, name=0): return relu6(x)
def gelu(x, approximate=False, name=0): return gelu(x)
def gelu(x, approximate=True, name=0): return gelu_tanh(x)
def leaky_relu(features, alpha=0.2, name=0): return leaky_relu(features, alpha)
def truncatemod(a, b): return fmod(a, b)
def log_sigmoid(x): return logsigmoid(x)
def divide_no_nan(a, b): return "not supported: write a / b if b != 0 else 0"
def hard_sigmoid(x): return "this is 0.2*x + 0.5 in Keras 2 and relu6(x + 3)/6 in Keras 3: write the formula"
def stop_gradient(x): return "not supported: write the gradient as a second function, def f_grad(x, dy)"
)py"},
    {kKeras, R"py(
def relu(x): return relu(x)
def relu(x, max_value): return hardtanh(x, 0.0, max_value)
def relu(x, alpha): return leaky_relu(x, alpha)
def relu(x, negative_slope): return leaky_relu(x, negative_slope)
def leaky_relu(x, negative_slope=0.2): return leaky_relu(x, negative_slope)
def elu(x, alpha=1.0): return elu(x, alpha)
def gelu(x, approximate=False): return gelu(x)
def gelu(x, approximate=True): return gelu_tanh(x)
def hard_sigmoid(x): return "this is 0.2*x + 0.5 in Keras 2 and relu6(x + 3)/6 in Keras 3: write the formula"
def switch(condition, x, y): return x if condition else y
def constant(value, dtype=0, shape=0, name=0): return value
def cast(x, dtype): return float(x)
def cast_to_floatx(x): return float(x)
def epsilon(): return 1e-7
def linear(x): return x
def stop_gradient(x): return "not supported: write the gradient as a second function, def f_grad(x, dy)"
)py"},
    {kFrameworks | kMethod, R"py(
def sum(x): return "this adds over the whole batch: an activation sees one element at a time"
def mean(x): return "this averages over the whole batch: an activation sees one element at a time"
def std(x): return "this reduces over the whole batch: an activation sees one element at a time"
def var(x): return "this reduces over the whole batch: an activation sees one element at a time"
def norm(x): return "this reduces over the whole batch: an activation sees one element at a time"
def reduce_sum(x): return "this adds over the whole batch: an activation sees one element at a time"
def reduce_mean(x): return "this averages over the whole batch: an activation sees one element at a time"
def reduce_max(x): return "this reduces over the whole batch: for elementwise use maximum"
def softmax(x): return "this reduces over an axis: an activation sees one element at a time"
def chunk(x): return "this splits the tensor: write the gate with two inputs, def f(a, b): return a * sigmoid(b)"
def split(x): return "this splits the tensor: write the gate with two inputs, def f(a, b): return a * sigmoid(b)"
def cat(x): return "this joins tensors: write one activation for each part"
def concat(x): return "this joins tensors: write one activation for each part"
def concatenate(x): return "this joins tensors: write one activation for each part"
def reshape(x): return "shapes are not visible here: remove the reshape, the result has the input's shape"
def view(x): return "shapes are not visible here: remove the reshape, the result has the input's shape"
def permute(x): return "shapes are not visible here: remove the reshape, the result has the input's shape"
def transpose(x): return "shapes are not visible here: remove the reshape, the result has the input's shape"
def size(x): return "shapes are not visible here: the result has the input's shape"
def shape(x): return "shapes are not visible here: the result has the input's shape"
def dropout(x): return "random values are not supported: the result must depend only on the inputs and parameters"
def rand(x): return "random values are not supported: the result must depend only on the inputs and parameters"
def randn(x): return "random values are not supported: the result must depend only on the inputs and parameters"
def rand_like(x): return "random values are not supported: the result must depend only on the inputs and parameters"
def randn_like(x): return "random values are not supported: the result must depend only on the inputs and parameters"
)py"},
};

struct ModuleFamily {
  std::string_view path;
  uint32_t family;
};
constexpr ModuleFamily kModules[] = {
    {"math", kMath},
    {"numpy", kNumpy},
    {"cupy", kNumpy},
    {"tensorflow", kTf},
    {"tensorflow.math", kTf},
    {"tensorflow.nn", kTf},
    {"tensorflow.keras.backend", kKeras},
    {"tensorflow.keras.activations", kKeras},
    {"tensorflow.keras.ops", kKeras},
    {"keras.backend", kKeras},
    {"keras.activations", kKeras},
    {"keras.ops", kKeras},
    {"torch", kTorch},
    {"torch.nn.functional", kTorch},
    {"torch.special", kTorch},
    {"jax.numpy", kJax},
    {"jax.nn", kJax},
    {"jax.lax", kLax},
    {"jax.scipy.special", kJax},
};

struct Alias {
  std::string_view name;
  std::string_view module;
};
constexpr Alias kAliases[] = {
    {"math", "math"},       {"np", "numpy"},
    {"numpy", "numpy"},     {"cp", "cupy"},
    {"tf", "tensorflow"},   {"tensorflow", "tensorflow"},
    {"K", "keras.backend"}, {"backend", "keras.backend"},
    {"keras", "keras"},     {"torch", "torch"},
    {"th", "torch"},        {"F", "torch.nn.functional"},
    {"nn", "torch.nn"},     {"jnp", "jax.numpy"},
    {"jax", "jax"},         {"lax", "jax.lax"},
};

// Packages whose imports are read. The last ones are for decorators and
// annotations only.
constexpr std::string_view kPackages[] = {
    "math",  "numpy", "cupy",     "tensorflow", "keras",
    "torch", "jax",   "actserve", "__future__", "typing",
};

constexpr std::string_view kDecorators[] = {
    "actserve.activation", "activation",       "staticmethod",
    "tensorflow.function", "torch.jit.script", "jax.jit",
    "numpy.vectorize",
};

// The rows, and the trees that they point into.
struct SynonymTable {
  std::vector<std::vector<SyntaxStmt>> sections;
  std::vector<Synonym> rows;
};

SynonymTable* MakeSynonyms() {
  auto* table = new SynonymTable();
  table->sections.reserve(std::size(kTable));
  for (const Section& section : kTable) {
    const LanguageLimits limits;
    Diagnostics diagnostics(section.rows);
    const std::vector<SyntaxStmt>& defs = table->sections.emplace_back(
        ParseSyntax(section.rows, limits, diagnostics));
    assert(!diagnostics.has_errors());
    for (const SyntaxStmt& def : defs) {
      assert(def.body.size() == 1 && def.body[0].value != nullptr);
      table->rows.push_back({section.families, &def, def.body[0].value.get()});
    }
  }
  return table;
}

}  // namespace

const std::vector<Synonym>& AllSynonyms() {
  static const SynonymTable* const table = MakeSynonyms();
  return table->rows;
}

std::vector<const Synonym*> FindSynonyms(Family family, std::string_view name) {
  using Index = std::map<std::string, std::vector<const Synonym*>, std::less<>>;
  static const auto* const index = [] {
    auto* map = new Index();
    for (const Synonym& row : AllSynonyms()) {
      (*map)[row.def->name].push_back(&row);
    }
    return map;
  }();
  std::vector<const Synonym*> found;
  if (auto it = index->find(name); it != index->end()) {
    for (const Synonym* row : it->second) {
      if ((row->families & family) != 0) found.push_back(row);
    }
  }
  return found;
}

std::vector<std::string> SynonymNames(Family family) {
  std::vector<std::string> names;
  for (const Synonym& row : AllSynonyms()) {
    const bool refused = row.expression->kind == Syntax::Kind::kString;
    if ((row.families & family) != 0 && !refused) {
      names.push_back(row.def->name);
    }
  }
  return names;
}

uint32_t FamilyOfModule(std::string_view module) {
  for (const ModuleFamily& row : kModules) {
    if (row.path == module) return row.family;
  }
  return 0;
}

std::string_view DefaultModule(std::string_view alias) {
  for (const Alias& row : kAliases) {
    if (row.name == alias) return row.module;
  }
  return "";
}

bool IsImportAccepted(std::string_view module) {
  const std::string_view package = module.substr(0, module.find('.'));
  for (std::string_view row : kPackages) {
    if (row == package) return true;
  }
  return false;
}

bool IsDecoratorIgnored(std::string_view name) {
  for (std::string_view row : kDecorators) {
    if (row == name) return true;
  }
  return false;
}

}  // namespace actserve
