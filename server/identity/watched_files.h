#ifndef ACTSERVE_SERVER_IDENTITY_WATCHED_FILES_H_
#define ACTSERVE_SERVER_IDENTITY_WATCHED_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace actserve {

// Limit on the bytes of a file of keys or tokens.
inline constexpr int64_t kMaxSecretFileBytes = int64_t{2} << 20;

// Returns the content of the plain file that `flag` names. Does not wait for a
// FIFO. The messages begin with "FLAG: PATH".
//   InvalidArgument     it is empty or too large, or no plain file
//   FailedPrecondition  `private_only`, and the file's mode lets its group
//                       write it, or other users read or write it
//   NotFound            it cannot be opened
absl::StatusOr<std::string> ReadSecretFile(absl::string_view flag,
                                           const std::string& path,
                                           bool private_only);

// Notices that some files have changed, as a group: files that belong together
// are replaced one by one, so a change counts once the group has been quiet
// from one look to the next, or has changed at three of them. Follows symbolic
// links, which is how orchestrators replace a folder of secrets. Not
// thread-safe.
class WatchedFiles {
 public:
  // The files as they are now count as known.
  explicit WatchedFiles(std::vector<std::string> paths);

  // Looks at the files; call it about once a second. Returns true once after
  // each change.
  bool Changed();

  // The files as they are now count as known.
  void MarkKnown();

 private:
  // One per file: its device, inode, size, mode and times; "" if there is none.
  using Signature = std::vector<std::string>;
  Signature Look() const;

  std::vector<std::string> paths_;
  Signature known_;
  Signature last_;
  // Looks in a row that found something new.
  int num_restless_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_IDENTITY_WATCHED_FILES_H_
