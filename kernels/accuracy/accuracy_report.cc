// Measures every built-in on the CPU device and prints the table of
// docs/accuracy.md, or the same as JSON.

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_format.h"
#include "kernels/accuracy/accuracy.h"
#include "kernels/accuracy/goals.h"
#include "kernels/accuracy/row_accuracy.h"
#include "kernels/base/status_macros.h"
#include "kernels/catalog/catalog.h"
#include "kernels/device/cpu/cpu_device.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(int64_t, points, 20000,
          "inputs for float32 and float64, over all exponents and again "
          "within [-100, 100]; 16-bit types are measured on all 65,536");
ABSL_FLAG(std::string, activation, "", "only this one; empty: all");
ABSL_FLAG(std::string, json, "", "also write the figures to this file");

namespace actserve {
namespace {

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat64, DType::kBFloat16,
                             DType::kFloat16};

struct Measured {
  std::string_view activation;
  bool derivative;
  DType dtype;
  Accuracy accuracy;
  std::string shortfall;
};

// "1.23 (0.50)": the figure, and in parentheses that of subnormal results.
std::string Cell(const Measured& measured, bool has_root) {
  const Accuracy& a = measured.accuracy;
  std::string cell;
  if (Is16Bit(measured.dtype)) {
    cell = absl::StrFormat("%d", a.num_misrounded - a.num_near_ties);
    if (a.num_near_ties > 0) {
      cell += absl::StrFormat(" + %d ties", a.num_near_ties);
    }
  } else {
    cell = absl::StrFormat("%.2f", has_root ? a.max_term_ulp : a.max_ulp);
    if (a.max_subnormal_ulp > 0) {
      cell += absl::StrFormat(" (%.2f)", a.max_subnormal_ulp);
    }
  }
  return measured.shortfall.empty() ? cell : "**" + cell + "**";
}

void PrintTable(const std::vector<Measured>& all) {
  std::cout << "| activation | of | float32 ulp (subnormal) | float64 ulp "
               "(subnormal) | "
               "bfloat16 misrounded | float16 misrounded |\n"
               "|---|---|---|---|---|---|\n";
  for (size_t i = 0; i < all.size(); i += std::size(kDTypes)) {
    const bool has_root =
        GoalFor(all[i].activation, all[i].derivative).has_root;
    std::cout << "| " << all[i].activation << " | "
              << (all[i].derivative ? (has_root ? "f' †" : "f'") : "f");
    for (size_t j = 0; j < std::size(kDTypes); ++j) {
      std::cout << " | " << Cell(all[i + j], has_root);
    }
    std::cout << " |\n";
  }
  bool heading = false;
  for (const Measured& measured : all) {
    if (measured.shortfall.empty()) continue;
    if (!heading) std::cout << "\nFigures that miss the goal:\n\n";
    heading = true;
    std::cout << "* " << measured.activation
              << (measured.derivative ? "', " : ", ")
              << DTypeName(measured.dtype) << ": " << measured.shortfall
              << absl::StrFormat(" (worst at x = %.9g)",
                                 measured.accuracy.worst_input);
    const AccuracyException* exception =
        FindException(measured.activation, measured.derivative);
    if (exception != nullptr) std::cout << ": " << exception->reason;
    std::cout << "\n";
  }
}

// One table for each of the types: by function and length of the row, the
// largest error in ulp of the result and, after a slash, of its terms; of
// gradients the latter alone.
absl::Status PrintRowTables(Device& device, const std::string& only) {
  constexpr int64_t kSizes[] = {1, 2, 64, 1000, 32768, 1 << 20};
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    std::cout << "\n| " << DTypeName(dtype)
              << " | of | 1 | 2 | 64 | 1000 | 32768 | 1048576 |\n"
                 "|---|---|---|---|---|---|---|---|\n";
    for (const CatalogEntry& entry : Catalog()) {
      if (!only.empty() && entry.name != only) continue;
      ACTSERVE_ASSIGN_OR_RETURN(const auto activation,
                                Activation::Create(entry.text, {}, nullptr));
      if (!activation->reads_rows()) continue;
      for (const bool derivative : {false, true}) {
        std::cout << "| " << entry.name << (derivative ? " | f'" : " | f");
        for (const int64_t size : kSizes) {
          if (dtype == DType::kFloat64 && size > 32768) {
            std::cout << " | -";
            continue;
          }
          ACTSERVE_ASSIGN_OR_RETURN(
              const RowAccuracy accuracy,
              MeasureRowAccuracy(device, *activation, dtype, derivative, size));
          std::cout << " | ";
          if (!derivative)
            std::cout << absl::StrFormat("%.3g / ", accuracy.max_ulp);
          std::cout << absl::StrFormat("%.2f", accuracy.max_term_ulp);
        }
        std::cout << " |\n";
      }
    }
  }
  return absl::OkStatus();
}

void WriteJson(const std::vector<Measured>& all, const std::string& path) {
  nlohmann::json rows = nlohmann::json::array();
  for (const Measured& m : all) {
    rows.push_back({{"activation", std::string(m.activation)},
                    {"of", m.derivative ? "derivative" : "value"},
                    {"dtype", std::string(DTypeName(m.dtype))},
                    {"points", m.accuracy.num_points},
                    {"max_ulp", m.accuracy.max_ulp},
                    {"worst_input", m.accuracy.worst_input},
                    {"max_subnormal_ulp", m.accuracy.max_subnormal_ulp},
                    {"max_term_ulp", m.accuracy.max_term_ulp},
                    {"misrounded", m.accuracy.num_misrounded},
                    {"near_ties", m.accuracy.num_near_ties}});
  }
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) {
    std::cerr << "cannot write " << path << "\n";
    std::exit(1);
  }
  const std::string text = rows.dump(1) + "\n";
  std::fwrite(text.data(), 1, text.size(), file);
  std::fclose(file);
}

int Main() {
  auto device = CpuDevice::Create({});
  if (!device.ok()) {
    std::cerr << device.status() << "\n";
    return 1;
  }
  const std::string only = absl::GetFlag(FLAGS_activation);
  std::vector<Measured> all;
  for (const CatalogEntry& entry : Catalog()) {
    if (!only.empty() && entry.name != only) continue;
    auto activation = Activation::Create(entry.text, {}, nullptr);
    if (!activation.ok()) {
      std::cerr << activation.status() << "\n";
      return 1;
    }
    if ((*activation)->reads_rows() || (*activation)->draws() ||
        (*activation)->inputs().size() > 1) {
      continue;
    }
    for (bool derivative : {false, true}) {
      for (DType dtype : kDTypes) {
        auto accuracy =
            MeasureAccuracy(**device, **activation, dtype, derivative,
                            absl::GetFlag(FLAGS_points));
        if (!accuracy.ok()) {
          std::cerr << entry.name << ": " << accuracy.status() << "\n";
          return 1;
        }
        all.push_back(
            {entry.name, derivative, dtype, *accuracy,
             Shortfall(GoalFor(entry.name, derivative), dtype, *accuracy)});
      }
    }
  }
  if (!all.empty()) PrintTable(all);
  std::cout << "\n## Rows\n";
  const absl::Status rows = PrintRowTables(**device, only);
  if (!rows.ok()) {
    std::cerr << rows << "\n";
    return 1;
  }
  const std::string json = absl::GetFlag(FLAGS_json);
  if (!json.empty()) WriteJson(all, json);
  return 0;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "Measures the accuracy of every built-in activation against 320 bits.");
  absl::ParseCommandLine(argc, argv);
  return actserve::Main();
}
