#include "client/cli/array.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/base/dtype.h"
#include "kernels/math/half.h"

namespace actserve {
namespace {

constexpr DType kDTypes[] = {DType::kFloat16, DType::kBFloat16, DType::kFloat32,
                             DType::kFloat64};

int64_t ItemSize(v1::DType dtype) {
  return ItemSizeBytes(static_cast<DType>(dtype));
}

template <typename T>
void Append(T value, std::string& bytes) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendElement(double value, v1::DType dtype, std::string& bytes) {
  switch (dtype) {
    case v1::DTYPE_FLOAT16:
      return Append<uint16_t>(actserve_f64_to_f16_bits(value), bytes);
    case v1::DTYPE_BFLOAT16:
      return Append<uint16_t>(actserve_f64_to_bf16_bits(value), bytes);
    case v1::DTYPE_FLOAT32:
      return Append(static_cast<float>(value), bytes);
    default:
      return Append(value, bytes);
  }
}

template <typename T>
T Load(const char* data) {
  T value;
  std::memcpy(&value, data, sizeof(value));
  return value;
}

template <typename T>
std::string Shortest(T value) {
  // Not "-nan": the sign of a NaN says nothing.
  if (std::isnan(value)) return "nan";
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  return std::string(text, end);
}

// The shortest decimal of a 16-bit element: the fewest digits that round back
// to it, which no library offers for these types.
std::string Shortest16(float value, v1::DType dtype, uint16_t bits) {
  for (int digits = 1; digits < 9; ++digits) {
    char text[32];
    const auto end = std::to_chars(text, text + sizeof(text), value,
                                   std::chars_format::general, digits)
                         .ptr;
    *end = '\0';
    std::string again;
    AppendElement(std::strtod(text, nullptr), dtype, again);
    if (Load<uint16_t>(again.data()) == bits) {
      return Shortest(std::strtof(text, nullptr));
    }
  }
  return Shortest(value);
}

std::string ElementText(const char* data, v1::DType dtype) {
  switch (dtype) {
    case v1::DTYPE_FLOAT16: {
      const auto bits = Load<uint16_t>(data);
      return Shortest16(actserve_f16_bits_to_f32(bits), dtype, bits);
    }
    case v1::DTYPE_BFLOAT16: {
      const auto bits = Load<uint16_t>(data);
      return Shortest16(actserve_bf16_bits_to_f32(bits), dtype, bits);
    }
    case v1::DTYPE_FLOAT32:
      return Shortest(Load<float>(data));
    default:
      return Shortest(Load<double>(data));
  }
}

}  // namespace

int64_t Array::num_elements() const { return bytes.size() / ItemSize(dtype); }

TensorView Array::View() const {
  return {dtype,
          shape,
          {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}};
}

absl::Span<std::byte> Array::MutableBytes() {
  return {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()};
}

Array Array::Like() const {
  return {dtype, shape, std::string(bytes.size(), '\0')};
}

absl::StatusOr<v1::DType> ParseDType(const std::string& name) {
  for (const DType dtype : kDTypes) {
    if (DTypeName(dtype) == name) return static_cast<v1::DType>(dtype);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "dtype ", name, " is none of float16, bfloat16, float32, float64"));
}

std::string DTypeText(v1::DType dtype) {
  return std::string(DTypeName(static_cast<DType>(dtype)));
}

absl::StatusOr<double> ParseNumber(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || std::isspace(text[0])) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not a number"));
  }
  return value;
}

absl::StatusOr<Array> ParseArray(const std::vector<std::string>& numbers,
                                 v1::DType dtype) {
  Array array;
  array.dtype = dtype;
  array.shape = {static_cast<int64_t>(numbers.size())};
  for (const std::string& number : numbers) {
    const absl::StatusOr<double> value = ParseNumber(number);
    if (!value.ok()) return value.status();
    AppendElement(*value, dtype, array.bytes);
  }
  return array;
}

std::string ArrayText(const Array& array) {
  const int64_t row = array.shape.empty() ? 1 : array.shape.back();
  const int64_t item_size_bytes = ItemSize(array.dtype);
  std::string text;
  for (int64_t i = 0; i < array.num_elements(); ++i) {
    if (i > 0) text += i % row == 0 ? '\n' : ' ';
    text += ElementText(&array.bytes[i * item_size_bytes], array.dtype);
  }
  return text;
}

}  // namespace actserve
