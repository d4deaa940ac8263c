// The tensors that benchmarks of a server send.

#ifndef ACTSERVE_CLIENT_LOAD_RELU_LOAD_H_
#define ACTSERVE_CLIENT_LOAD_RELU_LOAD_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace actserve {

// A caller's tensors: x normally distributed, the same for all; y for relu(x).
struct ReluTensors {
  explicit ReluTensors(int64_t size_bytes)
      : x(size_bytes / sizeof(float)), y(x.size()) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& element : x) element = normal(random);
  }

  // Returns whether every element of y is relu(x).
  bool IsRight() const {
    for (size_t i = 0; i < x.size(); ++i) {
      if (y[i] != std::max(x[i], 0.0f)) return false;
    }
    return true;
  }

  std::vector<float> x;
  std::vector<float> y;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_RELU_LOAD_H_
