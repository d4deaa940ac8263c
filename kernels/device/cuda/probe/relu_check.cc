#include "kernels/device/cuda/probe/relu_check.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "kernels/activation/activation.h"
#include "kernels/base/status_macros.h"
#include "kernels/catalog/catalog.h"

namespace actserve {

std::vector<float> ReluInputs() {
  std::vector<float> inputs(kReluElements);
  for (int i = 0; i < kReluElements; ++i) {
    inputs[i] = 0.25f * static_cast<float>(i) - 0.125f * kReluElements;
  }
  return inputs;
}

void CheckReluOutputs(const std::vector<float>& outputs, ProbeRow& row) {
  const std::vector<float> inputs = ReluInputs();
  int num_wrong = 0;
  for (int i = 0; i < kReluElements; ++i) {
    const float want = std::max(0.0f, inputs[i]);
    num_wrong +=
        std::bit_cast<uint32_t>(want) != std::bit_cast<uint32_t>(outputs[i]);
  }
  if (num_wrong > 0) {
    row.Fail(absl::StrCat(num_wrong, " of ", kReluElements,
                          " results are not relu's"));
  }
}

absl::StatusOr<LoweredProgram> LowerRelu() {
  const CatalogEntry* const entry = FindInCatalog("relu");
  if (entry == nullptr) return absl::InternalError("no built-in is named relu");
  ACTSERVE_ASSIGN_OR_RETURN(
      std::shared_ptr<const Activation> activation,
      Activation::Create(entry->text, Activation::Options(), nullptr));
  return activation->LowerForward(DType::kFloat32, {});
}

absl::StatusOr<std::vector<float>> RunRelu(CudaDevice& device) {
  ACTSERVE_ASSIGN_OR_RETURN(const LoweredProgram lowered, LowerRelu());
  ACTSERVE_ASSIGN_OR_RETURN(std::shared_ptr<const Program> program,
                            device.Compile(lowered));
  const std::vector<float> inputs = ReluInputs();
  std::vector<float> outputs(kReluElements);
  const Fragment fragment{reinterpret_cast<const std::byte*>(inputs.data()),
                          kReluElements * sizeof(float)};
  WorkItem item;
  item.inputs = {absl::MakeConstSpan(&fragment, 1)};
  item.outputs = {reinterpret_cast<std::byte*>(outputs.data())};
  item.num_elements = kReluElements;
  ACTSERVE_RETURN_IF_ERROR(device.Run(*program, absl::MakeSpan(&item, 1)));
  return outputs;
}

}  // namespace actserve
