#include "kernels/lang/parser.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/ascii.h"
#include "kernels/base/text.h"
#include "kernels/lang/check.h"
#include "kernels/lang/desugar/desugar.h"
#include "kernels/lang/syntax/lexer.h"
#include "kernels/lang/syntax/syntax_tree.h"

namespace actserve {

std::optional<Module> Parse(std::string_view text,
                            const std::map<std::string, double>& constants,
                            const LanguageLimits& limits,
                            Diagnostics& diagnostics) {
  if (static_cast<int64_t>(text.size()) > limits.source_bytes) {
    diagnostics.Error({}, Concat("the text has ", text.size(), " bytes, limit ",
                                 limits.source_bytes));
    return std::nullopt;
  }
  const std::vector<SyntaxStmt> syntax = ParseSyntax(text, limits, diagnostics);
  // A statement that could not be read may have been the assignment or the
  // return that would be found missing.
  const bool readable = !diagnostics.has_errors();
  Module module = Desugar(syntax, constants, limits, diagnostics);
  if (readable) CheckFlow(module, diagnostics);
  CheckCalls(limits, module, diagnostics);
  if (diagnostics.has_errors()) return std::nullopt;
  return module;
}

bool IsName(std::string_view word) {
  return !word.empty() && !absl::ascii_isdigit(word[0]) &&
         std::all_of(
             word.begin(), word.end(),
             [](char c) { return absl::ascii_isalnum(c) || c == '_'; }) &&
         !IsKeyword(word);
}

}  // namespace actserve
