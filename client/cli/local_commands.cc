// The commands that need no server.

#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/array.h"
#include "client/cli/commands.h"
#include "client/cli/describe.h"
#include "client/cli/programs.h"
#include "client/cli/text_file.h"
#include "client/cpp/client.h"
#include "kernels/accuracy/accuracy.h"
#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/device/cpu/cpu_device.h"

namespace actserve {
namespace {

// Compiles every program of `activation` in `dtype` for this machine.
absl::Status CompileAll(const Activation& activation, DType dtype,
                        Device& device) {
  const auto programs = LowerAll(activation, dtype);
  if (!programs.ok()) return programs.status();
  for (const LoweredProgram& lowered : *programs) {
    const auto program = device.Compile(lowered);
    if (!program.ok()) return program.status();
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

// Measures an activation of one input on this machine. A few hundred points
// of float32 and float64 take a second or two; docs/accuracy.md has more.
absl::StatusOr<std::string> AccuracyText(const Activation& activation) {
  constexpr int64_t kNumPoints = 500;
  auto device = CpuDevice::Create({});
  if (!device.ok()) return device.status();
  std::string text = absl::StrCat("accuracy on ", (*device)->description(),
                                  ", largest error against 320 bits:\n");
  for (const bool derivative : {false, true}) {
    absl::StrAppend(&text, derivative ? "  gradient:" : "  value:   ");
    for (const DType dtype : {DType::kFloat32, DType::kFloat64,
                              DType::kBFloat16, DType::kFloat16}) {
      const auto accuracy =
          MeasureAccuracy(**device, activation, dtype, derivative, kNumPoints,
                          /*trust_float64=*/true);
      if (!accuracy.ok()) return accuracy.status();
      absl::StrAppend(&text, dtype == DType::kFloat32 ? " " : ", ",
                      std::string(DTypeName(dtype)), " ",
                      AccuracyCell(dtype, *accuracy));
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

}  // namespace

absl::Status List(const ServerFlags& server) {
  std::vector<v1::Activation> activations;
  if (server.address.empty()) {
    for (const CatalogEntry& entry : Catalog()) {
      auto activation = Activation::Create(entry.text, {}, nullptr);
      if (!activation.ok()) return activation.status();
      activations.push_back(Describe(**activation, true));
    }
  } else {
    auto client = ConnectTo(server);
    if (!client.ok()) return client.status();
    auto list = (*client)->List();
    if (!list.ok()) return list.status();
    activations = *std::move(list);
  }
  for (const v1::Activation& activation : activations) {
    std::cout << Signature(activation);
    if (!activation.builtin()) std::cout << "  " << activation.id();
    std::cout << "\n";
  }
  return absl::OkStatus();
}

absl::Status Show(const ServerFlags& server, const std::string& activation) {
  const CatalogEntry* builtin = FindInCatalog(activation);
  const bool is_file = IsTextFile(activation);
  if (is_file || (builtin != nullptr && server.address.empty())) {
    std::string text;
    if (is_file) {
      auto read = ReadTextFile(activation);
      if (!read.ok()) return read.status();
      text = *std::move(read);
    } else {
      text = std::string(builtin->text);
    }
    const auto created = CreateActivation(text, {});
    if (!created.ok()) return DoesNotCompile(activation);
    std::cout << DescriptionText(Describe(**created, !is_file));
    if ((*created)->inputs().size() != 1) return absl::OkStatus();
    const auto accuracy = AccuracyText(**created);
    if (!accuracy.ok()) return accuracy.status();
    std::cout << "\n" << *accuracy;
    return absl::OkStatus();
  }
  auto client = ConnectTo(server);
  if (!client.ok()) return client.status();
  const auto found = (*client)->Get(activation);
  if (!found.ok()) return found.status();
  std::cout << DescriptionText(*found);
  return absl::OkStatus();
}

absl::Status Check(const TextFlags& flags) {
  const auto activation = CreateActivation(flags);
  if (!activation.ok()) return activation.status();
  for (const Parameter& parameter : (*activation)->parameters()) {
    const auto gradient = (*activation)->GradientText(parameter.name);
    if (!gradient.ok()) return gradient.status();
  }
  auto device = CpuDevice::Create({});
  if (!device.ok()) return device.status();
  const absl::Time start = absl::Now();
  for (const DType dtype :
       {DType::kFloat16, DType::kBFloat16, DType::kFloat32, DType::kFloat64}) {
    const absl::Status status = CompileAll(**activation, dtype, **device);
    if (!status.ok()) return status;
  }
  std::cout << Signature(Describe(**activation, false)) << "\n"
            << (*activation)->id() << "\n"
            << "forward and gradient compile on " << (*device)->description()
            << " in float16, bfloat16, float32 "
            << "and float64, together in "
            << absl::ToInt64Milliseconds(absl::Now() - start) << " ms\n";
  return absl::OkStatus();
}

}  // namespace actserve
