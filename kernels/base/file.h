// Files by their descriptors: what the caches of compiled programs share.

#ifndef ACTSERVE_KERNELS_BASE_FILE_H_
#define ACTSERVE_KERNELS_BASE_FILE_H_

#include <cstddef>
#include <cstdint>

namespace actserve {

// Closes a descriptor at the end of a scope. Negative: none.
class ScopedFile {
 public:
  explicit ScopedFile(int descriptor) : descriptor_(descriptor) {}
  ~ScopedFile();
  ScopedFile(const ScopedFile&) = delete;
  ScopedFile& operator=(const ScopedFile&) = delete;

  int get() const { return descriptor_; }

 private:
  const int descriptor_;
};

// All of the bytes from `offset` on; false if there are fewer, or the system
// refuses. Any threads may read one file.
bool ReadAt(int file, int64_t offset, void* to, size_t size_bytes);

// Appends all of the bytes; false if the system refuses.
bool WriteAll(int file, const void* from, size_t size_bytes);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_FILE_H_
