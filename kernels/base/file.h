// Reading and writing files by their descriptors, for the caches of compiled
// programs.

#ifndef ACTSERVE_KERNELS_BASE_FILE_H_
#define ACTSERVE_KERNELS_BASE_FILE_H_

#include <cstddef>
#include <cstdint>

namespace actserve {

// Closes a descriptor at the end of its scope. A negative descriptor is none.
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

// Reads `size_bytes` bytes from `offset` on; returns false if the file is
// shorter or the system refuses. Several threads may read one file at a time.
bool ReadAt(int file, int64_t offset, void* to, size_t size_bytes);

// Appends all bytes; returns false if the system refuses.
bool WriteAll(int file, const void* from, size_t size_bytes);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_FILE_H_
