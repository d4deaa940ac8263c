// A text compiled by LLVM, forward or backward, in any type: its bits are those
// of the interpreter.

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/base/testing/fuzz_target.h"
#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/testing/reference.h"

namespace actserve {
namespace {

// LLVM takes a second for the heaviest text that a server takes.
constexpr int64_t kMaxWeight = 1500;
constexpr int64_t kNumElements = 37;

std::unique_ptr<CpuDevice> MakeDevice() {
  return *CpuDevice::Create({.num_threads = 1, .max_programs = 16});
}

// A byte that tells dtype and direction, and the text.
ACTSERVE_FUZZ_TARGET(cpu_program) {
  static CpuDevice& device = *MakeDevice().release();
  testing::FuzzInput input(data, size);
  const auto choice = input.Get<uint8_t>();
  constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat64,
                               DType::kFloat16, DType::kBFloat16};
  const DType dtype = kDTypes[choice % 4];
  const auto activation = Activation::Create(input.Rest(), {}, nullptr);
  if (!activation.ok()) return;
  const auto program =
      choice / 4 % 2 == 0
          ? (*activation)->LowerForward(dtype, {})
          : (*activation)->LowerBackward(dtype, (*activation)->inputs());
  ACTSERVE_FUZZ_CHECK(program.ok());
  if (program->weight > kMaxWeight) return;
  std::vector<std::string> inputs;
  for (int i = 0; i < program->num_tensor_inputs(); ++i) {
    inputs.push_back(choice / 8 % 2 == 0
                         ? testing::RandomTensor(dtype, kNumElements, 7 + i)
                         : testing::OrdinaryTensor(dtype, kNumElements, 7 + i));
  }
  std::vector<double> parameters;
  for (const Parameter& parameter : program->graph.parameters) {
    parameters.push_back(parameter.default_value);
  }
  const Rows rows = {.size = kNumElements, .stride = 1};

  const testing::Results got =
      testing::RunOnDevice(device, *program, inputs, parameters, rows);
  const testing::Results want =
      testing::RunReference(*program, inputs, parameters, rows);

  const std::string difference = testing::Difference(*program, got, want);
  if (!difference.empty()) std::fprintf(stderr, "%s\n", difference.c_str());
  ACTSERVE_FUZZ_CHECK(difference.empty());
}

}  // namespace
}  // namespace actserve
