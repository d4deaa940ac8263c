// The core tree, printed as text, parses to the same tree: nothing that a text
// says is lost on the way, and the core is a part of the language.

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "kernels/base/text.h"
#include "kernels/catalog/catalog.h"
#include "kernels/lang/canonical.h"
#include "kernels/lang/parser.h"

namespace actserve {
namespace {

std::string PrintNumber(double value) {
  if (std::isnan(value)) return "math.nan";
  if (std::isinf(value)) return value > 0 ? "actserve.inf" : "(-math.inf)";
  const std::string digits = absl::StrFormat("%.17g", std::fabs(value));
  const bool whole = digits.find_first_of(".e") == std::string::npos;
  return Concat(std::signbit(value) ? "(-" : "", digits, whole ? ".0" : "",
                std::signbit(value) ? ")" : "");
}

// What is no helper is called with a prefix, so that no helper hides it.
std::string Print(const Module& module, const Expr& expr) {
  std::vector<std::string> args;
  for (const ExprPtr& arg : expr.args) args.push_back(Print(module, *arg));
  switch (expr.kind) {
    case Expr::Kind::kNumber:
      return expr.is_integer && expr.number >= 0
                 ? absl::StrFormat("%.0f", expr.number)
                 : PrintNumber(expr.number);
    case Expr::Kind::kBool:
      return expr.number != 0 ? "True" : "False";
    case Expr::Kind::kName:
      return expr.name;
    case Expr::Kind::kUnary:
      return Concat("(", expr.op, " ", args[0], ")");
    case Expr::Kind::kBinary:
      return Concat("(", args[0], expr.op, args[1], ")");
    case Expr::Kind::kConditional:
      return Concat("(", args[0], " if ", args[1], " else ", args[2], ")");
    case Expr::Kind::kCompare:
    case Expr::Kind::kBoolOp: {
      std::string out = "(" + args[0];
      for (size_t i = 1; i < args.size(); ++i) {
        const bool compare = expr.kind == Expr::Kind::kCompare;
        out += Concat(" ", compare ? expr.ops[i - 1] : expr.op, " ", args[i]);
      }
      return out + ")";
    }
    case Expr::Kind::kCall:
      break;
  }
  std::string out = expr.callee == Expr::Callee::kHelper
                        ? module.functions[expr.helper].name
                        : "actserve." + expr.name;
  for (size_t i = 0; i < args.size(); ++i) {
    out += Concat(i == 0 ? "(" : ", ", args[i]);
  }
  return out + ")";
}

std::string Print(const Module& module, const std::vector<Stmt>& block,
                  int indent) {
  const std::string margin(indent, ' ');
  if (block.empty()) return margin + "pass\n";
  std::string out;
  for (const Stmt& statement : block) {
    std::string values;
    for (const ExprPtr& value : statement.values) {
      values += Concat(values.empty() ? "" : ", ", Print(module, *value));
    }
    std::string targets;
    for (const std::string& target : statement.targets) {
      targets += Concat(targets.empty() ? "" : ", ", target);
    }
    switch (statement.kind) {
      case Stmt::Kind::kAssign:
        out += Concat(margin, targets, " = ", values, "\n");
        break;
      case Stmt::Kind::kReturn:
        out += Concat(margin, "return ", values, "\n");
        break;
      case Stmt::Kind::kIf:
        out += Concat(margin, "if ", Print(module, *statement.condition), ":\n",
                      Print(module, statement.body, indent + 1));
        if (!statement.orelse.empty()) {
          out += Concat(margin, "else:\n",
                        Print(module, statement.orelse, indent + 1));
        }
        break;
      case Stmt::Kind::kFor:
        out += Concat(margin, "for ", targets, " in range(", values, "):\n",
                      Print(module, statement.body, indent + 1));
        break;
    }
  }
  return out;
}

std::string Print(const Module& module) {
  std::string out;
  for (const FunctionDef& function : module.functions) {
    std::string arguments;
    for (const Argument& argument : function.arguments) {
      arguments += Concat(arguments.empty() ? "" : ", ", argument.name);
      if (argument.default_value) {
        arguments += Concat("=", PrintNumber(*argument.default_value));
      }
    }
    out += Concat("def ", function.name, "(", arguments, "):\n",
                  Print(module, function.body, 1));
  }
  return out;
}

void ExpectRoundTrip(const std::string& text) {
  SCOPED_TRACE(text);
  LanguageLimits limits;
  limits.depth = 200;  // The printer puts parentheses everywhere.
  Diagnostics diagnostics(text);
  const std::optional<Module> module = Parse(text, {}, limits, diagnostics);
  ASSERT_TRUE(module) << diagnostics.Render();

  const std::string printed = Print(*module);
  Diagnostics in_printed(printed);
  const std::optional<Module> again = Parse(printed, {}, limits, in_printed);

  ASSERT_TRUE(again) << in_printed.Render();
  EXPECT_EQ(CanonicalForm(*again, nullptr, false),
            CanonicalForm(*module, nullptr, false));
  EXPECT_EQ(Print(*again), printed);
}

TEST(RoundTrip, CatalogTexts) {
  for (const CatalogEntry& entry : Catalog()) {
    ExpectRoundTrip(std::string(entry.text));
  }
}

TEST(RoundTrip, EveryKindOfNode) {
  const std::vector<std::string> texts = {
      R"py(
SCALE = -0.1
def h(v, k=2.0):
    return v ** k if not v > 0 else -v
def act(x, g, alpha=1/3):
    a = b = x.clamp(min=0)
    a, b = b, a + SCALE
    s = 0
    for i in range(1, 5, 2):
        if 0 < x <= i != 7 or g == 2 and True:
            s += h(x, i) * elu(x) // tanh(a) % (b - -1e-300)
        elif False:
            pass
        else:
            s -= max(x, g, 1) + float(x > 0) - nan
            return s
    return s + inf
def act_grad(x, g, dy, alpha):
    return dy * alpha, dy
)py",
      "def tanh(x): return math.tanh(x)",
      "def relu(x): return x\ndef f(x): return relu(x) + F.relu(x)",
  };
  for (const std::string& text : texts) ExpectRoundTrip(text);
}

}  // namespace
}  // namespace actserve
