#include "kernels/lang/desugar/synonyms.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/base/text.h"
#include "kernels/lang/canonical.h"
#include "kernels/lang/parser.h"
#include "kernels/lang/vocabulary.h"

namespace actserve {
namespace {

void CollectNames(const Syntax& syntax, std::set<std::string>& names) {
  const bool is_call = syntax.kind == Syntax::Kind::kCall;
  if (syntax.kind == Syntax::Kind::kName) names.insert(syntax.text);
  for (size_t i = is_call ? 1 : 0; i < syntax.args.size(); ++i) {
    CollectNames(*syntax.args[i], names);
  }
}

// What a row's text may hold: the header says so, and nothing else checks it.
void CheckCalls(const Syntax& syntax) {
  if (syntax.kind == Syntax::Kind::kCall) {
    const std::string& name = syntax.args[0]->text;
    const size_t given = syntax.args.size() - 1;
    const FunctionSignature* primitive = FindPrimitive(name);
    const FunctionSignature* catalog = FindCatalogSignature(name);
    EXPECT_TRUE(
        (primitive != nullptr && primitive->arguments.size() == given) ||
        (catalog != nullptr && catalog->arguments.size() >= given))
        << name;
    EXPECT_TRUE(syntax.keywords.empty());
  }
  for (const SyntaxPtr& arg : syntax.args) CheckCalls(*arg);
}

TEST(Synonyms, RowsUseTheCoreAndTheirParameters) {
  for (const Synonym& row : AllSynonyms()) {
    SCOPED_TRACE(row.def->name);
    if (row.expression->kind == Syntax::Kind::kString) continue;
    std::set<std::string> names;
    CollectNames(*row.expression, names);
    for (const std::string& name : names) {
      bool is_parameter = false;
      for (const SyntaxArgument& argument : row.def->arguments) {
        is_parameter |= argument.name == name;
      }
      EXPECT_TRUE(is_parameter || FindConstant(name)) << name;
    }
    CheckCalls(*row.expression);
  }
}

struct Spelling {
  std::string written;
  std::string core;
};

std::string Form(const std::string& expression) {
  const std::string text =
      Concat("def f(x, g, a=0.25):\n    return ", expression, "\n");
  Diagnostics diagnostics(text);
  const std::optional<Module> module =
      Parse(text, {}, LanguageLimits(), diagnostics);
  EXPECT_TRUE(module) << diagnostics.Render();
  return module ? CanonicalForm(*module, nullptr, false) : "";
}

TEST(Synonyms, MeanTheCoreExpression) {
  const std::vector<Spelling> cases = {
      // Every prefix, before a primitive and before a built-in.
      {"math.tanh(x)", "tanh(x)"},
      {"np.tanh(x)", "tanh(x)"},
      {"numpy.tanh(x)", "tanh(x)"},
      {"cp.tanh(x)", "tanh(x)"},
      {"tf.tanh(x)", "tanh(x)"},
      {"tf.math.tanh(x)", "tanh(x)"},
      {"tf.nn.tanh(x)", "tanh(x)"},
      {"tf.keras.backend.tanh(x)", "tanh(x)"},
      {"tf.keras.activations.tanh(x)", "tanh(x)"},
      {"keras.activations.tanh(x)", "tanh(x)"},
      {"K.tanh(x)", "tanh(x)"},
      {"torch.tanh(x)", "tanh(x)"},
      {"torch.nn.functional.tanh(x)", "tanh(x)"},
      {"F.tanh(x)", "tanh(x)"},
      {"jnp.tanh(x)", "tanh(x)"},
      {"jax.numpy.tanh(x)", "tanh(x)"},
      {"jax.nn.tanh(x)", "tanh(x)"},
      {"lax.tanh(x)", "tanh(x)"},
      {"x.tanh()", "tanh(x)"},
      {"F.relu(x)", "relu(x)"},
      {"tf.nn.relu6(x, name='r')", "relu6(x)"},
      {"F.silu(x, inplace=True)", "silu(x)"},
      {"jax.nn.swish(x)", "silu(x)"},
      {"torch.sigmoid(x)", "sigmoid(x)"},
      {"torch.special.expit(x)", "sigmoid(x)"},
      // Arithmetic and comparisons as functions.
      {"tf.add(x, g)", "x + g"},
      {"torch.sub(x, g)", "x - g"},
      {"np.subtract(x, g)", "x - g"},
      {"tf.multiply(x, g)", "x * g"},
      {"x.mul(2)", "x * 2"},
      {"np.divide(x, g)", "x / g"},
      {"torch.neg(x)", "-x"},
      {"np.negative(x)", "-x"},
      {"x.pow(2)", "x ** 2"},
      {"pow(x, a)", "x ** a"},
      {"np.power(x, 3)", "x ** 3"},
      {"K.square(x)", "x ** 2"},
      {"torch.reciprocal(x)", "1 / x"},
      {"tf.math.rsqrt(x)", "1 / sqrt(x)"},
      {"tf.math.floormod(x, 1)", "x % 1"},
      {"np.mod(x, 2)", "x % 2"},
      {"torch.remainder(x, 2)", "x % 2"},
      {"np.floor_divide(x, 2)", "x // 2"},
      {"math.fmod(x, 2)", "fmod(x, 2)"},
      {"np.fmod(x, 2)", "fmod(x, 2)"},
      {"torch.fmod(x, 2)", "fmod(x, 2)"},
      {"jax.lax.rem(x, g)", "fmod(x, g)"},
      {"1 if tf.less(x, g) else 0", "1 if x < g else 0"},
      {"1 if np.less_equal(x, g) else 0", "1 if x <= g else 0"},
      {"1 if torch.gt(x, 0) else 0", "1 if x > 0 else 0"},
      {"1 if x.ge(0) else 0", "1 if x >= 0 else 0"},
      {"1 if tf.equal(x, 0) else 0", "1 if x == 0 else 0"},
      {"1 if np.not_equal(x, 0) else 0", "1 if x != 0 else 0"},
      {"1 if np.logical_and(x > 0, x < 1) else 0",
       "1 if x > 0 and x < 1 else 0"},
      {"1 if tf.logical_or(x > 0, x < 1) else 0", "1 if x > 0 or x < 1 else 0"},
      {"1 if torch.logical_not(x > 0) else 0", "1 if not x > 0 else 0"},
      {"1 if math.isnan(x) else 0", "1 if not abs(x) <= inf else 0"},
      {"1 if np.isfinite(x) else 0", "1 if abs(x) < inf else 0"},
      {"1 if torch.isinf(x) else 0", "1 if abs(x) == inf else 0"},
      // Choices and bounds.
      {"np.where(x > 0, x, 1)", "x if x > 0 else 1"},
      {"torch.where(x > 0, x, a * torch.expm1(x))",
       "x if x > 0 else a * expm1(x)"},
      {"where(x > 0, x=x, y=g)", "x if x > 0 else g"},
      {"jax.lax.select(x > 0, x, g)", "x if x > 0 else g"},
      {"K.switch(x > 0, x, g)", "x if x > 0 else g"},
      {"max(x, g, 1)", "max(max(x, g), 1)"},
      {"np.maximum(x, 0)", "max(x, 0)"},
      {"torch.max(x, g)", "max(x, g)"},
      {"torch.min(x, 1.0)", "min(x, 1)"},
      {"tf.minimum(x, g)", "min(x, g)"},
      {"torch.clamp(x, min=0)", "clamp(x, 0, inf)"},
      {"torch.clamp(x, max=6)", "clamp(x, -inf, 6)"},
      {"x.clamp(-1, 1)", "clamp(x, -1, 1)"},
      {"x.clamp(None, 1)", "clamp(x, -inf, 1)"},
      {"x.clamp_min(0)", "clamp(x, 0, inf)"},
      {"np.clip(x, 0, 6)", "clamp(x, 0, 6)"},
      {"np.clip(x, a_min=0, a_max=None)", "clamp(x, 0, inf)"},
      {"jnp.clip(x, min=0)", "clamp(x, 0, inf)"},
      // The last of two bounds wins there.
      {"K.clip(x, min_value=0, max_value=1)",
       "0 if x < 0 or (1 < 0 and abs(x) <= inf) else (1 if x > 1 else x)"},
      {"tf.clip_by_value(x, clip_value_min=0, clip_value_max=1)",
       "0 if x < 0 or (1 < 0 and abs(x) <= inf) else (1 if x > 1 else x)"},
      {"lax.max(x, 0.0)", "max(x, 0)"},
      {"jax.lax.clamp(0, x, 6)", "clamp(x, 0, 6)"},
      // Constants, casts.
      {"x * math.pi + np.e - tf.constant(2.0)", "x * pi + e - 2"},
      {"x * math.tau", "x * 6.283185307179586"},
      {"x if x < np.inf else float('-inf')", "x if x < inf else -inf"},
      {"x + torch.tensor(0.5, dtype=torch.float32, device='cpu')", "x + 0.5"},
      {"tf.constant(0.5, tf.float32) * x", "0.5 * x"},
      {"x + K.epsilon()", "x + 1e-7"},
      {"torch.zeros_like(x)", "0"},
      {"np.ones_like(x, dtype=np.float32)", "1"},
      {"np.full_like(x, 3)", "3"},
      {"(x > 0).float() * x", "float(x > 0) * x"},
      {"(x > 0).to(torch.float32)", "float(x > 0)"},
      {"(x > 0).type_as(x)", "float(x > 0)"},
      {"(x > 0).astype('float32')", "float(x > 0)"},
      {"tf.cast(x > 0, tf.float32)", "float(x > 0)"},
      {"tf.cast(x > 0, x.dtype)", "float(x > 0)"},
      {"K.cast(x > 0, K.floatx())", "float(x > 0)"},
      {"np.array(x > 0, dtype=np.float32)", "float(x > 0)"},
      {"x.clone()", "x"},
      {"int(x)", "trunc(x)"},
      {"-0 * x", "0 * x"},
      // Defaults and meanings that depend on the prefix.
      {"leaky_relu(x)", "leaky_relu(x, 0.01)"},
      {"F.leaky_relu(x)", "leaky_relu(x, 0.01)"},
      {"jax.nn.leaky_relu(x, negative_slope=a)", "leaky_relu(x, a)"},
      {"tf.nn.leaky_relu(x)", "leaky_relu(x, 0.2)"},
      {"tf.keras.activations.leaky_relu(x)", "leaky_relu(x, 0.2)"},
      {"K.relu(x, alpha=0.1)", "leaky_relu(x, 0.1)"},
      {"K.relu(x, max_value=6)", "hardtanh(x, 0, 6)"},
      {"F.gelu(x)", "gelu(x)"},
      {"F.gelu(x, approximate='tanh')", "gelu_tanh(x)"},
      {"F.gelu(x, approximate='none')", "gelu(x)"},
      {"tf.nn.gelu(x)", "gelu(x)"},
      {"tf.nn.gelu(x, approximate=True)", "gelu_tanh(x)"},
      {"jax.nn.gelu(x)", "gelu_tanh(x)"},
      {"jax.nn.gelu(x, approximate=False)", "gelu(x)"},
      // Names of earlier releases.
      {"jnp.clip(x, a_min=0, a_max=None)", "clamp(x, 0, inf)"},
      {"keras.activations.relu(x, alpha=0.1)", "leaky_relu(x, 0.1)"},
      {"F.softplus(x)", "softplus(x)"},
      {"F.softplus(x, beta=2)", "x if 2 * x > 20 else softplus(2 * x) / 2"},
      {"keras.ops.gelu(x)", "gelu_tanh(x)"},
      {"keras.activations.gelu(x)", "gelu(x)"},
      {"K.relu(x, 0.2)", "leaky_relu(x, 0.2)"},
      {"x.where(x > 0, g)", "x if x > 0 else g"},
      {"lax.select_n(x > 0, x, g)", "g if x > 0 else x"},
      {"lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)", "round(x)"},
      {"torch.sub(x, g, alpha=2)", "x - 2 * g"},
      {"np.maximum(x1=x, x2=0)", "max(x, 0)"},
      {"torch.where(condition=x > 0, input=x, other=g)", "x if x > 0 else g"},
      {"torch.minimum(input=x, other=g)", "min(x, g)"},
      {"scipy.special.ndtr(x)", "normcdf(x)"},
      {"F.hardsigmoid(x)", "hardsigmoid(x)"},
      {"jax.nn.hard_sigmoid(x)", "hardsigmoid(x)"},
      {"F.threshold(x, 1, 20)", "threshold(x, 1, 20)"},
      {"F.elu(x, alpha=a)", "elu(x, a)"},
      {"math.log(x, 2)", "log(x) / log(2)"},
      // Chains.
      {"x.abs().sqrt().clamp(max=1)", "clamp(sqrt(abs(x)), -inf, 1)"},
      {"torch.exp(-x.pow(2)).mul(g)", "exp(-(x ** 2)) * g"},
  };
  for (const Spelling& c : cases) {
    EXPECT_EQ(Form(c.written), Form(c.core)) << c.written;
  }
}

TEST(Modules, TablesAndAliasesAgree) {
  for (const char* alias : {"math", "np", "tf", "torch", "F", "jnp", "K"}) {
    const std::string_view module = DefaultModule(alias);
    EXPECT_NE(TableOfModule(module), "") << alias;
    EXPECT_TRUE(IsImportAccepted(module)) << alias;
  }
  EXPECT_EQ(DefaultModule("os"), "");
  EXPECT_EQ(TableOfModule("torch.utils"), "");
  EXPECT_EQ(TableOfModule("cupy"), "numpy");
  EXPECT_FALSE(IsImportAccepted("os.path"));
  EXPECT_FALSE(IsImportAccepted("mathematics"));
}

TEST(Core, SignaturesOfBuiltInsComeFromTheirTexts) {
  const FunctionSignature* elu = FindCatalogSignature("elu");

  ASSERT_NE(elu, nullptr);
  EXPECT_EQ(elu->arguments, (std::vector<std::string>{"x", "alpha"}));
  EXPECT_EQ(elu->defaults[0], std::nullopt);
  EXPECT_EQ(elu->defaults[1], 1.0);
  EXPECT_EQ(FindCatalogSignature("hardtanh")->defaults[1], -1.0);
  EXPECT_EQ(FindCatalogSignature("no_such"), nullptr);
}

TEST(Core, ConstantArithmeticIsPythons) {
  EXPECT_EQ(EvaluateBinary("%", -1, 3), 2);
  EXPECT_EQ(EvaluateBinary("%", 1, -3), -2);
  EXPECT_EQ(EvaluateBinary("//", -1, 3), -1);
  EXPECT_EQ(EvaluateBinary("//", 7, 2), 3);
  EXPECT_EQ(EvaluateBinary("//", 1, 0.1), 9);
  EXPECT_EQ(EvaluateBinary("**", 2, -1), 0.5);
  EXPECT_EQ(EvaluateBinary("@", 2, 1), std::nullopt);
}

}  // namespace
}  // namespace actserve
