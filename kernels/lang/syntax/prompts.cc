#include "kernels/lang/syntax/prompts.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"

namespace actserve {
namespace {

// The size of the prompt with which a command begins; 0 if `line` has none.
size_t FirstPromptSize(std::string_view line) {
  if (line.starts_with(">>>")) return 3;
  constexpr std::string_view kIn = "In [";
  size_t end = kIn.size();
  while (end < line.size() && absl::ascii_isdigit(line[end])) ++end;
  return end > kIn.size() && line.substr(end).starts_with("]:") ? end + 2 : 0;
}

// The same of the other lines of a command.
size_t NextPromptSize(std::string_view line) {
  if (line.starts_with("...:")) return 4;
  return line.starts_with("...") ? 3 : 0;
}

// Where the prompt of `line` ends; 0 if it has none.
size_t PromptEnd(std::string_view line) {
  const size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
  const std::string_view start = line.substr(begin);
  const size_t size = std::max(FirstPromptSize(start), NextPromptSize(start));
  return size > 0 ? begin + size : 0;
}

}  // namespace

std::optional<std::string> WithoutPrompts(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos ||
      FirstPromptSize(text.substr(first)) == 0) {
    return std::nullopt;
  }
  // "In [10]:" is wider than "In [9]:", and what follows them is one block. The
  // bound keeps one wide line from making all others as wide.
  constexpr size_t kMaxAligned = 16;
  size_t widest = 0;
  std::string result;
  for (const bool is_measured : {false, true}) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t line_end = text.find_first_of("\r\n", begin);
      const std::string_view line =
          text.substr(begin, std::min(line_end, text.size() - 1) + 1 - begin);
      begin += line.size();
      const size_t end = PromptEnd(line);
      if (end <= kMaxAligned) widest = std::max(widest, end);
      if (!is_measured) continue;
      if (end > 0) result.append(std::max(widest, end), ' ');
      result += line.substr(end);
    }
  }
  return result;
}

}  // namespace actserve
