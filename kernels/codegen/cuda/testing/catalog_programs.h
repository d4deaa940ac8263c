// Every program of the catalog: each activation forward, forward with partials,
// and backward, in each element type. One that reads rows has no partials.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_CATALOG_PROGRAMS_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_CATALOG_PROGRAMS_H_

#include <string>
#include <vector>

#include "kernels/graph/lowered_program.h"

namespace actserve::testing {

// One program of a built-in.
struct CatalogProgram {
  std::string activation;  // "gelu"
  // "forward", "partials" (y and its derivatives by all inputs), "backward"
  // (by all inputs), "backward with parameters" where there are any.
  std::string direction;
  LoweredProgram program;
  // The activation's own, one per parameter of the program.
  std::vector<double> parameters;

  std::string name() const;  // "gelu backward float32"
};

std::vector<CatalogProgram> CatalogPrograms(DType dtype);

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_CATALOG_PROGRAMS_H_
