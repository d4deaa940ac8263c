#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/text.h"
#include "kernels/lang/syntax/expression_parser.h"
#include "kernels/lang/syntax/lexer.h"
#include "kernels/lang/syntax/syntax_tree.h"

namespace actserve {
namespace {

using Kind = SyntaxStmt::Kind;
using Block = std::vector<SyntaxStmt>;

// Statements of Python that the language does not have, by first word.
struct Refusal {
  std::string_view word;
  std::string_view message;
};
constexpr Refusal kRefusals[] = {
    {"class", "classes are not supported: write a function, def f(x): ..."},
    {"try", "try is not supported: nothing here can raise"},
    {"with", "with is not supported: remove it and keep its body"},
    {"global", "global is not supported: make it a parameter with a default"},
    {"nonlocal",
     "nonlocal is not supported: make it a parameter with a default"},
    {"del", "del is not supported: names need not be deleted"},
    {"raise", "raise is not supported: nothing here can raise"},
    {"assert", "assert is not supported: nothing here can raise"},
    {"async", "async is not supported"},
    {"continue",
     "continue is not supported: use if around the rest of the loop's body"},
    {"break",
     "break is not supported: the loop must have a fixed length. Use for i in "
     "range(N) and a conditional expression"},
};

class StatementParser : public ExpressionParser {
 public:
  StatementParser(std::string_view text, const LanguageLimits& limits,
                  Diagnostics& diagnostics)
      : ExpressionParser(Tokenize(text, diagnostics), limits, diagnostics) {}

  Block Run();

 private:
  void ParseStatement(Block& out);
  void ParseSimpleLine(Block& out);
  void SkipFailed(Block& out);
  bool ParseSimple(Block& out);
  bool ParseExpressionStatement(Block& out);
  bool ParseReturn(Block& out);
  bool ParseImport(Block& out);
  bool ParseFromImport(Block& out);
  bool ParseDottedName(std::string& name);
  bool ParseAnnotation();
  void ParseIf(Block& out);
  void ParseElse(SyntaxStmt& statement);
  void ParseWhile(Block& out);
  void ParseFor(Block& out);
  void ParseDecorated(Block& out);
  void ParseDef(Block& out,
                std::vector<std::pair<std::string, Position>> decorators);
  bool ParseArguments(SyntaxStmt& def);
  bool ParseArgument(SyntaxStmt& def, bool& keyword_only);
  bool ParseRefused(Block& out);

  // The ':' and the block after it.
  Block ParseSuite(std::string_view after);
  Block ParseIndented();
  void SkipLine();
  void SkipSuite();
  static SyntaxStmt MakeStatement(Kind kind, Position position);

