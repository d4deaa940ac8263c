#include "kernels/lang/canonical.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"
#include "kernels/base/sha256.h"
#include "kernels/base/text.h"

namespace actserve {
namespace {

std::string NumberForm(double value) {
  if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
  return absl::StrFormat("#%016x", std::bit_cast<uint64_t>(value));
}

// Inputs by place, parameters by name: an argument of a gradient that has a
// default is a parameter of the activation.
std::string ArgumentsForm(const FunctionDef& function, bool input_names) {
  std::string out = "(";
  for (const Argument& argument : function.arguments) {
    if (out.size() > 1) out += ' ';
    if (argument.default_value) {
      out += Concat("(parameter ", argument.name, " ",
                    NumberForm(*argument.default_value), ")");
    } else {
      out += input_names ? Concat("(input ", argument.name, ")") : "(input)";
    }
  }
  return out + ")";
}

// The forms of one module's functions. A helper for which the text declares a
// gradient calls for that gradient's form too, `gradients`. A gradient may call
// the helper it belongs to, so forms of gradients are another object, and the
// last of that chain has nullptr: it tells helpers apart by their values alone.
class ModuleForm {
 public:
  ModuleForm(const Module& module, const ModuleForm* gradients)
      : module_(module),
        gradients_(gradients),
        digests_(module.functions.size()) {}

  // The statements of functions[index], as "((return $0))".
  std::string Body(int index) const;

 private:
  using Numbers = std::map<std::string, int>;

  void Append(const Expr& expr, const Numbers& numbers, std::string& out) const;
  void Append(const Stmt& statement, Numbers& numbers, std::string& out) const;
  void Append(const std::vector<Stmt>& block, Numbers& numbers,
              std::string& out) const;
  const std::string& Digest(int helper) const;

  const Module& module_;
  const ModuleForm* gradients_;
  mutable std::vector<std::string> digests_;  // "": not needed so far
};

std::string ModuleForm::Body(int index) const {
  const FunctionDef& function = module_.functions[index];
  Numbers numbers;
  for (const Argument& argument : function.arguments) {
    numbers.emplace(argument.name, numbers.size());
  }
  std::string out;
  Append(function.body, numbers, out);
  return out;
}

// Stands for the helper's body where it is called: inlining the text itself
// could grow without bound.
const std::string& ModuleForm::Digest(int helper) const {
  std::string& digest = digests_[helper];
  if (digest.empty()) {
    const FunctionDef& function = module_.functions[helper];
    std::string form =
        Concat("(function ", function.arguments.size(), " ", Body(helper));
    if (gradients_ != nullptr && function.gradient) {
      form +=
          Concat(" (gradient ",
                 ArgumentsForm(module_.functions[*function.gradient], false),
                 " ", gradients_->Body(*function.gradient), ")");
    }
    digest = Sha256Hex(form + ")");
  }
  return digest;
}

void ModuleForm::Append(const std::vector<Stmt>& block, Numbers& numbers,
                        std::string& out) const {
  out += '(';
  for (size_t i = 0; i < block.size(); ++i) {
    if (i > 0) out += ' ';
    Append(block[i], numbers, out);
  }
  out += ')';
}

void ModuleForm::Append(const Stmt& statement, Numbers& numbers,
                        std::string& out) const {
  const auto append_values = [&] {
    for (const ExprPtr& value : statement.values) {
      out += ' ';
      Append(*value, numbers, out);
    }
  };
  // A local's number is the place of its first assignment in the text.
  const auto number_of = [&](const std::string& name) {
    return numbers.emplace(name, numbers.size()).first->second;
  };
  switch (statement.kind) {
    case Stmt::Kind::kAssign: {
      // The values are read before any target gets its number.
      std::string targets;
      std::string values;
      std::swap(out, values);
      append_values();
      std::swap(out, values);
      for (const std::string& name : statement.targets) {
        targets += Concat(targets.empty() ? "" : " ", number_of(name));
      }
      out += Concat("(set (", targets, ")", values, ")");
      return;
    }
    case Stmt::Kind::kReturn:
      out += "(return";
      append_values();
      out += ')';
      return;
    case Stmt::Kind::kIf:
      out += "(if ";
      Append(*statement.condition, numbers, out);
      out += ' ';
      Append(statement.body, numbers, out);
      out += ' ';
      Append(statement.orelse, numbers, out);
      out += ')';
      return;
    case Stmt::Kind::kFor:
      out += Concat("(for ", number_of(statement.targets[0]));
      append_values();
      out += ' ';
      Append(statement.body, numbers, out);
      out += ')';
      return;
  }
}

void ModuleForm::Append(const Expr& expr, const Numbers& numbers,
                        std::string& out) const {
  switch (expr.kind) {
    case Expr::Kind::kNumber:
      out += NumberForm(expr.number);
      return;
    case Expr::Kind::kBool:
      out += expr.number != 0 ? "true" : "false";
      return;
    case Expr::Kind::kName:
      out += Concat("$", numbers.at(expr.name));
      return;
    case Expr::Kind::kUnary:
      out += expr.op == "-" ? "(neg" : "(not";
      break;
    case Expr::Kind::kBinary:
    case Expr::Kind::kBoolOp:
      out += Concat("(", expr.op);
      break;
    case Expr::Kind::kCompare:
      out += "(compare";
      for (const std::string& op : expr.ops) out += Concat(" ", op);
      break;
    case Expr::Kind::kConditional:
      out += "(choose";
      break;
    case Expr::Kind::kCall:
      out += expr.callee == Expr::Callee::kHelper
                 ? Concat("(apply ", Digest(expr.helper))
                 : Concat("(call ", expr.name);
      break;
  }
  for (const ExprPtr& arg : expr.args) {
    out += ' ';
    Append(*arg, numbers, out);
  }
  out += ')';
}

// Enough for derivatives of second order: a function's form has its helpers'
// gradients, and those have the gradients of the helpers that they call.
struct FormsOfModule {
  explicit FormsOfModule(const Module& module)
      : value(module, nullptr),
        gradient(module, &value),
        function(module, &gradient) {}

  ModuleForm value;
  ModuleForm gradient;
  ModuleForm function;
};

}  // namespace

std::string CanonicalForm(const Module& module, const Module* derivative,
                          bool exact) {
  const FormsOfModule forms(module);
  const FunctionDef& main = module.functions[module.main];
  std::string out = Concat("(activation v1 ", ArgumentsForm(main, true), " ",
                           forms.function.Body(module.main));
  if (main.gradient) {
    out += Concat(" (gradient ",
                  ArgumentsForm(module.functions[*main.gradient], false), " ",
                  forms.gradient.Body(*main.gradient), ")");
  }
  if (derivative != nullptr) {
    const int index = derivative->main;
    out += Concat(" (derivative ",
                  ArgumentsForm(derivative->functions[index], false), " ",
                  FormsOfModule(*derivative).gradient.Body(index), ")");
  }
  if (exact) out += " exact";
  return out + ")";
}

std::string ContentId(const Module& module, const Module* derivative,
                      bool exact) {
  return Sha256Id(CanonicalForm(module, derivative, exact));
}

}  // namespace actserve
