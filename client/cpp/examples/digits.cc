#include "client/cpp/examples/digits.h"

#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace actserve::examples {
namespace {

constexpr int kPictures = 1797, kForTraining = 1437;
constexpr int kRecord = 1 + Digits::kPixels;
constexpr int kMaxPixel = 16;

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t size) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  if (bytes.size() != size) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", bytes.size(), " bytes, must have ", size));
  }
  return bytes;
}

}  // namespace

absl::StatusOr<Digits> ReadDigits(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/digits.u8");
  const auto records = ReadFile(path, size_t{kPictures} * kRecord);
  if (!records.ok()) return records.status();
  Digits digits;
  for (int i = 0; i < kPictures; ++i) {
    const bool trains = i < kForTraining;
    Matrix& pixels = trains ? digits.train_pixels : digits.test_pixels;
    const auto* const record =
        reinterpret_cast<const unsigned char*>(records->data()) + i * kRecord;
    if (record[0] >= Digits::kDigits) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": picture ", i, " has the label ", int{record[0]},
                       ", limit ", Digits::kDigits - 1));
    }
    (trains ? digits.train_labels : digits.test_labels).push_back(record[0]);
    for (int p = 1; p < kRecord; ++p) {
      if (record[p] > kMaxPixel) {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": picture ", i, " has a pixel of ",
                         int{record[p]}, ", limit ", kMaxPixel));
      }
      pixels.elements.push_back(static_cast<float>(record[p]) / kMaxPixel);
    }
    pixels.columns = Digits::kPixels;
    ++pixels.rows;
  }

  digits.hidden_weights = {Digits::kPixels, Digits::kChannels, {}};
  digits.output_weights = {Digits::kChannels, Digits::kDigits, {}};
  size_t at = 0;
  const auto weights = ReadFile(
      absl::StrCat(folder, "/weights.f32"),
      sizeof(float) * Digits::kChannels * (Digits::kPixels + Digits::kDigits));
  if (!weights.ok()) return weights.status();
  for (Matrix* const matrix :
       {&digits.hidden_weights, &digits.output_weights}) {
    matrix->elements.resize(size_t{1} * matrix->rows * matrix->columns);
    const size_t size = matrix->elements.size() * sizeof(float);
    std::memcpy(matrix->elements.data(), weights->data() + at, size);
    at += size;
  }
  return digits;
}

}  // namespace actserve::examples
