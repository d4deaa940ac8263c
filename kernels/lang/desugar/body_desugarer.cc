// Part of text_desugarer.h: the statements of a function.

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/text.h"
#include "kernels/lang/desugar/text_desugarer.h"
#include "kernels/lang/expr.h"

namespace actserve {
namespace {

using Kind = SyntaxStmt::Kind;

// Every name that `block` assigns, for Python's rule that it is local.
void CollectAssigned(const std::vector<SyntaxStmt>& block,
                     std::set<std::string, std::less<>>& names) {
  for (const SyntaxStmt& statement : block) {
    for (const SyntaxPtr& target : statement.targets) {
      if (target->kind == Syntax::Kind::kName) names.insert(target->text);
      if (target->kind != Syntax::Kind::kTuple) continue;
      for (const SyntaxPtr& item : target->args) {
        if (item->kind == Syntax::Kind::kName) names.insert(item->text);
      }
    }
    CollectAssigned(statement.body, names);
    CollectAssigned(statement.orelse, names);
  }
}

Stmt MakeStmt(Stmt::Kind kind, Position position) {
  Stmt statement;
  statement.kind = kind;
  statement.position = position;
  return statement;
}

// The values of the first return in `block`; 0 if there is none.
size_t FirstReturn(const std::vector<SyntaxStmt>& block) {
  for (const SyntaxStmt& statement : block) {
    if (statement.kind == Kind::kReturn && statement.value != nullptr) {
      const Syntax& value = *statement.value;
      return value.kind == Syntax::Kind::kTuple ? value.args.size() : 1;
    }
    for (const auto* inner : {&statement.body, &statement.orelse}) {
      if (const size_t count = FirstReturn(*inner); count > 0) return count;
    }
  }
  return 0;
}

// How many values a gradient returns, and how many it returned.
std::string ResultsMessage(const FunctionDef& activation, size_t returned) {
  const size_t inputs = activation.NumInputs();
  std::string parameters;
  for (const Argument& argument : activation.arguments) {
    if (!argument.default_value) continue;
    parameters += Concat(parameters.empty() ? "" : ", ", argument.name);
  }
  std::string message =
      Concat("the gradient must return ", inputs,
             inputs == 1 ? " value" : " values", ", one for each tensor input");
  if (!parameters.empty()) {
    message += Concat(", or ", activation.arguments.size(),
                      ", then one for each parameter (",
                      parameters.substr(0, 64), ") too");
  }
  return Concat(message, ", not ", returned);
}

}  // namespace

size_t TextDesugarer::CountResults(int index) {
  if (current_activation_ == nullptr) return 1;
  const size_t all = current_activation_->arguments.size();
  return FirstReturn(defs_[index]->body) == all
             ? all
             : current_activation_->NumInputs();
}

void TextDesugarer::DesugarBody(int index) {
  FunctionDef& function = module_.functions[index];
  scope_.locals.clear();
  scope_.locals_unknown = defs_[index]->arguments_unknown;
  for (const Argument& argument : function.arguments) {
    scope_.locals.insert(argument.name);
  }
  CollectAssigned(defs_[index]->body, scope_.locals);
  const auto outer_flags = scope_.flags;
  if (auto it = fixed_flags_.find(index); it != fixed_flags_.end()) {
    for (const auto& [name, value] : it->second) {
      scope_.flags[name] = value;
      if (scope_.locals.count(name) == 0) continue;
      // The text assigns it: it begins with its default.
      Stmt first = MakeStmt(Stmt::Kind::kAssign, function.position);
      first.targets.push_back(name);
      first.values.push_back(MakeExpr(Expr::Kind::kBool, function.position));
      first.values.back()->number = value;
      function.body.push_back(std::move(first));
    }
  }
  for (const std::string& name : scope_.locals) scope_.flags.erase(name);
  current_ = index;
  const FunctionDef* activation = FunctionOfGradient(index);
  const bool declared = activation != nullptr && activation->gradient == index;
  current_activation_ = declared ? activation : nullptr;
  function.num_results = CountResults(index);
  DesugarBlock(defs_[index]->body, function.body);
  scope_.flags = outer_flags;
}

void TextDesugarer::DesugarBlock(const std::vector<SyntaxStmt>& block,
                                 Block& out) {
  for (const SyntaxStmt& statement : block) DesugarStatement(statement, out);
}

void TextDesugarer::DesugarStatement(const SyntaxStmt& statement, Block& out) {
  switch (statement.kind) {
    case Kind::kAssign:
      return DesugarAssign(statement, out);
    case Kind::kAugmented:
      return DesugarAugmented(statement, out);
    case Kind::kIf: {
      Stmt node = MakeStmt(Stmt::Kind::kIf, statement.position);
      node.condition = expressions_.Desugar(*statement.value);
      DesugarBlock(statement.body, node.body);
      DesugarBlock(statement.orelse, node.orelse);
      out.push_back(std::move(node));
      return;
    }
    case Kind::kFor:
      return DesugarFor(statement, out);
    case Kind::kReturn:
      return DesugarReturn(statement, out);
    case Kind::kExpression:
      return DesugarExpression(statement);
    case Kind::kImport:
      return ReadImport(statement);
    case Kind::kDef:
      diagnostics_.Error(statement.position,
                         "functions inside functions are not supported: "
                         "define it before, outside");
      return;
    case Kind::kPass:
    case Kind::kSkipped:
      return;
  }
}

// The names of an assignment's left side; what else it may be is reported.
std::vector<std::string> TextDesugarer::Targets(const Syntax& target) {
  if (target.kind == Syntax::Kind::kName) return {target.text};
  std::vector<std::string> names;
  if (target.kind == Syntax::Kind::kTuple) {
    for (const SyntaxPtr& item : target.args) {
      if (item->kind == Syntax::Kind::kName &&
          std::find(names.begin(), names.end(), item->text) == names.end()) {
        names.push_back(item->text);
      } else {
        diagnostics_.Error(item->position,
                           "expected a name that is assigned once");
      }
    }
  } else if (target.kind == Syntax::Kind::kAttribute) {
    diagnostics_.Error(target.position,
                       "attributes cannot be assigned: use a name");
  } else if (target.kind != Syntax::Kind::kError) {
    diagnostics_.Error(target.position, "only a name can be assigned to");
  }
  return names;
}

void TextDesugarer::DesugarAssign(const SyntaxStmt& statement, Block& out) {
  std::vector<std::string> source;
  for (const SyntaxPtr& target : statement.targets) {
    Stmt node = MakeStmt(Stmt::Kind::kAssign, statement.position);
    node.targets = Targets(*target);
    const bool tuple = target->kind == Syntax::Kind::kTuple;
    const size_t width = tuple ? target->args.size() : 1;
    if (!source.empty()) {  // a = b = value: b is a's value.
      for (const std::string& name : source) {
        node.values.push_back(MakeExpr(Expr::Kind::kName, statement.position));
        node.values.back()->name = name;
      }
    } else if (tuple && statement.value->kind == Syntax::Kind::kTuple) {
      for (const SyntaxPtr& item : statement.value->args) {
        node.values.push_back(expressions_.Desugar(*item));
      }
    } else {
      node.values.push_back(expressions_.Desugar(*statement.value));
    }
    if (node.values.size() != width) {
      diagnostics_.Error(
          statement.position,
          Concat(width, " names are assigned ", node.values.size(), " values"));
    }
    // A wrong statement still assigns its names; otherwise they would be
    // reported too.
    while (node.values.size() < node.targets.size()) {
      node.values.push_back(MakeNumber(statement.position, 0, false));
    }
    node.values.resize(node.targets.size());
    if (node.targets.empty()) continue;
    source = node.targets;
    out.push_back(std::move(node));
  }
}

void TextDesugarer::DesugarAugmented(const SyntaxStmt& statement, Block& out) {
  const Syntax& target = *statement.targets[0];
  ExprPtr value = expressions_.Desugar(*statement.value);
  if (target.kind != Syntax::Kind::kName) {
    Targets(target);
    if (target.kind == Syntax::Kind::kTuple) {
      diagnostics_.Error(target.position, "only a name can be assigned to");
    }
    return;
  }
  Stmt node = MakeStmt(Stmt::Kind::kAssign, statement.position);
  node.targets.push_back(target.text);
  ExprPtr binary = MakeExpr(Expr::Kind::kBinary, statement.position);
  binary->op = statement.op;
  binary->args.push_back(expressions_.Desugar(target));
  binary->args.push_back(std::move(value));
  node.values.push_back(std::move(binary));
  out.push_back(std::move(node));
}

void TextDesugarer::DesugarFor(const SyntaxStmt& statement, Block& out) {
  Stmt node = MakeStmt(Stmt::Kind::kFor, statement.position);
  const Syntax& range = *statement.value;
  const bool is_range = range.kind == Syntax::Kind::kCall &&
                        range.args[0]->kind == Syntax::Kind::kName &&
                        range.args[0]->text == "range" &&
                        range.keywords.empty() && range.args.size() >= 2 &&
                        range.args.size() <= 4;
  if (is_range) {
    for (size_t i = 1; i < range.args.size(); ++i) {
      node.values.push_back(expressions_.Desugar(*range.args[i]));
    }
    if (node.values.size() == 1) {
      node.values.insert(node.values.begin(),
                         MakeNumber(range.position, 0, true));
    }
    if (node.values.size() == 2) {
      node.values.push_back(MakeNumber(range.position, 1, true));
    }
  } else if (range.kind != Syntax::Kind::kError) {
    diagnostics_.Error(range.position,
                       "a loop must run over range(N) with a constant N");
  }
  for (const SyntaxPtr& target : statement.targets) {
    node.targets.push_back(target->text);
  }
  DesugarBlock(statement.body, node.body);
  if (node.targets.size() == 1 && node.values.size() == 3) {
    out.push_back(std::move(node));
  }
}

void TextDesugarer::DesugarReturn(const SyntaxStmt& statement, Block& out) {
  Stmt node = MakeStmt(Stmt::Kind::kReturn, statement.position);
  if (statement.value == nullptr) {
    diagnostics_.Error(statement.position, "return needs a value");
  } else if (statement.value->kind == Syntax::Kind::kTuple) {
    for (const SyntaxPtr& item : statement.value->args) {
      node.values.push_back(expressions_.Desugar(*item));
    }
  } else {
    node.values.push_back(expressions_.Desugar(*statement.value));
  }
  const bool unknown = statement.value == nullptr ||
                       statement.value->kind == Syntax::Kind::kError;
  const size_t expected = module_.functions[current_].num_results;
  if (!unknown && node.values.size() != expected) {
    diagnostics_.Error(
        statement.position,
        current_activation_ == nullptr
            ? "the function must return one numeric value: "
              "return y only"
            : ResultsMessage(*current_activation_, node.values.size()));
  }
  out.push_back(std::move(node));
}

void TextDesugarer::DesugarExpression(const SyntaxStmt& statement) {
  if (statement.value->kind == Syntax::Kind::kString) return;
  const int before = diagnostics_.num_errors();
  expressions_.Desugar(*statement.value);
  if (diagnostics_.num_errors() == before) {
    diagnostics_.Warning(statement.position,
                         "this line computes a value and drops it");
  }
}

}  // namespace actserve
