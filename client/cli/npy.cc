// NumPy's file format, version 1 to 3: a magic string, the length of a header,
// the header as a Python dictionary literal, the elements.

#include "client/cli/npy.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/read_file.h"
#include "kernels/base/dtype.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

constexpr absl::string_view kMagic("\x93NUMPY", 6);
// The elements start at a multiple of this.
constexpr size_t kAlignment = 64;

// The value of `key` in `header`, without spaces around it, up to `end`.
absl::StatusOr<absl::string_view> Value(absl::string_view header,
                                        absl::string_view key, char end) {
  const std::string quoted = absl::StrCat("'", key, "':");
  size_t begin = header.find(quoted);
  if (begin == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("its header has no ", quoted));
  }
  begin += quoted.size();
  const size_t length = header.substr(begin).find(end);
  if (length == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("its header has no end of ", quoted));
  }
  return absl::StripAsciiWhitespace(header.substr(begin, length));
}

// The dtype of NumPy's type string, for example "<f4".
absl::StatusOr<v1::DType> FromDescription(absl::string_view description,
                                          std::optional<v1::DType> wanted) {
  absl::string_view type = description;
  if (!absl::ConsumePrefix(&type, "'") || !absl::ConsumeSuffix(&type, "'")) {
    return absl::InvalidArgumentError(
        absl::StrCat("its dtype ", description, " is not a plain type"));
  }
  if (type == "<f2") return v1::DTYPE_FLOAT16;
  if (type == "<f4") return v1::DTYPE_FLOAT32;
  if (type == "<f8") return v1::DTYPE_FLOAT64;
  if (type == "|V2" || type == "<V2") {
    if (wanted == v1::DTYPE_BFLOAT16) return v1::DTYPE_BFLOAT16;
    return absl::InvalidArgumentError(
        "its elements are two raw bytes each; if they are bfloat16, say "
        "--dtype bfloat16");
  }
  if (absl::StartsWith(type, ">")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "its elements (", type, ") are big-endian; store little-endian ones"));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "its dtype ", type, " is none of float16, bfloat16, float32, float64"));
}

absl::StatusOr<std::vector<int64_t>> ParseShape(absl::string_view text) {
  absl::ConsumePrefix(&text, "(");
  std::vector<int64_t> shape;
  for (absl::string_view part :
       absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    int64_t dimension = 0;
    if (!absl::SimpleAtoi(part, &dimension) || dimension < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("its shape has a dimension ", part));
    }
    shape.push_back(dimension);
  }
  return shape;
}

absl::StatusOr<Array> Parse(absl::string_view file,
                            std::optional<v1::DType> dtype) {
  if (!absl::ConsumePrefix(&file, kMagic) || file.size() < 4) {
    return absl::InvalidArgumentError("it is not a .npy file");
  }
  const auto byte = [&](size_t i) {
    return static_cast<size_t>(static_cast<unsigned char>(file[i]));
  };
  const size_t version = byte(0);
  if (version < 1 || version > 3 || (version > 1 && file.size() < 6)) {
    return absl::InvalidArgumentError(
        absl::StrCat("its .npy version is ", version));
  }
  const size_t header_begin = version == 1 ? 4 : 6;
  size_t header_bytes = byte(2) | byte(3) << 8;
  if (version > 1) header_bytes |= byte(4) << 16 | byte(5) << 24;
  if (header_bytes > file.size() - header_begin) {
    return absl::InvalidArgumentError("it ends inside its header");
  }
  const absl::string_view header = file.substr(header_begin, header_bytes);

  ACTSERVE_ASSIGN_OR_RETURN(const absl::string_view description,
                            Value(header, "descr", ','));
  ACTSERVE_ASSIGN_OR_RETURN(const absl::string_view order,
                            Value(header, "fortran_order", ','));
  ACTSERVE_ASSIGN_OR_RETURN(const absl::string_view shape_text,
                            Value(header, "shape", ')'));

  ACTSERVE_ASSIGN_OR_RETURN(const v1::DType found,
                            FromDescription(description, dtype));
  if (dtype && *dtype != found) {
    return absl::InvalidArgumentError(absl::StrCat(
        "it holds ", DTypeText(found), ", not ", DTypeText(*dtype)));
  }
  if (order != "False") {
    return absl::InvalidArgumentError(
        "its elements are in Fortran order; store numpy.ascontiguousarray(...)"
        " instead");
  }
  ACTSERVE_ASSIGN_OR_RETURN(std::vector<int64_t> shape, ParseShape(shape_text));
  file.remove_prefix(header_begin + header_bytes);
  int64_t want_bytes = ItemSizeBytes(static_cast<DType>(found));
  bool overflow = false;
  for (const int64_t dimension : shape) {
    overflow |= __builtin_mul_overflow(want_bytes, dimension, &want_bytes);
  }
  if (overflow || static_cast<uint64_t>(want_bytes) != file.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("its ", file.size(), " bytes of elements do not match [",
                     absl::StrJoin(shape, ", "), "] of ", DTypeText(found)));
  }
  return Array{found, std::move(shape), std::string(file)};
}

const char* Description(v1::DType dtype) {
  switch (dtype) {
    case v1::DTYPE_FLOAT16:
      return "<f2";
    case v1::DTYPE_BFLOAT16:
      return "<V2";
    case v1::DTYPE_FLOAT32:
      return "<f4";
    default:
      return "<f8";
  }
}

}  // namespace

absl::StatusOr<Array> ReadNpy(const std::string& path,
                              std::optional<v1::DType> dtype) {
  const absl::StatusOr<std::string> contents = ReadFile(path);
  ACTSERVE_RETURN_IF_ERROR(contents.status());
  auto array = Parse(*contents, dtype);
  if (array.ok()) return array;
  return absl::Status(array.status().code(),
                      absl::StrCat(path, ": ", array.status().message()));
}

absl::Status WriteNpy(const std::string& path, const Array& array) {
  std::string header = absl::StrCat("{'descr': '", Description(array.dtype),
                                    "', 'fortran_order': False, 'shape': (",
                                    absl::StrJoin(array.shape, ", "),
                                    array.shape.size() == 1 ? ",), }" : "), }");
  const size_t prefix_bytes = kMagic.size() + 4;
  const size_t unpadded_bytes = prefix_bytes + header.size() + 1;
  header.append((kAlignment - unpadded_bytes % kAlignment) % kAlignment, ' ');
  header += '\n';
  const uint16_t header_bytes = static_cast<uint16_t>(header.size());

  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << kMagic << '\x01' << '\x00' << static_cast<char>(header_bytes & 0xff)
       << static_cast<char>(header_bytes >> 8) << header << array.bytes;
  file.close();
  if (!file) {
    return absl::ErrnoToStatus(errno == 0 ? EIO : errno,
                               absl::StrCat("cannot write ", path));
  }
  return absl::OkStatus();
}

}  // namespace actserve
