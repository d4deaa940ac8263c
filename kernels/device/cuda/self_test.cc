#include "kernels/device/cuda/self_test.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"
#include "kernels/device/cuda/program/self_test_programs.h"

namespace actserve {
namespace {

constexpr int kNumElements = 300;  // more than a block's threads

// The 4 bytes of `value` in float32, or the upper 2 in bfloat16.
void Store(float value, int64_t item_size_bytes, std::byte* to) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t stored = item_size_bytes == 2 ? bits >> 16 : bits;
  std::memcpy(to, &stored, item_size_bytes);
}

float Loaded(int64_t item_size_bytes, const std::byte* from) {
  uint32_t bits = 0;
  std::memcpy(&bits, from, item_size_bytes);
  return std::bit_cast<float>(item_size_bytes == 2 ? bits << 16 : bits);
}

absl::Status Test(const LoweredProgram& lowered, Device& device) {
  ACTSERVE_ASSIGN_OR_RETURN(std::shared_ptr<const Program> program,
                            device.Compile(lowered));
  const int64_t item_size_bytes = ItemSizeBytes(lowered.storage);
  std::vector<std::byte> in(kNumElements * item_size_bytes);
  std::vector<std::byte> out(in.size());
  // Small integers: exact in both types.
  const auto x = [](int i) { return static_cast<float>(i % 120 - 50); };
  for (int i = 0; i < kNumElements; ++i) {
    Store(x(i), item_size_bytes, &in[i * item_size_bytes]);
  }
  const std::vector<Fragment> fragments = {{in.data(), in.size()}};
  WorkItem item;
  item.inputs = {fragments};
  item.outputs = {out.data()};
  item.num_elements = kNumElements;
  ACTSERVE_RETURN_IF_ERROR(device.Run(*program, absl::MakeSpan(&item, 1)));
  for (int i = 0; i < kNumElements; ++i) {
    const float y = Loaded(item_size_bytes, &out[i * item_size_bytes]);
    if (y != 1 - x(i)) {
      return absl::InternalError(absl::StrCat(
          "1 - ", x(i), " in ", std::string(DTypeName(lowered.storage)), " is ",
          y, " (element ", i, ")"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SelfTest(Device& device) {
  for (const LoweredProgram& lowered : SelfTestPrograms()) {
    if (absl::Status status = Test(lowered, device); !status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat(device.name(), " fails its self-test: ",
                                       status.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace actserve
