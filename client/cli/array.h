// Tensors in actctl: in memory, and as numbers in text.

#ifndef ACTSERVE_CLIENT_CLI_ARRAY_H_
#define ACTSERVE_CLIENT_CLI_ARRAY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "actserve/v1/tensor.pb.h"
#include "client/cpp/client.h"

namespace actserve {

// A tensor with its elements: row-major, little-endian.
struct Array {
  v1::DType dtype = v1::DTYPE_FLOAT32;
  std::vector<int64_t> shape;
  std::string bytes;

  int64_t num_elements() const;
  TensorView View() const;
  absl::Span<std::byte> MutableBytes();
  // Returns zeros of the same dtype and shape.
  Array Like() const;
};

// "float16", "bfloat16", "float32", "float64".
//   InvalidArgument  another name
absl::StatusOr<v1::DType> ParseDType(const std::string& name);
std::string DTypeText(v1::DType dtype);

// A decimal number, "inf" or "nan".
absl::StatusOr<double> ParseNumber(const std::string& text);

// One dimension; each number rounded once to `dtype`.
//   InvalidArgument  not a number
absl::StatusOr<Array> ParseArray(const std::vector<std::string>& numbers,
                                 v1::DType dtype);

// Each element as the shortest decimal that reads back as the same bits,
// separated by spaces, a line for each row of the last dimension.
std::string ArrayText(const Array& array);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CLI_ARRAY_H_
