#ifndef ACTSERVE_KERNELS_DEVICE_OBJECT_CACHE_H_
#define ACTSERVE_KERNELS_DEVICE_OBJECT_CACHE_H_

#include <time.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace actserve {

// Compiled objects in a directory, across restarts and between processes.
//
// Objects are executed, so the directory and its files must belong to this user
// and be closed to all others (0700, 0600). Files of other users are not read.
// A file is complete or absent (written aside and renamed) and carries its own
// digest; a damaged one is removed and counts as absent.
//
// Thread-safe, also between processes that share the directory.
class ObjectCache {
 public:
  // Makes the directory `path` with mode 0700 if it does not exist (its parent
  // must). When its files exceed `max_size_bytes`, the least recently used are
  // deleted.
  //   FailedPrecondition  not a directory, or others own it or may enter it
  //   Internal            the system refused to make or open it
  static absl::StatusOr<std::unique_ptr<ObjectCache>> Open(
      const std::string& path, int64_t max_size_bytes);
  ~ObjectCache();

  // The default directory, below XDG_CACHE_HOME or HOME. Empty if the
  // environment has neither.
  static std::string DefaultPath();

  // Returns the object stored under `key` (hex digits), if there is an
  // undamaged one.
  std::optional<std::string> Load(absl::string_view key);
  // Stores `object`, replacing what is there. A full disk is not an error: the
  // object is then not stored.
  void Store(absl::string_view key, absl::string_view object);

 private:
  ObjectCache(int directory, int64_t max_size_bytes)
      : directory_(directory), max_size_bytes_(max_size_bytes) {}

  struct File {
    std::string name;
    // Not renamed yet.
    bool is_temporary;
    int64_t size_bytes;
    timespec used;
  };
  std::vector<File> List() const;
  // Removes what processes left that were killed while they wrote.
  void RemoveStale();
  void Evict();

  const int directory_;  // file descriptor
  const int64_t max_size_bytes_;
  absl::Mutex eviction_mutex_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_OBJECT_CACHE_H_