  // Inside a while loop that has been refused: break is no second error.
  int refused_loops_ = 0;
};

SyntaxStmt StatementParser::MakeStatement(Kind kind, Position position) {
  SyntaxStmt statement;
  statement.kind = kind;
  statement.position = position;
  return statement;
}

Block StatementParser::Run() {
  Block out;
  while (!At(Token::Kind::kEnd)) ParseStatement(out);
  return out;
}

// Skips the rest of a logical line and its end.
void StatementParser::SkipLine() {
  while (!At(Token::Kind::kNewline) && !At(Token::Kind::kEnd)) Advance();
  if (At(Token::Kind::kNewline)) Advance();
}

// Skips the rest of this line, and the block that it opens, if it opens one.
void StatementParser::SkipSuite() {
  SkipLine();
  if (!At(Token::Kind::kIndent)) return;
  int open = 0;
  do {
    if (At(Token::Kind::kIndent)) ++open;
    if (At(Token::Kind::kDedent)) --open;
    Advance();
  } while (open > 0 && !At(Token::Kind::kEnd));
}

Block StatementParser::ParseSuite(std::string_view after) {
  if (!TakeIf(":")) {
    if (At("=")) {
      Error(Peek().position, "'=' assigns: use == to compare");
    } else {
      Expected(Concat("':' after ", after));
    }
    SkipLine();
    return At(Token::Kind::kIndent) ? ParseIndented() : Block();
  }
  if (!At(Token::Kind::kNewline)) {
    Block out;
    Nesting nesting(*this);
    if (nesting.Allowed()) {
      ParseSimpleLine(out);
    } else {
      SkipLine();
    }
    return out;
  }
  Advance();
  if (!At(Token::Kind::kIndent)) {
    Expected(Concat("an indented block after ", after));
    return {};
  }
  return ParseIndented();
}

Block StatementParser::ParseIndented() {
  Block out;
  Nesting nesting(*this);
  if (!nesting.Allowed()) {
    SkipSuite();
    return out;
  }
  Advance();
  while (!At(Token::Kind::kDedent) && !At(Token::Kind::kEnd)) {
    ParseStatement(out);
  }
  if (At(Token::Kind::kDedent)) Advance();
  return out;
}

void StatementParser::ParseStatement(Block& out) {
  if (At(Token::Kind::kNewline) || At(Token::Kind::kDedent)) {
    Advance();
  } else if (At(Token::Kind::kIndent)) {
    Error(Peek(1).position, "unexpected indentation");
    Block inner = ParseIndented();
    std::move(inner.begin(), inner.end(), std::back_inserter(out));
  } else if (At("if")) {
    ParseIf(out);
  } else if (At("for")) {
    ParseFor(out);
  } else if (At("while")) {
    ParseWhile(out);
  } else if (At("def")) {
    ParseDef(out, {});
  } else if (At("@")) {
    ParseDecorated(out);
  } else if (At("elif") || At("else") || At("except") || At("finally")) {
    Error(Peek().position,
          Concat("'", Peek().text, "' belongs to no statement above it"));
    SkipTo({":"});
    Block inner = ParseSuite("it");
    std::move(inner.begin(), inner.end(), std::back_inserter(out));
  } else if (!ParseRefused(out)) {
    ParseSimpleLine(out);
  }
}

bool StatementParser::ParseRefused(Block& out) {
  for (const Refusal& row : kRefusals) {
    if (!At(row.word)) continue;
    const Token token = Peek();
    if (token.text != "break" || refused_loops_ == 0) {
      Error(token.position, std::string(row.message));
    }
    out.push_back(MakeStatement(Kind::kSkipped, token.position));
    if (token.text != "try" && token.text != "with") {
      SkipSuite();
      return true;
    }
    SkipTo({":"});
    do {  // The names assigned inside are known after it.
      Block inner = ParseSuite(token.text);
      std::move(inner.begin(), inner.end(), std::back_inserter(out));
      if (!At("except") && !At("finally") && !At("else")) break;
      SkipTo({":"});
    } while (true);
    return true;
  }
  return false;
}

void StatementParser::ParseSimpleLine(Block& out) {
  do {
    if (At(Token::Kind::kNewline)) break;
    if (!ParseSimple(out)) {
      SkipFailed(out);
      return;
    }
  } while (TakeIf(";"));
  if (!At(Token::Kind::kNewline)) {
    if (At("=")) {
      Error(Peek().position, "this cannot be assigned to");
    } else {
      Expected("the end of the statement");
    }
  }
  SkipLine();
}

// Skips a line that could not be read. If it was the header of a block, the
// block is read all the same, for its own errors and for what it assigns.
void StatementParser::SkipFailed(Block& out) {
  SkipLine();
  if (!At(Token::Kind::kIndent)) return;
  Block inner = ParseIndented();
  std::move(inner.begin(), inner.end(), std::back_inserter(out));
}

bool StatementParser::ParseSimple(Block& out) {
  const Position position = Peek().position;
  if (TakeIf("pass")) {
    out.push_back(MakeStatement(Kind::kPass, position));
    return true;
  }
  if (At("return")) return ParseReturn(out);
  if (At("import")) return ParseImport(out);
  if (At("from")) return ParseFromImport(out);
  for (const Refusal& row : kRefusals) {
    if (!At(row.word)) continue;
    if (row.word != "break" || refused_loops_ == 0) {
      Error(position, std::string(row.message));
    }
    out.push_back(MakeStatement(Kind::kSkipped, position));
    SkipTo({";"});
    return true;
  }
  if (At("print") && Peek(1).kind != Token::Kind::kOperator) {
    Error(position, "print is not part of an activation: remove this line");
    return false;
  }
  return ParseExpressionStatement(out);
}

bool StatementParser::ParseReturn(Block& out) {
  SyntaxStmt statement = MakeStatement(Kind::kReturn, Peek().position);
  Advance();
  bool parsed = true;
  if (!At(Token::Kind::kNewline) && !At(";")) {
    statement.value = ParseExpressionList();
    parsed = statement.value != nullptr;
    if (!parsed) {
      statement.value = std::make_unique<Syntax>();
      statement.value->position = statement.position;
    }
  }
  out.push_back(std::move(statement));
  return parsed;
}

// An assignment of any form, or an expression that stands alone.
bool StatementParser::ParseExpressionStatement(Block& out) {
  SyntaxStmt statement = MakeStatement(Kind::kExpression, Peek().position);
  statement.value = ParseExpressionList();
  if (statement.value == nullptr) return false;
  // Assigns the name even if the right side is wrong, so that the name is not
  // reported again as unknown.
  const auto parse_value = [&] {
    statement.value = ParseExpressionList();
    const bool parsed = statement.value != nullptr;
    if (!parsed) {
      statement.value = std::make_unique<Syntax>();
      statement.value->position = statement.position;
    }
    return parsed;
  };
  bool parsed = true;
  const std::string_view op = Peek().text;
  if (At(":")) {
    const Syntax::Kind kind = statement.value->kind;
    if (kind != Syntax::Kind::kName && kind != Syntax::Kind::kAttribute &&
        kind != Syntax::Kind::kError) {
      Error(Peek().position, "only a name can be annotated");
    }
    Advance();
    if (!ParseAnnotation()) return false;
    if (!At("=")) statement.kind = Kind::kPass;
  }
  if (At("=")) {
    statement.kind = Kind::kAssign;
    while (parsed && TakeIf("=")) {
      statement.targets.push_back(std::move(statement.value));
      parsed = parse_value();
    }
  } else if (At(Token::Kind::kOperator) && op.size() >= 2 && op.back() == '=' &&
             op != "==" && op != "<=" && op != ">=" && op != "!=" &&
             op != ":=") {
    statement.kind = Kind::kAugmented;
    statement.op = std::string(op.substr(0, op.size() - 1));
    if (op == "^=" || op == "|=" || op == "&=" || op == "@=" || op == "<<=" ||
        op == ">>=") {
      Error(Peek().position, Concat("'", op, "' is not supported",
                                    op == "^=" ? ": use **= for powers" : ""));
      statement.op = '+';
    }
    Advance();
    statement.targets.push_back(std::move(statement.value));
    parsed = parse_value();
  }
  out.push_back(std::move(statement));
  return parsed;
}

// A type, which means nothing here: `float`, `Optional[torch.Tensor] | None`.
bool StatementParser::ParseAnnotation() {
  do {
    if (At(Token::Kind::kString) || At("None")) {
      Advance();
      continue;
    }
    std::string name;
    if (!ParseDottedName(name)) return false;
    if (At("[")) SkipBrackets();
  } while (TakeIf("|"));
  return true;
}

bool StatementParser::ParseDottedName(std::string& name) {
  do {
    if (!At(Token::Kind::kName) || IsKeyword(Peek().text)) {
      return Expected("a name");
    }
    name += Concat(name.empty() ? "" : ".", Peek().text);
    Advance();
  } while (TakeIf("."));
  return true;
}

bool StatementParser::ParseImport(Block& out) {
  SyntaxStmt statement = MakeStatement(Kind::kImport, Peek().position);
  Advance();
  do {
    SyntaxImport import;
    import.position = Peek().position;
    if (!ParseDottedName(import.module)) return false;
    import.alias = import.module.substr(0, import.module.find('.'));
    if (TakeIf("as")) {
      import.alias.clear();
      if (!ParseDottedName(import.alias)) return false;
    }
    statement.imports.push_back(std::move(import));
  } while (TakeIf(","));
  out.push_back(std::move(statement));
  return true;
}

bool StatementParser::ParseFromImport(Block& out) {
  SyntaxStmt statement = MakeStatement(Kind::kImport, Peek().position);
  Advance();
  std::string module;
  const Position position = Peek().position;
  if (!ParseDottedName(module)) return false;
  if (!TakeIf("import")) return Expected("'import'");
  const bool parenthesized = TakeIf("(");
  do {
    if (parenthesized && At(")")) break;
    SyntaxImport import;
    import.position = position;
    import.module = module;
    if (TakeIf("*")) {
      import.name = '*';
    } else {
      if (!ParseDottedName(import.name)) return false;
      import.alias = import.name;
      if (TakeIf("as")) {
        import.alias.clear();
        if (!ParseDottedName(import.alias)) return false;
      }
    }
    statement.imports.push_back(std::move(import));
  } while (TakeIf(","));
  if (parenthesized && !TakeIf(")")) return Expected("')'");
  out.push_back(std::move(statement));
  return true;
}

void StatementParser::ParseIf(Block& out) {
  SyntaxStmt statement = MakeStatement(Kind::kIf, Peek().position);
  const std::string word = Peek().text;
  Advance();
  statement.value = ParseExpression();
  if (statement.value == nullptr) {
    statement.value = std::make_unique<Syntax>();
    statement.value->position = statement.position;
    SkipTo({":"});
    if (At(":")) {
      statement.body = ParseSuite(word);
    } else {
      SkipLine();
      if (At(Token::Kind::kIndent)) statement.body = ParseIndented();
    }
  } else {
    statement.body = ParseSuite(word);
  }
  ParseElse(statement);
  out.push_back(std::move(statement));
}

void StatementParser::ParseElse(SyntaxStmt& statement) {
  Nesting nesting(*this);
  if (At("elif")) {
    if (nesting.Allowed()) {
      ParseIf(statement.orelse);
    } else {
      while (At("elif") || At("else")) SkipSuite();
    }
    return;
  }
  if (!At("else")) return;
  Advance();
  if (At("if")) {
    Error(Peek().position, "write elif instead of else if");
    if (nesting.Allowed()) {
      ParseIf(statement.orelse);
    } else {
      SkipSuite();
    }
    return;
  }
  --depth_;  // An else block is as deep as the block of its if.
  statement.orelse = ParseSuite("else");
  ++depth_;
}

void StatementParser::ParseWhile(Block& out) {
  const Position position = Peek().position;
  Advance();
  SyntaxPtr condition = ParseExpression();
  const bool endless =
      condition != nullptr && (condition->kind == Syntax::Kind::kBool ||
                               condition->kind == Syntax::Kind::kNumber);
  Error(position,
        endless
            ? "the loop has no fixed length: use for i in range(N) with a "
              "constant N and a conditional expression instead of break"
            : "while loops are not supported because their length depends on "
              "the data: use a fixed number of steps, for i in range(8): ...");
  if (condition == nullptr) SkipTo({":"});
  ++refused_loops_;
  Block inner = ParseSuite("while");
  std::move(inner.begin(), inner.end(), std::back_inserter(out));
  --refused_loops_;
  out.push_back(MakeStatement(Kind::kSkipped, position));
}

void StatementParser::ParseFor(Block& out) {
  SyntaxStmt statement = MakeStatement(Kind::kFor, Peek().position);
  Advance();
  if (At(Token::Kind::kName) && !IsKeyword(Peek().text) &&
      Peek(1).text == "in") {
    auto target = std::make_unique<Syntax>();
    target->kind = Syntax::Kind::kName;
    target->position = Peek().position;
    target->text = Peek().text;
    statement.targets.push_back(std::move(target));
    Advance();
    Advance();
    statement.value = ParseExpressionList();
  } else {
    Error(Peek().position,
          "only for i in range(...), with one name, is supported");
  }
  if (statement.value == nullptr) {
    statement.value = std::make_unique<Syntax>();
    statement.value->position = statement.position;
    SkipTo({":"});
  }
  statement.body = ParseSuite("for");
  if (At("else")) {
    Error(Peek().position, "else after a loop is not supported");
    Advance();
    Block inner = ParseSuite("else");
  }
  out.push_back(std::move(statement));
}

void StatementParser::ParseDecorated(Block& out) {
  std::vector<std::pair<std::string, Position>> decorators;
  while (TakeIf("@")) {
    const Position position = Peek().position;
    std::string name;
    if (ParseDottedName(name)) {
      // partial(jax.jit, static_argnums=1) is jax.jit with settings.
      if ((name == "partial" || name == "functools.partial") && At("(") &&
          Peek(1).kind == Token::Kind::kName) {
        name.clear();
        for (size_t i = 1; Peek(i).kind == Token::Kind::kName; i += 2) {
          name += Concat(name.empty() ? "" : ".", Peek(i).text);
          if (Peek(i + 1).text != ".") break;
        }
      }
      decorators.emplace_back(std::move(name), position);
      if (At("(")) SkipBrackets();
      if (!At(Token::Kind::kNewline)) Expected("the end of the line");
    }
    SkipLine();
  }
  if (At("def")) {
    ParseDef(out, std::move(decorators));
  } else if (!ParseRefused(out)) {
    Expected("def after a decorator");
  }
}

void StatementParser::ParseDef(
    Block& out, std::vector<std::pair<std::string, Position>> decorators) {
  SyntaxStmt def = MakeStatement(Kind::kDef, Peek().position);
  def.decorators = std::move(decorators);
  Advance();
  def.name_position = Peek().position;
  if (!At(Token::Kind::kName) || IsKeyword(Peek().text)) {
    Expected("the function's name");
  } else {
    def.name = Peek().text;
    Advance();
  }
  if (!def.name.empty() && !At("(")) Expected("'(' after the name");
  def.arguments_unknown = !TakeIf("(") || !ParseArguments(def);
  const bool parsed =
      !def.arguments_unknown && (!TakeIf("->") || ParseAnnotation());
  if (!parsed) SkipTo({":"});
  def.body = ParseSuite("def");
  out.push_back(std::move(def));
}

bool StatementParser::ParseArguments(SyntaxStmt& def) {
  bool keyword_only = false;
  while (!At(")")) {
    if (!ParseArgument(def, keyword_only)) return false;
    if (!At(")") && !TakeIf(",")) return Expected("',' or ')'");
  }
  Advance();
  return true;
}

// `keyword_only` is set by a lone '*'.
bool StatementParser::ParseArgument(SyntaxStmt& def, bool& keyword_only) {
  if (TakeIf("/")) return true;
  const Position position = Peek().position;
  if (At("*") || At("**")) {
    Advance();
    if (At(",") || At(")")) {
      keyword_only = true;
      return true;
    }
    Error(position,
          "starred arguments are not supported: name each input and each "
          "parameter");
    if (!At(Token::Kind::kName)) return true;
    // It becomes an argument all the same: the body uses its name.
  }
  if (!At(Token::Kind::kName) || IsKeyword(Peek().text)) {
    return Expected("an argument's name");
  }
  SyntaxArgument argument;
  argument.name = Peek().text;
  argument.position = position;
  argument.keyword_only = keyword_only;
  Advance();
  if (TakeIf(":") && !ParseAnnotation()) return false;
  if (TakeIf("=")) {
    argument.default_value = ParseExpression();
    if (argument.default_value == nullptr) return false;
  }
  def.arguments.push_back(std::move(argument));
  return true;
}

}  // namespace

std::vector<SyntaxStmt> ParseSyntax(std::string_view text,
                                    const LanguageLimits& limits,
                                    Diagnostics& diagnostics) {
  return StatementParser(text, limits, diagnostics).Run();
}

}  // namespace actserve
