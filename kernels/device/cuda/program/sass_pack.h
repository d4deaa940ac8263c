#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_SASS_PACK_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_SASS_PACK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace actserve {

// Names the machine code of a text of EmitCuda() for one architecture: a digest
// of everything that the results depend on. The compiler's version is not among
// it.
std::string SassKey(const std::string& text, int architecture);

// A read-only file with the precompiled machine code of the parts of many
// programs. Any number of processes may share it.
//
// Its code is executed, so nobody but its owner may be able to write to it. The
// file says which texts it was compiled from (the shared math and what else
// all programs have in common). A build with other texts refuses it, because
// it could find nothing in it.
//
// A header, an index sorted by key, then the code, each piece zstd-compressed;
// little endian. Header and index carry a SHA-256, and so does each piece. The
// index stays in memory; a piece is read when it is needed, at most once per
// part and process. Mapping the file would save nothing, and would kill the
// server if somebody truncated the file.
//
// Thread-safe.
class SassPack {
 public:
  struct Code {
    std::string key;  // of SassKey()
    int architecture = 0;
    std::string cubin;
  };

  // Writes to another file and renames it, so `path` is either complete or
  // unchanged. If several codes have one key, keeps the first. `nvrtc_version`
  // is the compiler's version ("13.0").
  //   InvalidArgument  a key or a version that is none, code beyond 64 MiB
  //   Internal         the system refused
  static absl::Status Write(const std::string& path,
                            const std::string& nvrtc_version,
                            std::vector<Code> codes);

  //   NotFound            there is no such file
  //   FailedPrecondition  no pack, one of another format or for other texts, or
  //                       one that others may write to
  //   DataLoss            a damaged one
  //   Internal            the system refused
  static absl::StatusOr<std::shared_ptr<const SassPack>> Open(
      const std::string& path);
  ~SassPack();

  const std::string& path() const { return path_; }
  const std::string& nvrtc_version() const { return nvrtc_version_; }
  // Ascending.
  const std::vector<int>& architectures() const { return architectures_; }
  int64_t num_parts(int architecture) const;
  // The key of some part for one of architectures().
  std::string KeyOfOne(int architecture) const;

  //   NotFound  there is no code of this key
  //   DataLoss  it is damaged
  absl::StatusOr<std::string> Find(const std::string& key) const;

 private:
  struct Entry;

  SassPack(std::string path, int file);

  // The bytes of the file.
  static absl::StatusOr<std::string> Pack(const std::string& nvrtc_version,
                                          std::vector<Code> codes);
  absl::Status ReadIndex();

  const std::string path_;
  const int file_;  // descriptor
  std::string nvrtc_version_;
  std::vector<int> architectures_;
  std::vector<Entry> entries_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_SASS_PACK_H_
