#include "client/cli/read_file.h"

#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace actserve {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string contents;
  char chunk[1 << 16];
  do {
    // Unlike iterators of the file's buffer, which throw, this sets badbit
    // where `path` is a folder.
    file.read(chunk, sizeof(chunk));
    contents.append(chunk, file.gcount());
  } while (file);
  if (!file.eof())
    return absl::NotFoundError(absl::StrCat("cannot read ", path));
  return contents;
}

}  // namespace actserve
