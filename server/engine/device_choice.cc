#include "server/engine/device_choice.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

constexpr absl::string_view kAuto = "auto";
constexpr absl::string_view kCpu = "cpu";

// The N of "cuda:N".
std::optional<int> CudaOrdinal(absl::string_view wanted) {
  int ordinal = 0;
  if (!absl::ConsumePrefix(&wanted, "cuda:") || wanted.empty() ||
      !absl::ascii_isdigit(wanted[0]) || !absl::SimpleAtoi(wanted, &ordinal)) {
    return std::nullopt;
  }
  return ordinal;
}

absl::StatusOr<ChosenDevice> Choose(DeviceMakers::Made device,
                                    std::string reason,
                                    bool computes_on_caller) {
  if (!device.ok()) return device.status();
  return ChosenDevice{*std::move(device), std::move(reason),
                      computes_on_caller};
}

}  // namespace

absl::Status ValidateDevice(absl::string_view wanted) {
  if (wanted == kAuto || wanted == kCpu || CudaOrdinal(wanted).has_value()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("device: ", wanted, " is none of auto, cpu, cuda:N"));
}

absl::StatusOr<ChosenDevice> ChooseDevice(absl::string_view wanted,
                                          const DeviceMakers& makers) {
  ACTSERVE_RETURN_IF_ERROR(ValidateDevice(wanted));
  const std::string as_asked = absl::StrCat("--device=", wanted);
  if (wanted == kCpu) return Choose(makers.cpu(), as_asked, true);
  if (const auto ordinal = CudaOrdinal(wanted)) {
    return Choose(makers.cuda(*ordinal), as_asked, false);
  }
  auto gpu = makers.cuda(0);
  if (gpu.ok()) {
    return Choose(std::move(gpu), "auto: the first GPU can be used", false);
  }
  return Choose(makers.cpu(), absl::StrCat("auto: ", gpu.status().message()),
                true);
}

}  // namespace actserve
