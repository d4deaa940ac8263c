#include "client/cpp/examples/training.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/types/span.h"
#include "client/cpp/examples/hidden.h"

namespace actserve::examples {
namespace {

Matrix Zeros(int rows, int columns) {
  return {rows, columns, std::vector<float>(size_t{1} * rows * columns)};
}

class Dense {
 public:
  explicit Dense(const Matrix& weights)
      : weights_(weights), bias_(weights.columns) {}

  // x weights + bias.
  Matrix Forward(const Matrix& x) const {
    const int inputs = weights_.rows, outputs = weights_.columns;
    Matrix y = Zeros(x.rows, outputs);
    for (int row = 0; row < x.rows; ++row) {
      float* const to = &y.elements[row * outputs];
      std::copy(bias_.begin(), bias_.end(), to);
      for (int i = 0; i < inputs; ++i) {
        const float factor = x.elements[row * inputs + i];
        const float* const from = &weights_.elements[i * outputs];
        for (int o = 0; o < outputs; ++o) to[o] += factor * from[o];
      }
    }
    return y;
  }

  // dL/dx by dy = dL/dy.
  Matrix Backward(const Matrix& dy) const {
    const int inputs = weights_.rows, outputs = weights_.columns;
    Matrix dx = Zeros(dy.rows, inputs);
    for (int row = 0; row < dy.rows; ++row) {
      for (int i = 0; i < inputs; ++i) {
        float sum = 0;
        for (int o = 0; o < outputs; ++o) {
          sum += dy.elements[row * outputs + o] *
                 weights_.elements[i * outputs + o];
        }
        dx.elements[row * inputs + i] = sum;
      }
    }
    return dx;
  }

  // A step of gradient descent.
  void Step(const Matrix& x, const Matrix& dy, float rate) {
    const int inputs = weights_.rows, outputs = weights_.columns;
    Matrix dweights = Zeros(inputs, outputs);
    std::vector<float> dbias(outputs);
    for (int row = 0; row < x.rows; ++row) {
      const float* const from = &dy.elements[row * outputs];
      for (int o = 0; o < outputs; ++o) dbias[o] += from[o];
      for (int i = 0; i < inputs; ++i) {
        const float factor = x.elements[row * inputs + i];
        float* const to = &dweights.elements[i * outputs];
        for (int o = 0; o < outputs; ++o) to[o] += factor * from[o];
      }
    }
    for (size_t i = 0; i < weights_.elements.size(); ++i) {
      weights_.elements[i] -= rate * dweights.elements[i];
    }
    for (int o = 0; o < outputs; ++o) bias_[o] -= rate * dbias[o];
  }

 private:
  Matrix weights_;
  std::vector<float> bias_;
};

// Returns the mean of -log(softmax(logits)[label]). `logits` becomes its
// gradient.
float Loss(absl::Span<const int> labels, Matrix& logits) {
  float loss = 0;
  for (int row = 0; row < logits.rows; ++row) {
    const absl::Span<float> p(&logits.elements[row * logits.columns],
                              logits.columns);
    const float largest = *std::max_element(p.begin(), p.end());
    float sum = 0;
    for (float& each : p) sum += each = std::exp(each - largest);
    loss -= std::log(p[labels[row]] / sum);
    for (float& each : p) each /= sum * logits.rows;
    p[labels[row]] -= 1.0f / logits.rows;
  }
  return loss / logits.rows;
}

double Accuracy(absl::Span<const int> labels, const Matrix& logits) {
  int right = 0;
  for (int row = 0; row < logits.rows; ++row) {
    const float* const begin = &logits.elements[row * logits.columns];
    const float* const largest =
        std::max_element(begin, begin + logits.columns);
    if (largest - begin == labels[row]) ++right;
  }
  return static_cast<double>(right) / logits.rows;
}

}  // namespace

absl::StatusOr<Training> Train(
    Client& client, const Digits& digits, std::string_view activation,
    const std::function<void(int epoch, double loss)>& report) {
  auto hidden = Hidden::Create(client, activation, Digits::kChannels);
  if (!hidden.ok()) return hidden.status();
  Dense first(digits.hidden_weights), second(digits.output_weights);
  const float rate = activation == "spiky" ? kRateOfSpiky : kRate;
  Training training;
  Matrix h, dz;
  for (int epoch = 1; epoch <= kEpochs; ++epoch) {
    const int pictures = digits.train_pixels.rows;
    double loss = 0;
    for (int start = 0; start < pictures; start += kBatch) {
      const int count = std::min(kBatch, pictures - start);
      const auto pixels =
          digits.train_pixels.elements.begin() + start * Digits::kPixels;
      const Matrix x = {
          count, Digits::kPixels, {pixels, pixels + count * Digits::kPixels}};

      const Matrix z = first.Forward(x);
      absl::Status status = hidden->Forward(z, h);
      if (!status.ok()) return status;
      Matrix dlogits = second.Forward(h);
      training.step_losses.push_back(
          Loss(absl::MakeConstSpan(digits.train_labels).subspan(start, count),
               dlogits));
      loss += double{training.step_losses.back()} * count / pictures;

      const Matrix dh = second.Backward(dlogits);
      second.Step(h, dlogits, rate);
      status = hidden->Backward(z, dh, rate, dz);
      if (!status.ok()) return status;
      first.Step(x, dz, rate);
    }
    report(epoch, loss);
  }

  absl::Status status = hidden->Evaluate(first.Forward(digits.test_pixels), h);
  if (!status.ok()) return status;
  training.test_accuracy = Accuracy(digits.test_labels, second.Forward(h));
  training.beta = hidden->beta();
  return training;
}

}  // namespace actserve::examples
