#include "kernels/device/cuda/program/self_test_programs.h"

#include "kernels/base/sha256.h"
#include "kernels/base/text.h"

namespace actserve {

std::vector<LoweredProgram> SelfTestPrograms() {
  LoweredProgram direct;
  direct.graph.inputs = {"x"};
  direct.graph.outputs = {
      {"y", direct.graph.Add(Op::kSub, direct.graph.Constant(1),
                             direct.graph.Input(0))}};
  direct.weight = direct.graph.Weight();
  LoweredProgram table = direct;
  table.storage = DType::kBFloat16;
  table.compute = DType::kFloat64;
  table.rule = LoweredProgram::Rule::kRoundOnce16;
  std::vector<LoweredProgram> programs = {direct, table};
  for (LoweredProgram& program : programs) {
    program.program_id =
        Sha256Id(Concat("self-test ", DTypeName(program.storage)));
  }
  return programs;
}

}  // namespace actserve
