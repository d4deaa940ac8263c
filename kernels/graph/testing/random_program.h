// Random texts of the language, for tests that hold for every program:
// interpreter == compiled program, simplify keeps bits, the printer's text
// parses back. The same seed gives the same text everywhere; print it.

#ifndef ACTSERVE_KERNELS_GRAPH_TESTING_RANDOM_PROGRAM_H_
#define ACTSERVE_KERNELS_GRAPH_TESTING_RANDOM_PROGRAM_H_

#include <cstdint>
#include <string>
#include <vector>

namespace actserve::testing {

// The shape of a random text.
struct RandomProgramOptions {
  int num_inputs = 1;      // named x, y, z, w
  int num_parameters = 1;  // named a, b, c ...
  int num_statements = 6;
  int expression_depth = 3;
  // Without rounding, steps and remainders: differentiable almost everywhere
  // with a derivative that is not 0.
  bool only_smooth = false;
  // With functions of rows.
  bool rows = false;
};

// A text that Activation::Create accepts.
std::string RandomProgram(uint64_t seed, const RandomProgramOptions& options);

// Zeros, infinities, NaN, subnormals, the largest numbers, integers and halves,
// then `num_random` numbers of every size. The same for the same arguments.
std::vector<double> InterestingNumbers(uint64_t seed, int num_random);

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_GRAPH_TESTING_RANDOM_PROGRAM_H_
