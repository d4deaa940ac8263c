#include "kernels/device/cuda/program/sass_pack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/base/file.h"
#include "kernels/base/sha256.h"
#include "kernels/base/status_macros.h"
#include "kernels/codegen/cuda/emit.h"
#include "kernels/codegen/cuda/nvrtc.h"

namespace actserve {
namespace {

constexpr char kMagic[8] = {'A', 'C', 'T', 'S', 'A', 'S', 'S', '\n'};
constexpr uint32_t kFormat = 1;
constexpr uint64_t kMaxCodeBytes = uint64_t{64} << 20;
// Higher ones take several times as long for a few hundredths of the size.
constexpr int kCompressionLevel = 9;

struct Header {
  char magic[sizeof(kMagic)] = {};
  uint32_t format = 0;
  uint32_t num_entries = 0;
  char nvrtc_version[16] = {};  // ends with a zero
  Sha256Digest texts = {};      // of Texts()
  // Digest of this header, with zeros here, and of the index behind it.
  Sha256Digest digest = {};
};
static_assert(sizeof(Header) == 96);

absl::string_view Bytes(const void* data, size_t size_bytes) {
  return {static_cast<const char*>(data), size_bytes};
}

Sha256Digest DigestOf(absl::string_view bytes) {
  return Sha256(std::string_view(bytes.data(), bytes.size()));
}

// Identifies what all programs of a build have in common.
Sha256Digest Texts() {
  return DigestOf(absl::StrCat(Nvrtc::options(), CudaTextFingerprint()));
}

// False if it is not of SassKey().
bool ParseKey(const std::string& key, Sha256Digest& digest) {
  const bool is_hex = std::all_of(key.begin(), key.end(), absl::ascii_isxdigit);
  if (!is_hex || key.size() != 2 * digest.size()) return false;
  const std::string raw = absl::HexStringToBytes(key);
  std::copy(raw.begin(), raw.end(), digest.begin());
  return true;
}

}  // namespace

std::string SassKey(const std::string& text, int architecture) {
  return Sha256Hex(absl::StrCat("cuda ", Nvrtc::options(), " sm_", architecture,
                                "\n", text));
}

// One line of the index, as it stands in the file.
struct SassPack::Entry {
  Sha256Digest key = {};
  uint32_t architecture = 0;
  uint32_t size_bytes = 0;  // of the code
  uint64_t offset = 0;      // of its compressed form, from the file's begin
  uint64_t compressed_bytes = 0;
  Sha256Digest compressed_digest = {};
};

absl::StatusOr<std::string> SassPack::Pack(const std::string& nvrtc_version,
                                           std::vector<Code> codes) {
  Header header;
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.format = kFormat;
  header.texts = Texts();
  if (nvrtc_version.empty() ||
      nvrtc_version.size() >= sizeof(header.nvrtc_version)) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a version of NVRTC: '", nvrtc_version, "'"));
  }
  nvrtc_version.copy(header.nvrtc_version, nvrtc_version.size());

  std::stable_sort(codes.begin(), codes.end(),
                   [](const auto& a, const auto& b) { return a.key < b.key; });
  codes.erase(
      std::unique(codes.begin(), codes.end(),
                  [](const auto& a, const auto& b) { return a.key == b.key; }),
      codes.end());
  header.num_entries = codes.size();

  std::vector<Entry> entries;
  std::string pieces;
  for (const Code& code : codes) {
    Entry entry;
    if (!ParseKey(code.key, entry.key)) {
      return absl::InvalidArgumentError(
          absl::StrCat("not a key of code: '", code.key, "'"));
    }
    if (code.cubin.size() > kMaxCodeBytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          "code of ", code.cubin.size(), " bytes, at most ", kMaxCodeBytes));
    }
    std::string piece(ZSTD_compressBound(code.cubin.size()), '\0');
    const size_t compressed_bytes =
        ZSTD_compress(piece.data(), piece.size(), code.cubin.data(),
                      code.cubin.size(), kCompressionLevel);
    if (ZSTD_isError(compressed_bytes)) {
      return absl::InternalError(
          absl::StrCat("zstd: ", ZSTD_getErrorName(compressed_bytes)));
    }
    piece.resize(compressed_bytes);
    entry.architecture = code.architecture;
    entry.size_bytes = code.cubin.size();
    entry.offset =
        sizeof(Header) + codes.size() * sizeof(Entry) + pieces.size();
    entry.compressed_bytes = piece.size();
    entry.compressed_digest = DigestOf(piece);
    entries.push_back(entry);
    pieces += piece;
  }
  const absl::string_view index =
      Bytes(entries.data(), entries.size() * sizeof(Entry));
  header.digest = DigestOf(absl::StrCat(Bytes(&header, sizeof(header)), index));
  return absl::StrCat(Bytes(&header, sizeof(header)), index, pieces);
}

