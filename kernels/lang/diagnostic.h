#ifndef ACTSERVE_KERNELS_LANG_DIAGNOSTIC_H_
#define ACTSERVE_KERNELS_LANG_DIAGNOSTIC_H_

#include <string>
#include <string_view>
#include <vector>

namespace actserve {

// A place in an activation's text: both count from 1; column counts bytes.
struct Position {
  int line = 1;
  int column = 1;
};

// One message to the author of a text.
struct Diagnostic {
  enum class Severity { kError, kWarning, kNote };
  Severity severity = Severity::kError;
  Position position;
  // Says what is wrong, with the offending name or value; no trailing period.
  std::string message;
};

// Collects the diagnostics of one text, in the order in which they are found.
// Not thread-safe.
class Diagnostics {
 public:
  // `text` is the text that positions refer to; copied.
  explicit Diagnostics(std::string_view text) : text_(text) {}

  void Error(Position position, std::string message);
  void Warning(Position position, std::string message);
  void Note(Position position, std::string message);

  bool has_errors() const { return num_errors_ > 0; }
  int num_errors() const { return num_errors_; }
  const std::vector<Diagnostic>& list() const { return list_; }
  const std::string& text() const { return text_; }

  // Returns all diagnostics in a compiler's format: `line:column: error:
  // message`, the line of text, and a caret under the column. Sorted by
  // position.
  std::string Render() const;

 private:
  void Add(Diagnostic diagnostic);

  std::string text_;
  std::vector<Diagnostic> list_;
  int num_errors_ = 0;
};

// The member of `candidates` with the smallest edit distance to `name`, if it
// is near enough to be a likely misspelling; otherwise "".
std::string NearestName(std::string_view name,
                        const std::vector<std::string>& candidates);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_DIAGNOSTIC_H_
