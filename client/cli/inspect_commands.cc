// The commands that tell about activations: list and show ask a server if they
// are given its address, or an id; check never does.

#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/array.h"
#include "client/cli/commands.h"
#include "client/cli/describe.h"
#include "client/cli/programs.h"
#include "client/cli/read_file.h"
#include "client/cli/text_file.h"
#include "client/cpp/client.h"
#include "kernels/accuracy/accuracy.h"
#include "kernels/accuracy/row_accuracy.h"
#include "kernels/activation/activation.h"
#include "kernels/activation/description.h"
#include "kernels/base/status_macros.h"
#include "kernels/catalog/catalog.h"
#include "kernels/device/cpu/cpu_device.h"

namespace actserve {
namespace {

// Compiles every program of `activation` in `dtype` for this machine.
absl::Status CompileAll(const Activation& activation, DType dtype,
                        Device& device) {
  ACTSERVE_ASSIGN_OR_RETURN(const auto programs, LowerAll(activation, dtype));
  for (const LoweredProgram& lowered : programs) {
    ACTSERVE_RETURN_IF_ERROR(device.Compile(lowered).status());
  }
  return absl::OkStatus();
}

// "1.85 ulp" or, of a 16-bit type, "0 misrounded".
std::string AccuracyCell(DType dtype, const Accuracy& accuracy) {
  if (Is16Bit(dtype)) {
    return absl::StrCat(accuracy.num_misrounded - accuracy.num_near_ties,
                        " misrounded");
  }
  return absl::StrFormat("%.2f ulp", accuracy.max_term_ulp);
}

absl::StatusOr<std::string> RowAccuracyText(const Activation& activation) {
  constexpr int64_t kRowSize = 1000;
  ACTSERVE_ASSIGN_OR_RETURN(const auto device, CpuDevice::Create({}));
  std::string text =
      absl::StrCat("accuracy on ", device->description(), ", rows of ",
                   kRowSize, ", largest error against 320 bits:\n");
  for (const bool derivative : {false, true}) {
    absl::StrAppend(&text, derivative ? "  gradient:" : "  value:   ");
    for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
      ACTSERVE_ASSIGN_OR_RETURN(
          const RowAccuracy accuracy,
          MeasureRowAccuracy(*device, activation, dtype, derivative, kRowSize));
      absl::StrAppend(
          &text, dtype == DType::kFloat32 ? " " : ", ",
          std::string(DTypeName(dtype)),
          absl::StrFormat(" %.2f ulp of the terms", accuracy.max_term_ulp));
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

// Measures an activation of one input on this machine. A few hundred points
// of float32 and float64 take a second or two; docs/accuracy.md has more.
absl::StatusOr<std::string> AccuracyText(const Activation& activation) {
  if (activation.reads_rows()) return RowAccuracyText(activation);
  constexpr int64_t kNumPoints = 500;
  ACTSERVE_ASSIGN_OR_RETURN(const auto device, CpuDevice::Create({}));
  std::string text = absl::StrCat("accuracy on ", device->description(),
                                  ", largest error against 320 bits:\n");
  for (const bool derivative : {false, true}) {
    absl::StrAppend(&text, derivative ? "  gradient:" : "  value:   ");
    for (const DType dtype : {DType::kFloat32, DType::kFloat64,
                              DType::kBFloat16, DType::kFloat16}) {
      ACTSERVE_ASSIGN_OR_RETURN(
          const Accuracy accuracy,
          MeasureAccuracy(*device, activation, dtype, derivative, kNumPoints,
                          /*trust_float64=*/true));
      absl::StrAppend(&text, dtype == DType::kFloat32 ? " " : ", ",
                      std::string(DTypeName(dtype)), " ",
                      AccuracyCell(dtype, accuracy));
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

absl::StatusOr<std::vector<ActivationDescription>> ListBuiltins() {
  std::vector<ActivationDescription> builtins;
  for (const CatalogEntry& entry : Catalog()) {
    ACTSERVE_ASSIGN_OR_RETURN(const auto activation,
                              Activation::Create(entry.text, {}, nullptr));
    builtins.push_back(Summarize(*activation));
  }
  return builtins;
}

// Compiles `text`, which `name` names, and prints what it is and how accurate.
absl::Status ShowText(const std::string& name, const std::string& text) {
  const auto activation = CreateActivation(text, {});
  if (!activation.ok()) return DoesNotCompile(name);
  std::cout << DescriptionText(Describe(**activation));
  if ((*activation)->inputs().size() != 1 || (*activation)->reads_rows() ||
      (*activation)->draws()) {
    return absl::OkStatus();
  }
  ACTSERVE_ASSIGN_OR_RETURN(const std::string accuracy,
                            AccuracyText(**activation));
  std::cout << "\n" << accuracy;
  return absl::OkStatus();
}

}  // namespace

absl::Status List(const ServerFlags& server) {
  if (server.address.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(const auto builtins, ListBuiltins());
    for (const ActivationDescription& builtin : builtins) {
      std::cout << Signature(builtin) << "\n";
    }
    return absl::OkStatus();
  }
  ACTSERVE_ASSIGN_OR_RETURN(const auto client, ConnectTo(server));
  ACTSERVE_ASSIGN_OR_RETURN(const auto activations, client->ListActivations());
  for (const v1::Activation& activation : activations) {
    std::cout << Signature(FromMessage(activation));
    if (!activation.builtin()) std::cout << "  " << activation.id();
    std::cout << "\n";
  }
  return absl::OkStatus();
}

absl::Status Show(const ServerFlags& server, const std::string& activation) {
  if (IsTextFile(activation)) {
    ACTSERVE_ASSIGN_OR_RETURN(const std::string text, ReadFile(activation));
    return ShowText(activation, text);
  }
  const CatalogEntry* const builtin = FindInCatalog(activation);
  if (builtin != nullptr && server.address.empty()) {
    return ShowText(activation, std::string(builtin->text));
  }
  ACTSERVE_ASSIGN_OR_RETURN(const auto client, ConnectTo(server));
  ACTSERVE_ASSIGN_OR_RETURN(const v1::Activation found,
                            client->GetActivation(activation));
  std::cout << DescriptionText(FromMessage(found));
  return absl::OkStatus();
}

absl::Status Check(const TextFlags& flags) {
  ACTSERVE_ASSIGN_OR_RETURN(const ActivationPtr activation,
                            CreateActivation(flags));
  ACTSERVE_ASSIGN_OR_RETURN(const auto device, CpuDevice::Create({}));
  const absl::Time start = absl::Now();
  for (const DType dtype :
       {DType::kFloat16, DType::kBFloat16, DType::kFloat32, DType::kFloat64}) {
    ACTSERVE_RETURN_IF_ERROR(CompileAll(*activation, dtype, *device));
  }
  std::cout << Signature(Summarize(*activation)) << "\n"
            << activation->id() << "\n"
            << "forward and gradient compile on " << device->description()
            << " in float16, bfloat16, float32 and float64, together in "
            << absl::ToInt64Milliseconds(absl::Now() - start) << " ms\n";
  return absl::OkStatus();
}

}  // namespace actserve
