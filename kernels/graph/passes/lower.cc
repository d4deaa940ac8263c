#include "kernels/graph/passes/lower.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/base/sha256.h"
#include "kernels/graph/passes/declared.h"
#include "kernels/graph/passes/simplify.h"
#include "kernels/math/math_version.h"

namespace actserve {

absl::StatusOr<LoweredProgram> Lower(const Graph& graph, DType storage,
                                     LoweredProgram::Rule rule_16_bit,
                                     std::string_view identity,
                                     const LanguageLimits& limits) {
  LoweredProgram program;
  program.graph = Simplify(WithoutDeclared(graph));
  program.storage = storage;
  program.rule = Is16Bit(storage) ? rule_16_bit : LoweredProgram::Rule::kDirect;
  const bool in_float64 = storage == DType::kFloat64 ||
                          program.rule != LoweredProgram::Rule::kDirect;
  program.compute = in_float64 ? DType::kFloat64 : DType::kFloat32;
  program.weight = program.graph.Weight();
  if (program.weight > limits.weight) {
    return absl::InvalidArgumentError(
        absl::StrCat("the program has ", program.weight, " operations, limit ",
                     limits.weight));
  }
  program.interleave = program.weight <= limits.interleaved_weight;
  program.program_id = Sha256Id(
      absl::StrCat("actserve program 1\n", std::string(identity), "\n",
                   std::string(DTypeName(storage)), "\n", kMathVersion, "\n"));
  return program;
}

}  // namespace actserve
