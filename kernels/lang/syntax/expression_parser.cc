#include "kernels/lang/syntax/expression_parser.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/text.h"

namespace actserve {
namespace {

using Kind = Syntax::Kind;

struct BinaryOperator {
  std::string_view text;
  int precedence;
  std::string_view refusal;  // empty: supported
};
constexpr BinaryOperator kBinaryOperators[] = {
    {"|", 1, "'|' is not supported: write or between conditions"},
    {"^", 2, "'^' is exclusive or in Python: use ** for powers"},
    {"&", 3, "'&' is not supported: write and between conditions"},
    {"<<", 4, "'<<' is not supported: multiply by a power of 2"},
    {">>", 4, "'>>' is not supported: divide by a power of 2"},
    {"+", 5, ""},
    {"-", 5, ""},
    {"*", 6, ""},
    {"/", 6, ""},
    {"//", 6, ""},
    {"%", 6, ""},
    {"@", 6,
     "'@' multiplies matrices: an activation sees one element at a time"},
};
constexpr int kUnaryPrecedence = 7;

std::string Describe(const Token& token) {
  switch (token.kind) {
    case Token::Kind::kNumber:
      return "a number";
    case Token::Kind::kString:
      return "a string";
    case Token::Kind::kNewline:
      return "the end of the line";
    case Token::Kind::kIndent:
      return "an indented line";
    case Token::Kind::kDedent:
      return "the end of the block";
    case Token::Kind::kEnd:
      return "the end of the text";
    default:
      return Quoted(token.text);
  }
}

}  // namespace

const Token& ExpressionParser::Peek(size_t ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

bool ExpressionParser::At(std::string_view text) const {
  const Token& token = Peek();
  return (token.kind == Token::Kind::kName ||
          token.kind == Token::Kind::kOperator) &&
         token.text == text;
}

bool ExpressionParser::TakeIf(std::string_view text) {
  if (!At(text)) return false;
  Advance();
  return true;
}

bool ExpressionParser::Expected(std::string_view what) {
  if (!At(Token::Kind::kBad)) {
    Error(Peek().position,
          Concat("expected ", what, ", found ", Describe(Peek())));
  }
  return false;
}

void ExpressionParser::SkipBrackets() {
  int open = 0;
  while (!At(Token::Kind::kNewline) && !At(Token::Kind::kEnd)) {
    if (At("(") || At("[") || At("{")) ++open;
    if (At(")") || At("]") || At("}")) --open;
    Advance();
    if (open == 0) return;
  }
}

void ExpressionParser::SkipTo(std::initializer_list<std::string_view> stops) {
  while (!At(Token::Kind::kNewline) && !At(Token::Kind::kEnd)) {
    for (std::string_view stop : stops) {
      if (At(stop)) return;
    }
    if (At("(") || At("[") || At("{")) {
      SkipBrackets();
    } else {
      Advance();
    }
  }
}

bool ExpressionParser::CheckDepth(int depth) {
  if (depth <= limits_.depth) return true;
  Error(Peek().position,
        Concat("nested ", depth, " levels deep, limit ", limits_.depth,
               ": split it into several statements"));
  return false;
}

SyntaxPtr ExpressionParser::Make(Kind kind, Position position,
                                 std::string_view text,
                                 std::vector<SyntaxPtr> args) {
  auto node = std::make_unique<Syntax>();
  node->kind = kind;
  node->position = position;
  node->text = std::string(text);
  for (const SyntaxPtr& arg : args) {
    if (arg == nullptr) return nullptr;
    node->height = std::max(node->height, arg->height + 1);
  }
  if (!CheckDepth(node->height)) return nullptr;
  node->args = std::move(args);
  return node;
}

SyntaxPtr ExpressionParser::MakeError(Position position, std::string message) {
  Error(position, std::move(message));
  return Make(Kind::kError, position, "", {});
}

SyntaxPtr ExpressionParser::ParseExpressionList() {
  const Position position = Peek().position;
  SyntaxPtr first = ParseExpression();
  if (first == nullptr || !At(",")) return first;
  std::vector<SyntaxPtr> items;
  items.push_back(std::move(first));
  while (TakeIf(",")) {
    if (At(Token::Kind::kNewline) || At(")") || At("=") || At(":")) break;
    items.push_back(ParseExpression());
    if (items.back() == nullptr) return nullptr;
  }
  return Make(Kind::kTuple, position, "", std::move(items));
}

SyntaxPtr ExpressionParser::ParseExpression() {
  Nesting nesting(*this);
  if (!nesting.Allowed()) return nullptr;
  const Position position = Peek().position;
  if (At("lambda")) return ParseLambda();
  if (At("*") || At("**")) {
    Error(position, "starred expressions are not supported");
    return nullptr;
  }
  SyntaxPtr value = ParseBoolOp(/*is_or=*/true);
  if (value == nullptr) return nullptr;
  if (At(":=")) {
    const Position here = Peek().position;
    Advance();
    if (ParseExpression() == nullptr) return nullptr;
    return MakeError(here,
                     "':=' is not supported: write the assignment as a line "
                     "of its own");
  }
  if (!TakeIf("if")) return value;
  SyntaxPtr condition = ParseBoolOp(/*is_or=*/true);
  if (condition == nullptr) return nullptr;
  if (!TakeIf("else")) {
    Expected("'else': a conditional expression gives both values");
    return nullptr;
  }
  SyntaxPtr otherwise = ParseExpression();
  std::vector<SyntaxPtr> args;
  args.push_back(std::move(value));
  args.push_back(std::move(condition));
  args.push_back(std::move(otherwise));
  return Make(Kind::kConditional, position, "", std::move(args));
}

SyntaxPtr ExpressionParser::ParseLambda() {
  const Position position = Peek().position;
  SkipTo({":"});
  if (!TakeIf(":")) {
    Expected("':' after lambda");
    return nullptr;
  }
  if (ParseExpression() == nullptr) return nullptr;
  return MakeError(position,
                   "lambda is not supported: write def f(x): return ...");
}

SyntaxPtr ExpressionParser::ParseBoolOp(bool is_or) {
  const Position position = Peek().position;
  const std::string_view word = is_or ? "or" : "and";
  const auto operand = [&] { return is_or ? ParseBoolOp(false) : ParseNot(); };
  SyntaxPtr first = operand();
  if (first == nullptr || !At(word)) return first;
  std::vector<SyntaxPtr> args;
  args.push_back(std::move(first));
  while (TakeIf(word)) {
    args.push_back(operand());
    if (args.back() == nullptr) return nullptr;
  }
  return Make(Kind::kBoolOp, position, word, std::move(args));
}

SyntaxPtr ExpressionParser::ParseNot() {
  if (!At("not")) return ParseComparison();
  Nesting nesting(*this);
  if (!nesting.Allowed()) return nullptr;
  const Position position = Peek().position;
  Advance();
  std::vector<SyntaxPtr> args;
  args.push_back(ParseNot());
  return Make(Kind::kUnary, position, "not", std::move(args));
}

// The comparison operator here, consumed; "" if there is none. What is not
// supported is reported and answered as "?".
std::string ExpressionParser::TakeComparison() {
  for (std::string_view op : {"<", "<=", ">", ">=", "==", "!="}) {
    if (TakeIf(op)) return std::string(op);
  }
  const Position position = Peek().position;
  if (TakeIf("<>")) {
    Error(position, "'<>' is not Python: use !=");
    return "?";
  }
  if (TakeIf("is")) {
    TakeIf("not");
    Error(position, "'is' is not supported: compare numbers with == or !=");
    return "?";
  }
  const bool not_in = At("not") && Peek(1).text == "in";
  if (At("in") || not_in) {
    Advance();
    if (not_in) Advance();
    Error(position, "'in' is not supported: compare with == and or");
    return "?";
  }
  return "";
}

SyntaxPtr ExpressionParser::ParseComparison() {
  const Position position = Peek().position;
  SyntaxPtr first = ParseBinary(1);
  if (first == nullptr) return nullptr;
  std::vector<SyntaxPtr> args;
  std::vector<std::string> ops;
  args.push_back(std::move(first));
  for (std::string op = TakeComparison(); !op.empty(); op = TakeComparison()) {
    ops.push_back(op);
    args.push_back(ParseBinary(1));
    if (args.back() == nullptr) return nullptr;
  }
  if (ops.empty()) return std::move(args[0]);
  const bool refused = std::find(ops.begin(), ops.end(), "?") != ops.end();
  SyntaxPtr node = Make(refused ? Kind::kError : Kind::kCompare, position, "",
                        std::move(args));
  if (node != nullptr) node->ops = std::move(ops);
  return node;
}

SyntaxPtr ExpressionParser::ParseBinary(int minimum_precedence) {
  const Position position = Peek().position;
  SyntaxPtr left = ParseUnary();
  while (left != nullptr) {
    const BinaryOperator* found = nullptr;
    for (const BinaryOperator& row : kBinaryOperators) {
      if (At(row.text)) found = &row;
    }
    if (found == nullptr || found->precedence < minimum_precedence) break;
    if (!found->refusal.empty()) {
      Error(Peek().position, std::string(found->refusal));
    }
    Advance();
    SyntaxPtr right = found->precedence + 1 == kUnaryPrecedence
                          ? ParseUnary()
                          : ParseBinary(found->precedence + 1);
    std::vector<SyntaxPtr> args;
    args.push_back(std::move(left));
    args.push_back(std::move(right));
    left = Make(found->refusal.empty() ? Kind::kBinary : Kind::kError, position,
                found->text, std::move(args));
  }
  return left;
}

SyntaxPtr ExpressionParser::ParseUnary() {
  const bool refused = At("~");
  if (!refused && !At("-") && !At("+")) return ParsePower();
  Nesting nesting(*this);
  if (!nesting.Allowed()) return nullptr;
  const Token token = Peek();
  Advance();
  if (refused) {
    Error(token.position, "'~' is not supported: write not for a condition");
  }
  SyntaxPtr operand = ParseUnary();
  std::vector<SyntaxPtr> args;
  args.push_back(std::move(operand));
  return Make(refused ? Kind::kError : Kind::kUnary, token.position, token.text,
              std::move(args));
}

SyntaxPtr ExpressionParser::ParsePower() {
  const Position position = Peek().position;
  SyntaxPtr base = ParsePostfix();
  if (base == nullptr || !TakeIf("**")) return base;
  Nesting nesting(*this);
  if (!nesting.Allowed()) return nullptr;
  std::vector<SyntaxPtr> args;
  args.push_back(std::move(base));
  args.push_back(ParseUnary());
  return Make(Kind::kBinary, position, "**", std::move(args));
}

SyntaxPtr ExpressionParser::ParsePostfix() {
  SyntaxPtr value = ParseAtom();
  while (value != nullptr) {
    const Position position = Peek().position;
    if (At("(")) {
      value = ParseCall(std::move(value));
    } else if (At("[")) {
      SkipBrackets();
      value = MakeError(position,
                        "indexing is not supported: an activation sees one "
                        "element at a time and cannot select others");
    } else if (TakeIf(".")) {
      if (!At(Token::Kind::kName)) {
        Expected("a name after '.'");
        return nullptr;
      }
      std::vector<SyntaxPtr> args;
      const Position start = value->position;
      args.push_back(std::move(value));
      value = Make(Kind::kAttribute, start, Peek().text, std::move(args));
      Advance();
    } else {
      break;
    }
  }
  return value;
}

SyntaxPtr ExpressionParser::ParseCall(SyntaxPtr callee) {
  const Position position = callee->position;
  std::vector<SyntaxPtr> args;
  args.push_back(std::move(callee));
  SyntaxPtr call = Make(Kind::kCall, position, "", std::move(args));
  if (call == nullptr) return nullptr;
  Advance();
  while (!At(")")) {
    if (!ParseArgument(*call)) return nullptr;
    if (!At(")") && !TakeIf(",")) {
      Expected("',' or ')' after an argument");
      return nullptr;
    }
  }
  Advance();
  return CheckDepth(call->height) ? std::move(call) : nullptr;
}

bool ExpressionParser::ParseArgument(Syntax& call) {
  const Position position = Peek().position;
  std::string keyword;
  if (At(Token::Kind::kName) && Peek(1).kind == Token::Kind::kOperator &&
      Peek(1).text == "=") {
    keyword = Peek().text;
    Advance();
    Advance();
  }
  SyntaxPtr value = ParseExpression();
  if (value == nullptr) return false;
  if (At("for")) {
    Error(position, "comprehensions are not supported");
    SkipTo({",", ")"});
    value->kind = Kind::kError;
    value->args.clear();
  }
  call.height = std::max(call.height, value->height + 1);
  if (!keyword.empty()) {
    call.keywords.emplace_back(std::move(keyword), std::move(value));
    return true;
  }
  if (!call.keywords.empty()) {
    Error(position, "an argument without a name follows a named one");
    call.kind = Kind::kError;
    call.args.clear();
    return true;
  }
  call.args.push_back(std::move(value));
  return true;
}

SyntaxPtr ExpressionParser::ParseAtom() {
  const Token token = Peek();
  switch (token.kind) {
    case Token::Kind::kNumber: {
      Advance();
      SyntaxPtr node = Make(Kind::kNumber, token.position, "", {});
      if (node == nullptr) return nullptr;
      node->number = token.number;
      node->is_integer = token.is_integer;
      return node;
    }
    case Token::Kind::kString: {
      std::string value;
      while (At(Token::Kind::kString)) {
        value += Peek().text;
        Advance();
      }
      return Make(Kind::kString, token.position, value, {});
    }
    case Token::Kind::kName:
      return ParseWord();
    case Token::Kind::kOperator:
      break;
    default:
      Expected("an expression");
      return nullptr;
  }
  if (At("(")) return ParseParentheses();
  if (At("[")) return ParseList();
  if (At("{")) {
    SkipBrackets();
    return MakeError(token.position,
                     "dictionaries and sets are not supported: the values "
                     "here are single numbers");
  }
  if (TakeIf("...")) {
    return MakeError(token.position, "'...' is not a number");
  }
  Expected("an expression");
  return nullptr;
}

SyntaxPtr ExpressionParser::ParseWord() {
  const Token token = Peek();
  if (At("yield") || At("await")) {
    Error(token.position, Concat(token.text, " is not supported"));
    return nullptr;
  }
  const bool is_true = At("True");
  if (is_true || At("False")) {
    Advance();
    SyntaxPtr node = Make(Kind::kBool, token.position, "", {});
    if (node != nullptr) node->number = is_true;
    return node;
  }
  if (TakeIf("None")) return Make(Kind::kNone, token.position, "", {});
  if (IsKeyword(token.text)) {
    Expected("an expression");
    return nullptr;
  }
  Advance();
  if (At(Token::Kind::kString) && token.text.size() <= 2) {
    Advance();
    return MakeError(token.position,
                     "formatted and byte strings are not "
                     "supported");
  }
  return Make(Kind::kName, token.position, token.text, {});
}

SyntaxPtr ExpressionParser::ParseList() {
  const Position position = Peek().position;
  Advance();
  std::vector<SyntaxPtr> items;
  while (!At("]")) {
    items.push_back(ParseExpression());
    if (items.back() == nullptr) return nullptr;
    if (At("for")) {
      SkipTo({"]"});
      TakeIf("]");
      return MakeError(position,
                       "lists are not supported: the values here are single "
                       "numbers");
    }
    if (!At("]") && !TakeIf(",")) {
      Expected("',' or ']'");
      return nullptr;
    }
  }
  Advance();
  return Make(Kind::kList, position, "", std::move(items));
}

SyntaxPtr ExpressionParser::ParseParentheses() {
  const Position position = Peek().position;
  Advance();
  if (TakeIf(")")) {
    return MakeError(position, "'()' is not a number");
  }
  SyntaxPtr value = ParseExpressionList();
  if (value == nullptr) return nullptr;
  if (At("for")) {
    SkipTo({")"});
    Error(position, "comprehensions are not supported");
    value->kind = Kind::kError;
    value->args.clear();
  }
  if (!TakeIf(")")) {
    Expected("')'");
    return nullptr;
  }
  return value;
}

}  // namespace actserve