absl::Status SassPack::Write(const std::string& path,
                             const std::string& nvrtc_version,
                             std::vector<Code> codes) {
  ACTSERVE_ASSIGN_OR_RETURN(const std::string bytes,
                            Pack(nvrtc_version, std::move(codes)));
  const auto failed = [&](const char* call) {
    return absl::InternalError(
        absl::StrCat(path, ": ", call, ": ", strerror(errno)));
  };
  const std::string draft = absl::StrCat(path, ".", getpid(), ".tmp");
  unlink(draft.c_str());  // of a process that had this number and died
  {
    ScopedFile file(
        open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (file.get() < 0) return failed("open");
    if (!WriteAll(file.get(), bytes.data(), bytes.size())) {
      const absl::Status status = failed("write");
      unlink(draft.c_str());
      return status;
    }
  }
  if (std::rename(draft.c_str(), path.c_str()) != 0) {
    const absl::Status status = failed("rename");
    unlink(draft.c_str());
    return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const SassPack>> SassPack::Open(
    const std::string& path) {
  // A FIFO would wait for a writer.
  const int file = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) {
    const std::string message = absl::StrCat(path, ": open: ", strerror(errno));
    return errno == ENOENT || errno == ENOTDIR ? absl::NotFoundError(message)
                                               : absl::InternalError(message);
  }
  std::shared_ptr<SassPack> pack(new SassPack(path, file));
  ACTSERVE_RETURN_IF_ERROR(pack->ReadIndex());
  return pack;
}

SassPack::SassPack(std::string path, int file)
    : path_(std::move(path)), file_(file) {}

SassPack::~SassPack() { close(file_); }

absl::Status SassPack::ReadIndex() {
  const auto foreign = [&](const auto&... why) {
    return absl::FailedPreconditionError(absl::StrCat(path_, ": ", why...));
  };
  const auto damaged = [&](const char* why) {
    return absl::DataLossError(absl::StrCat(path_, ": damaged: ", why));
  };
  struct stat info;
  if (fstat(file_, &info) != 0) {
    return absl::InternalError(
        absl::StrCat(path_, ": fstat: ", strerror(errno)));
  }
  if (!S_ISREG(info.st_mode)) return foreign("not a file");
  if ((info.st_mode & 022) != 0) {
    return foreign("others than its owner may write to it, and what it holds ",
                   "is executed");
  }
  Header header;
  if (!ReadAt(file_, 0, &header, sizeof(header)) ||
      std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
    return foreign("not a pack of compiled programs");
  }
  if (header.format != kFormat) {
    return foreign("a pack of format ", header.format, ", this program reads ",
                   kFormat);
  }
  const uint64_t index_bytes = uint64_t{header.num_entries} * sizeof(Entry);
  if (index_bytes > info.st_size - sizeof(header)) {
    return damaged("it is shorter than its index");
  }
  entries_.resize(header.num_entries);
  if (!ReadAt(file_, sizeof(header), entries_.data(), index_bytes)) {
    return damaged("its index cannot be read");
  }
  const Sha256Digest digest = std::exchange(header.digest, {});
  if (digest != DigestOf(absl::StrCat(Bytes(&header, sizeof(header)),
                                      Bytes(entries_.data(), index_bytes)))) {
    return damaged("its index is not what was written");
  }
  if (header.texts != Texts()) {
    return foreign("compiled for another version of this program");
  }
  nvrtc_version_ = header.nvrtc_version;
  std::set<int> architectures;
  for (const Entry& entry : entries_) {
    architectures.insert(static_cast<int>(entry.architecture));
    const auto file_bytes = static_cast<uint64_t>(info.st_size);
    if (entry.compressed_bytes > file_bytes ||
        entry.offset > file_bytes - entry.compressed_bytes) {
      return damaged("it is shorter than its code");
    }
  }
  architectures_.assign(architectures.begin(), architectures.end());
  return absl::OkStatus();
}

std::string SassPack::KeyOfOne(int architecture) const {
  for (const Entry& entry : entries_) {
    if (static_cast<int>(entry.architecture) == architecture) {
      return absl::BytesToHexString(Bytes(entry.key.data(), entry.key.size()));
    }
  }
  return "";
}

int64_t SassPack::num_parts(int architecture) const {
  return std::count_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
    return static_cast<int>(e.architecture) == architecture;
  });
}

absl::StatusOr<std::string> SassPack::Find(const std::string& key) const {
  Sha256Digest wanted;
  if (!ParseKey(key, wanted)) return absl::NotFoundError(key);
  const auto entry = std::lower_bound(
      entries_.begin(), entries_.end(), wanted,
      [](const Entry& e, const Sha256Digest& other) { return e.key < other; });
  if (entry == entries_.end() || entry->key != wanted) {
    return absl::NotFoundError(absl::StrCat(path_, " has no code of ", key));
  }
  std::string piece(entry->compressed_bytes, '\0');
  std::string code(entry->size_bytes, '\0');
  if (!ReadAt(file_, entry->offset, piece.data(), piece.size()) ||
      DigestOf(piece) != entry->compressed_digest ||
      ZSTD_decompress(code.data(), code.size(), piece.data(), piece.size()) !=
          code.size()) {
    return absl::DataLossError(
        absl::StrCat(path_, ": the code of ", key, " is damaged"));
  }
  return code;
}

}  // namespace actserve
