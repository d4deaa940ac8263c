// Random numbers that are the same everywhere for the same seed: the
// distributions of the standard library are not.

#ifndef ACTSERVE_CLIENT_LOAD_SCHEDULE_SEEDED_RANDOM_H_
#define ACTSERVE_CLIENT_LOAD_SCHEDULE_SEEDED_RANDOM_H_

#include <cmath>
#include <cstdint>
#include <random>

namespace actserve {

class SeededRandom {
 public:
  // Other numbers for each `stream` of a seed.
  SeededRandom(uint64_t seed, uint64_t stream)
      : bits_(seed * 0x9e3779b97f4a7c15u ^ (stream + 0x632be59bd9b4e019u)) {}

  uint64_t Bits() { return bits_(); }
  // From 0 to below 1.
  double Uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-53; }
  // Mean 1.
  double Exponential() { return -std::log1p(-Uniform()); }
  // Mean 0, standard deviation 1.
  double Normal() {
    const double radius = std::sqrt(2 * Exponential());
    return radius * std::cos(6.283185307179586 * Uniform());
  }

 private:
  std::mt19937_64 bits_;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_SCHEDULE_SEEDED_RANDOM_H_
