// Every row of the table against the parameters that the framework's own
// function has, as scripts/framework_signatures recorded them.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kernels/lang/desugar/synonyms.h"

namespace actserve {
namespace {

using ::nlohmann::json;

struct Recorded {
  std::string name;
  std::optional<std::string> default_value;  // "?": no literal
};
struct RecordedFunction {
  std::vector<Recorded> positional;
  std::vector<Recorded> keyword_only;
  bool any_positional = false;

  const Recorded* Find(const std::string& name) const {
    for (const auto* list : {&positional, &keyword_only}) {
      for (const Recorded& parameter : *list) {
        if (parameter.name == name) return &parameter;
      }
    }
    return nullptr;
  }
};

// Reads "(x, /, out=None, *, where=True)".
RecordedFunction ReadSignature(const std::string& text) {
  RecordedFunction function;
  bool keyword_only = false;
  size_t begin = 1;
  while (begin < text.size()) {
    size_t end = text.find(", ", begin);
    if (end == std::string::npos) end = text.size() - 1;
    const std::string part = text.substr(begin, end - begin);
    begin = end + 2;
    if (part.empty() || part == "/" || part.starts_with("**")) continue;
    if (part.starts_with("*")) {
      keyword_only = true;
      function.any_positional |= part.size() > 1;
      continue;
    }
    const size_t equals = part.find('=');
    Recorded parameter;
    parameter.name = part.substr(0, equals);
    if (equals != std::string::npos) {
      parameter.default_value = part.substr(equals + 1);
    }
    (keyword_only ? function.keyword_only : function.positional)
        .push_back(parameter);
  }
  return function;
}

const std::map<std::string, std::map<std::string, RecordedFunction>>&
RecordedFunctions() {
  static const auto* const functions = [] {
    auto* map =
        new std::map<std::string, std::map<std::string, RecordedFunction>>();
    std::ifstream file(ACTSERVE_FRAMEWORK_SIGNATURES);
    const json recorded = json::parse(file);
    for (const auto& [module, names] : recorded["functions"].items()) {
      for (const auto& [name, text] : names.items()) {
        if (text.is_string()) {
          (*map)[module][name] = ReadSignature(text.get<std::string>());
        }
      }
    }
    return map;
  }();
  return *functions;
}

bool IsSameDefault(const Syntax& row, const std::string& recorded) {
  switch (row.kind) {
    case Syntax::Kind::kNone:
      return recorded == "None";
    case Syntax::Kind::kBool:
      return recorded == (row.number != 0 ? "True" : "False");
    case Syntax::Kind::kString:
      return recorded == "'" + row.text + "'";
    case Syntax::Kind::kAttribute:
      return recorded.ends_with("." + row.text);
    case Syntax::Kind::kUnary:
      return std::strtod(recorded.c_str(), nullptr) == -row.args[0]->number;
    default:
      return std::strtod(recorded.c_str(), nullptr) == row.number;
  }
}

bool IsOption(const Syntax& value) {
  return value.kind == Syntax::Kind::kBool ||
         value.kind == Syntax::Kind::kString ||
         value.kind == Syntax::Kind::kAttribute;
}

bool IsOfAFramework(const Synonym& row) {
  return row.module != "builtins" && row.module != "any" &&
         !row.module.starts_with("older.");
}

TEST(Signatures, EachRowHasTheFrameworksParameters) {
  int compared = 0;
  std::set<std::string> seen;
  for (const Synonym& row : AllSynonyms()) {
    if (!IsOfAFramework(row) || row.refuses()) continue;
    const std::string path = std::string(row.module) + "." + row.def->name;
    SCOPED_TRACE(path);
    const auto& module = RecordedFunctions().at(std::string(row.module));
    const auto it = module.find(row.def->name);
    if (it == module.end()) {
      ADD_FAILURE() << "the module has no such function";
      continue;
    }
    ++compared;
    const bool first = seen.insert(path).second;
    const RecordedFunction& function = it->second;
    std::set<std::string> in_row;
    size_t place = 0;
    for (const SyntaxArgument& argument : row.def->arguments) {
      in_row.insert(argument.name);
      if (!argument.keyword_only && !function.any_positional) {
        ASSERT_LT(place, function.positional.size()) << argument.name;
        EXPECT_EQ(argument.name, function.positional[place].name);
      }
      ++place;
      const Recorded* recorded = function.Find(argument.name);
      if (recorded == nullptr) {
        EXPECT_TRUE(function.any_positional) << argument.name;
        continue;
      }
      const Syntax* fallback = argument.default_value.get();
      if (fallback == nullptr || recorded->default_value == "?") continue;
      if (!first && IsOption(*fallback)) continue;  // its other value
      ASSERT_TRUE(recorded->default_value) << argument.name;
      EXPECT_TRUE(IsSameDefault(*fallback, *recorded->default_value))
          << argument.name << "=" << *recorded->default_value;
    }
    for (const auto* list : {&function.positional, &function.keyword_only}) {
      for (const Recorded& parameter : *list) {
        EXPECT_TRUE(parameter.default_value || in_row.count(parameter.name) > 0)
            << parameter.name;
      }
    }
  }
  EXPECT_GT(compared, 900);
}

// The first row is what a call means that leaves out all that can be left out.
TEST(Signatures, TheFirstRowIsTheDefault) {
  std::set<std::string> seen;
  for (const Synonym& row : AllSynonyms()) {
    const std::string path = std::string(row.module) + "." + row.def->name;
    if (!IsOfAFramework(row) || row.refuses() || !seen.insert(path).second) {
      continue;
    }
    // These return an index without their last arguments; so refused.
    if (row.def->name == "where") continue;
    SCOPED_TRACE(path);
    const RecordedFunction& function =
        RecordedFunctions().at(std::string(row.module)).at(row.def->name);
    for (const SyntaxArgument& argument : row.def->arguments) {
      // A number without its value is no call of interest.
      if (&argument == &row.def->arguments[0]) continue;
      if (argument.name == "dtype") continue;
      const Recorded* recorded = function.Find(argument.name);
      EXPECT_FALSE(argument.default_value == nullptr && recorded != nullptr &&
                   recorded->default_value)
          << argument.name;
    }
  }
}

TEST(Signatures, KnownNamesAreOfModulesThatHaveATable) {
  for (const char* name : {"tanh", "sinc", "sort", "glu", "rsub"}) {
    for (std::string_view module : ModulesThatHave(name)) {
      EXPECT_TRUE(RecordedFunctions().count(std::string(module)) > 0) << module;
    }
    EXPECT_FALSE(ModulesThatHave(name).empty()) << name;
  }
  EXPECT_TRUE(ModulesThatHave("no_such_function").empty());
}

}  // namespace
}  // namespace actserve
