// Handwritten digits, and the weights from which every training of them starts:
// client/testdata/digits/README.md.

#ifndef ACTSERVE_CLIENT_CPP_EXAMPLES_DIGITS_H_
#define ACTSERVE_CLIENT_CPP_EXAMPLES_DIGITS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace actserve::examples {

// Elements of a row lie beside each other.
struct Matrix {
  int rows = 0, columns = 0;
  std::vector<float> elements;
};

struct Digits {
  static constexpr int kPixels = 64, kChannels = 64, kDigits = 10;

  // A row of kPixels for each picture, 0 to 1; and the digit it shows.
  Matrix train_pixels, test_pixels;
  std::vector<int> train_labels, test_labels;
  // [kPixels, kChannels] and [kChannels, kDigits].
  Matrix hidden_weights, output_weights;
};

// Reads the files of `folder`.
//   NotFound         a file cannot be read
//   InvalidArgument  a file has another size, or a label or pixel is too large
absl::StatusOr<Digits> ReadDigits(const std::string& folder);

}  // namespace actserve::examples

#endif  // ACTSERVE_CLIENT_CPP_EXAMPLES_DIGITS_H_
