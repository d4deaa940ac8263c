#include "kernels/lang/desugar/desugar.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/text.h"
#include "kernels/lang/desugar/synonyms.h"
#include "kernels/lang/desugar/text_desugarer.h"
#include "kernels/lang/expr.h"
#include "kernels/lang/vocabulary.h"

namespace actserve {
namespace {

using Kind = SyntaxStmt::Kind;

}  // namespace

Module TextDesugarer::Run(const std::vector<SyntaxStmt>& text) {
  for (const SyntaxStmt& statement : text) ReadTopLevel(statement);
  for (const auto& [name, value] : scope_.outside) {
    if (!std::isfinite(value)) {
      diagnostics_.Error({}, Concat("the constant ", Quoted(name),
                                    " from outside is not finite"));
    }
  }
  if (defs_.empty()) {
    if (!diagnostics_.has_errors()) {
      diagnostics_.Error({},
                         "the text defines no function: write def f(x): "
                         "return ...");
    }
    return std::move(module_);
  }
  FindMain();
  const std::optional<int> gradient = module_.functions[module_.main].gradient;
  FixFlags(module_.main);
  if (gradient) FixFlags(*gradient);
  CheckMain();
  if (gradient) CheckGradient(*gradient);
  for (size_t i = 0; i < defs_.size(); ++i) {
    ReadHelperGradient(static_cast<int>(i));
  }
  for (size_t i = 0; i < defs_.size(); ++i) {
    DesugarBody(static_cast<int>(i));
  }
  std::move(scope_.added.begin(), scope_.added.end(),
            std::back_inserter(module_.functions));
  for (const auto& [name, position] : scope_.used_outside) {
    const double value = scope_.outside.at(name);
    module_.constants[name] = value;
    diagnostics_.Note(position, Concat(Quoted(name), " is bound to ", value,
                                       " from outside the text"));
  }
  module_.constants.insert(scope_.constants.begin(), scope_.constants.end());
  return std::move(module_);
}

void TextDesugarer::ReadTopLevel(const SyntaxStmt& statement) {
  switch (statement.kind) {
    case Kind::kDef:
      return ReadDef(statement);
    case Kind::kImport:
      return ReadImport(statement);
    case Kind::kAssign:
      return ReadConstant(statement);
    case Kind::kPass:
    case Kind::kSkipped:
      return;
    case Kind::kReturn:
      if (diagnostics_.has_errors()) return;  // a `def` may be incomplete
      break;
    case Kind::kExpression:
      if (statement.value->kind == Syntax::Kind::kString) return;
      if (statement.value->kind == Syntax::Kind::kError) return;
      break;
    default:
      break;
  }
  diagnostics_.Error(statement.position,
                     "only functions, imports and numbers may stand outside a "
                     "function: remove this");
}

void TextDesugarer::ReadImport(const SyntaxStmt& statement) {
  for (const SyntaxImport& import : statement.imports) {
    if (!IsImportAccepted(import.module)) {
      diagnostics_.Error(
          import.position,
          Concat("import ", import.module.substr(0, 64),
                 " is not allowed. Available: math, np, tf, torch, jnp, "
                 "K. Make settings parameters with defaults"));
      continue;
    }
    if (import.name == "*" || import.alias.empty()) continue;
    if (!import.name.empty()) {
      scope_.imports[import.alias] = Concat(import.module, ".", import.name);
    } else if (import.alias ==
               import.module.substr(0, import.module.find('.'))) {
      scope_.imports[import.alias] = import.alias;
    } else {
      scope_.imports[import.alias] = import.module;
    }
  }
}

void TextDesugarer::ReadConstant(const SyntaxStmt& statement) {
  for (const SyntaxPtr& target : statement.targets) {
    const Syntax& value = *statement.value;
    if (target->kind != Syntax::Kind::kTuple) {
      ReadConstant(*target, value);
    } else if (value.kind == Syntax::Kind::kTuple &&
               value.args.size() == target->args.size()) {
      for (size_t i = 0; i < value.args.size(); ++i) {
        ReadConstant(*target->args[i], *value.args[i]);
      }
    } else {
      diagnostics_.Error(statement.position,
                         "each name must be assigned one number here");
    }
  }
}

// The function that `value` makes another form of: f in jax.jit(f) or
// tf.function(jit_compile=True)(f). nullptr if it is not that.
const Syntax* TextDesugarer::DecoratedName(const Syntax& value) const {
  if (value.kind != Syntax::Kind::kCall || value.args.size() < 2) {
    return nullptr;
  }
  const Syntax* callee = value.args[0].get();
  if (callee->kind == Syntax::Kind::kCall && callee->args.size() == 1) {
    callee = callee->args[0].get();
  }
  if (!IsDecoratorIgnored(expressions_.FullNameOf(*callee))) return nullptr;
  const Syntax& wrapped = *value.args[1];
  if (wrapped.kind != Syntax::Kind::kName) return DecoratedName(wrapped);
  return scope_.functions.count(wrapped.text) > 0 ? &wrapped : nullptr;
}

void TextDesugarer::ReadConstant(const Syntax& target, const Syntax& value) {
  const bool is_name = target.kind == Syntax::Kind::kName;
  if (const Syntax* function = DecoratedName(value); is_name && function) {
    scope_.functions[target.text] = scope_.functions.at(function->text);
    return;
  }
  if (is_name && value.kind == Syntax::Kind::kBool) {
    scope_.flags[target.text] = value.number != 0;
    return;
  }
  if (is_name && value.kind == Syntax::Kind::kList) {
    scope_.lists[target.text] = &value;
    return;
  }
  const int before = diagnostics_.num_errors();
  const std::optional<double> number =
      EvaluateConstant(*expressions_.Desugar(value));
  if (target.kind != Syntax::Kind::kName) {
    Targets(target);
    return;
  }
  scope_.constants[target.text] = number.value_or(0);
  const bool reported =
      diagnostics_.num_errors() > before || value.kind == Syntax::Kind::kError;
  if (!reported && (!number || !std::isfinite(*number))) {
    diagnostics_.Error(value.position,
                       "only finite numbers can be assigned outside a "
                       "function");
  }
}

void TextDesugarer::CheckDecorators(const SyntaxStmt& def) {
  for (const auto& [name, position] : def.decorators) {
    std::string full = expressions_.FullName(name);
    if (full.empty()) full = name;
    if (IsDecoratorIgnored(full)) continue;
    const bool gradient = name.find("custom_gradient") != std::string::npos ||
                          name.find("custom_jvp") != std::string::npos ||
                          name.find("custom_vjp") != std::string::npos;
    diagnostics_.Error(
        position, gradient
                      ? Concat("@", name.substr(0, 64),
                               " is not supported: write the gradient as a "
                               "second function, def ",
                               def.name.substr(0, 64), "_grad(x, dy)")
                      : Concat("decorator @", name.substr(0, 64),
                               " is not supported: remove it"));
  }
}

std::optional<double> TextDesugarer::ReadDefault(
    const SyntaxArgument& argument) {
  if (argument.default_value == nullptr) return std::nullopt;
  if (argument.default_value->kind == Syntax::Kind::kBool) {
    return argument.default_value->number;
  }
  const int before = diagnostics_.num_errors();
  const ExprPtr value = expressions_.Desugar(*argument.default_value);
  if (diagnostics_.num_errors() > before) return 0;
  const std::optional<double> number = EvaluateConstant(*value);
  if (!number || !std::isfinite(*number)) {
    diagnostics_.Error(argument.default_value->position,
                       Concat("the default of ", Quoted(argument.name),
                              " must be a finite number"));
    return 0;
  }
  return number;
}

void TextDesugarer::ReadDef(const SyntaxStmt& def) {
  CheckDecorators(def);
  FunctionDef function;
  function.name = def.name;
  function.position = def.name_position;
  FunctionSignature signature;
  signature.name = def.name;
  bool defaults = false;
  for (const SyntaxArgument& argument : def.arguments) {
    const std::optional<double> value = ReadDefault(argument);
    if (std::find(signature.arguments.begin(), signature.arguments.end(),
                  argument.name) != signature.arguments.end()) {
      diagnostics_.Error(
          argument.position,
          Concat("argument ", Quoted(argument.name), " occurs twice"));
      continue;
    }
    if (argument.name == "self") {
      diagnostics_.Error(argument.position,
                         "'self' is not an input: write a function, not a "
                         "method");
    } else if (defaults && !value) {
      diagnostics_.Error(argument.position,
                         Concat("argument ", Quoted(argument.name),
                                " without a default follows one with a "
                                "default"));
    }
    defaults |= value.has_value();
    signature.arguments.push_back(argument.name);
    signature.defaults.push_back(value);
    if (argument.default_value != nullptr &&
        argument.default_value->kind == Syntax::Kind::kBool) {
      signature.flags.insert(argument.name);
    }
    function.arguments.push_back({argument.name, argument.position, value});
  }
  if (!def.body.empty() && def.body[0].kind == Kind::kExpression &&
      def.body[0].value->kind == Syntax::Kind::kString) {
    function.docstring = def.body[0].value->text;
  }
  const int index = static_cast<int>(defs_.size());
  if (!def.name.empty() && !scope_.functions.emplace(def.name, index).second) {
    diagnostics_.Error(def.name_position, Concat("function ", Quoted(def.name),
                                                 " is defined twice"));
  }
  defs_.push_back(&def);
  scope_.signatures.push_back(std::move(signature));
  module_.functions.push_back(std::move(function));
}

// The activation is the last function; a last `<name>_grad` belongs to the
// function of that name.
void TextDesugarer::FindMain() {
  module_.main = static_cast<int>(defs_.size()) - 1;
  if (const FunctionDef* function = FunctionOfGradient(module_.main)) {
    module_.main = static_cast<int>(function - module_.functions.data());
  }
  FunctionDef& main = module_.functions[module_.main];
  const auto it = scope_.functions.find(Concat(main.name, "_grad"));
  if (it != scope_.functions.end()) main.gradient = it->second;
}

// A truth value is no parameter that a request could change: in the activation
// and its gradient it is what its default says.
void TextDesugarer::FixFlags(int function) {
  FunctionSignature& signature = scope_.signatures[function];
  std::vector<Argument>& arguments = module_.functions[function].arguments;
  for (const std::string& flag : signature.flags) {
    const auto it =
        std::find_if(arguments.begin(), arguments.end(),
                     [&](const Argument& a) { return a.name == flag; });
    const bool value = *it->default_value != 0;
    const auto& of_main = fixed_flags_[module_.main];
    const auto outer = of_main.find(flag);
    fixed_flags_[function][flag] =
        outer == of_main.end() ? value : outer->second;
    if (function == module_.main) {
      diagnostics_.Note(
          it->position,
          Concat(Quoted(flag), " is always ", value ? "True" : "False",
                 " here: register one activation for each "
                 "value"));
    }
    const size_t index = it - arguments.begin();
    arguments.erase(it);
    signature.arguments.erase(signature.arguments.begin() + index);
    signature.defaults.erase(signature.defaults.begin() + index);
  }
  signature.flags.clear();
}

void TextDesugarer::CheckMain() {
  const FunctionDef& main = module_.functions[module_.main];
  const int inputs = static_cast<int>(main.NumInputs());
  const int parameters = static_cast<int>(main.arguments.size()) - inputs;
  if (inputs == 0 && !defs_[module_.main]->arguments_unknown) {
    diagnostics_.Error(main.position,
                       Concat(Quoted(main.name),
                              " has no tensor input: it needs an "
                              "argument without a default"));
  }
  if (inputs > limits_.inputs) {
    diagnostics_.Error(
        main.position,
        Concat(Quoted(main.name), " has ", inputs, " tensor inputs, limit ",
               limits_.inputs, ": parameters have defaults"));
  }
  if (parameters > limits_.parameters) {
    diagnostics_.Error(main.position,
                       Concat(Quoted(main.name), " has ", parameters,
                              " parameters, limit ", limits_.parameters));
  }
}

// Makes `argument` of the gradient of `function` mean its `parameter`.
void TextDesugarer::TakeDefault(const FunctionDef& function,
                                const Argument& parameter, Argument& argument) {
  if (argument.default_value &&
      *argument.default_value != *parameter.default_value) {
    diagnostics_.Error(
        argument.position,
        Concat("the default of ", Quoted(argument.name), " is ",
               *argument.default_value, " here and ", *parameter.default_value,
               " in ", Quoted(function.name), ": both are one parameter"));
  }
  argument.default_value = parameter.default_value;
}

// An argument of the gradient is a parameter if the activation has a parameter
// of that name; the others are the inputs, and dy.
void TextDesugarer::CheckGradient(int index) {
  const FunctionDef& main = module_.functions[module_.main];
  FunctionDef& gradient = module_.functions[index];
  const size_t inputs = main.NumInputs();
  size_t given = 0;
  for (Argument& argument : gradient.arguments) {
    const auto it = std::find_if(
        main.arguments.begin(), main.arguments.end(), [&](const Argument& a) {
          return a.default_value && a.name == argument.name;
        });
    if (it != main.arguments.end()) {
      TakeDefault(main, *it, argument);
    } else if (argument.default_value) {
      diagnostics_.Error(argument.position,
                         Concat(Quoted(argument.name), " is no parameter of ",
                                Quoted(main.name)));
    } else {
      ++given;
    }
  }
  if (given != inputs + 1) {
    diagnostics_.Error(
        gradient.position,
        Concat(Quoted(gradient.name), " must take the ", inputs,
               inputs == 1 ? " tensor input" : " tensor inputs", " of ",
               Quoted(main.name), " and then the upstream gradient"));
  }
}

// An argument behind the upstream gradient of a helper is a parameter of that
// helper if it has its name. CheckGradient() does the same for the main one.
void TextDesugarer::ReadHelperGradient(int index) {
  FunctionDef* function = FunctionOfGradient(index);
  if (function == nullptr || function->gradient == index) return;
  FunctionDef& gradient = module_.functions[index];
  std::vector<Argument>& arguments = gradient.arguments;
  for (size_t i = function->NumInputs() + 1; i < arguments.size(); ++i) {
    for (const Argument& parameter : function->arguments) {
      if (parameter.default_value && parameter.name == arguments[i].name) {
        TakeDefault(*function, parameter, arguments[i]);
      }
    }
  }
  if (gradient.NumInputs() == function->NumInputs() + 1) {
    function->gradient = index;
  }
}

// The function of whose gradient functions[index] has the name, or nullptr.
FunctionDef* TextDesugarer::FunctionOfGradient(int index) {
  const std::string_view name = defs_[index]->name;
  if (!name.ends_with("_grad")) return nullptr;
  const auto it = scope_.functions.find(name.substr(0, name.size() - 5));
  if (it == scope_.functions.end()) return nullptr;
  return &module_.functions[it->second];
}

Module Desugar(const std::vector<SyntaxStmt>& text,
               const std::map<std::string, double>& constants,
               const LanguageLimits& limits, Diagnostics& diagnostics) {
  return TextDesugarer(constants, limits, diagnostics).Run(text);
}

}  // namespace actserve
