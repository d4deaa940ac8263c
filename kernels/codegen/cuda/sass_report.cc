// Reports what NVRTC makes of the catalog, for every architecture, as Markdown:
// see scripts/check_sass. Ends with 1 if a program does not compile, spills or
// takes more registers than it may.

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/codegen/cuda/nvrtc.h"
#include "kernels/codegen/cuda/testing/catalog_programs.h"
#include "kernels/codegen/cuda/testing/sass_checks.h"

namespace actserve {
namespace {

using testing::CatalogProgram;
using testing::CatalogPrograms;
using testing::InstructionCount;
using testing::KernelFacts;

constexpr DType kDTypes[] = {DType::kFloat16, DType::kBFloat16, DType::kFloat32,
                             DType::kFloat64};
constexpr int kCountedArchitecture = 90;

// Calls `work(i)` for all i below `count` on as many threads.
template <typename Work>
void ForEach(int num_threads, size_t count, const Work& work) {
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < num_threads; ++t) {
    threads.emplace_back([&] {
      for (size_t i = next++; i < count; i = next++) work(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

std::vector<CatalogProgram> AllPrograms() {
  std::vector<CatalogProgram> all;
  for (const DType dtype : kDTypes) {
    for (CatalogProgram& program : CatalogPrograms(dtype)) {
      all.push_back(std::move(program));
    }
  }
  return all;
}

// The checks of one architecture.
struct Limits {
  int programs = 0;
  // By compute type and entry: the most of any program.
  std::map<std::string, int> registers;
  std::vector<std::string> violations;
};

Limits CheckAll(const Nvrtc& nvrtc, int architecture, int num_threads) {
  const std::vector<CatalogProgram> programs = AllPrograms();
  Limits limits;
  std::mutex mutex;
  ForEach(num_threads, programs.size(), [&](size_t i) {
    const CatalogProgram& test = programs[i];
    const auto facts = testing::CompileFacts(nvrtc, test.program, architecture);
    const std::string violation = facts.ok()
                                      ? testing::Violation(test.program, *facts)
                                      : facts.status().ToString();
    const std::lock_guard<std::mutex> lock(mutex);
    ++limits.programs;
    if (!violation.empty()) {
      limits.violations.push_back(absl::StrCat("sm_", architecture, ": ",
                                               test.name(), ": ", violation));
    }
    if (!facts.ok()) return;
    for (const auto& [entry, kernel] : *facts) {
      const LaunchLayout layout(test.program);
      const bool sums = layout.num_sums() > 0;
      const std::string key =
          absl::StrCat(std::string(DTypeName(test.program.storage)), " ",
                       sums ? "with sums: " : "", entry);
      int& most = limits.registers[key];
      most = std::max(most, kernel.registers);
    }
  });
  return limits;
}

std::string Cell(const absl::StatusOr<InstructionCount>& count) {
  return count.ok() ? absl::StrFormat(" %.1f / %.1f |", count->ptx, count->sass)
                    : std::string(" failed |");
}

struct Counted {
  const CatalogProgram* program;
  KernelEntry entry;
  absl::StatusOr<InstructionCount> count = InstructionCount{};
};

void CountAll(const Nvrtc& nvrtc, int num_threads,
              std::vector<Counted>& counted) {
  ForEach(num_threads, counted.size(), [&](size_t i) {
    counted[i].count =
        testing::CountInstructions(nvrtc, counted[i].program->program,
                                   counted[i].entry, kCountedArchitecture);
  });
}

void PrintRegisters(const std::vector<int>& architectures,
                    const std::vector<Limits>& limits) {
  std::set<std::string> keys;
  for (const Limits& of : limits) {
    for (const auto& [key, registers] : of.registers) keys.insert(key);
  }
  std::printf("| type, entry |");
  for (const int architecture : architectures) {
    std::printf(" sm_%d |", architecture);
  }
  std::printf("\n|---|");
  for (size_t i = 0; i < limits.size(); ++i) std::printf("---|");
  std::printf("\n");
  for (const std::string& key : keys) {
    std::printf("| %s |", key.c_str());
    for (const Limits& of : limits) {
      // A compiler may leave a subroutine of its own in one of them.
      const auto found = of.registers.find(key);
      if (found == of.registers.end()) {
        std::printf(" |");
      } else {
        std::printf(" %d |", found->second);
      }
    }
    std::printf("\n");
  }
}

// One row an activation; computed programs of single elements only.
void PrintComputed(const Nvrtc& nvrtc, int num_threads) {
  constexpr const char* kDirections[] = {"forward", "backward"};
  std::vector<std::vector<CatalogProgram>> programs;
  std::vector<Counted> counted;
  std::string head = "| activation |";
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    programs.push_back(CatalogPrograms(dtype));
  }
  std::map<std::string, std::string> rows;
  for (const char* direction : kDirections) {
    for (const std::vector<CatalogProgram>& of_type : programs) {
      for (const CatalogProgram& program : of_type) {
        if (program.direction == direction &&
            !program.program.graph.HasRows()) {
          counted.push_back({&program, KernelEntry::kRun});
        }
      }
      absl::StrAppend(&head, " ",
                      std::string(DTypeName(of_type[0].program.storage)), " ",
                      direction, " |");
    }
  }
  CountAll(nvrtc, num_threads, counted);
  for (const Counted& one : counted) {
    absl::StrAppend(&rows[one.program->activation], Cell(one.count));
  }
  std::printf("%s\n|---|---|---|---|---|\n| budget |", head.c_str());
  for (const char* direction : kDirections) {
    for (const std::vector<CatalogProgram>& of_type : programs) {
      for (const CatalogProgram& program : of_type) {
        // The budget of a function of one input.
        if (program.direction != direction || program.activation != "relu") {
          continue;
        }
        std::printf(" %.0f |", testing::IssueBudget(program.program));
      }
    }
  }
  std::printf("\n");
  for (const auto& [activation, cells] : rows) {
    std::printf("| %s |%s\n", activation.c_str(), cells.c_str());
  }
}

// Looking up is the same for every activation.
void PrintLookups(const Nvrtc& nvrtc, int num_threads) {
  std::printf(
      "| 16-bit, by table | budget | table in global memory | in shared "
      "memory |\n|---|---|---|---|\n");
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    for (const CatalogProgram& program : CatalogPrograms(dtype)) {
      if (program.activation != "gelu") continue;
      std::vector<Counted> counted = {{&program, KernelEntry::kRun},
                                      {&program, KernelEntry::kRunShared}};
      CountAll(nvrtc, num_threads, counted);
      std::printf(
          "| %s %s | %.0f |%s%s\n", std::string(DTypeName(dtype)).c_str(),
          program.direction.c_str(), testing::IssueBudget(program.program),
          Cell(counted[0].count).c_str(), Cell(counted[1].count).c_str());
    }
  }
}

// Gradients with respect to parameters, summed.
void PrintSums(const Nvrtc& nvrtc, int num_threads) {
  std::map<std::string, std::string> rows;
  std::string head = "| activation |";
  std::string rule = "|---|";
  for (const DType dtype : kDTypes) {
    absl::StrAppend(&head, " ", std::string(DTypeName(dtype)), " |");
    absl::StrAppend(&rule, "---|");
    const std::vector<CatalogProgram> programs = CatalogPrograms(dtype);
    std::vector<Counted> counted;
    for (const CatalogProgram& program : programs) {
      const LaunchLayout layout(program.program);
      if (layout.num_sums() > 0 && !layout.has_rows()) {
        counted.push_back({&program, KernelEntry::kRun});
      }
    }
    CountAll(nvrtc, num_threads, counted);
    for (const Counted& one : counted) {
      absl::StrAppend(&rows[one.program->activation], Cell(one.count));
    }
  }
  std::printf("%s\n%s\n", head.c_str(), rule.c_str());
  for (const auto& [activation, cells] : rows) {
    std::printf("| %s |%s\n", activation.c_str(), cells.c_str());
  }
}

int Main(int argc, char** argv) {
  // Architectures as a list, then the number of threads.
  std::vector<int> architectures;
  for (absl::string_view word :
       absl::StrSplit(argc > 1 ? argv[1] : "75,80,86,89,90,100,120", ',')) {
    int architecture = 0;
    if (!absl::SimpleAtoi(word, &architecture)) {
      std::fprintf(stderr, "usage: %s [75,90,...] [threads]\n", argv[0]);
      return 2;
    }
    architectures.push_back(architecture);
  }
  const int num_threads = std::max(argc > 2 ? std::atoi(argv[2]) : 1, 1);
  const auto nvrtc = Nvrtc::Open();
  if (!nvrtc.ok()) {
    std::fprintf(stderr, "%s\n", std::string(nvrtc.status().message()).c_str());
    return 2;
  }

  std::vector<Limits> limits;
  bool is_clean = true;
  for (const int architecture : architectures) {
    std::fprintf(stderr, "sm_%d\n", architecture);
    limits.push_back(CheckAll(**nvrtc, architecture, num_threads));
    for (const std::string& violation : limits.back().violations) {
      std::fprintf(stderr, "%s\n", violation.c_str());
      is_clean = false;
    }
  }
  std::printf(
      "NVRTC %s, options `%s`.\n\n"
      "### Registers\n\n"
      "%d programs of the catalog (each activation forward, with partials, "
      "backward, and\nbackward with its parameters, in four types) on each "
      "architecture: %s.\nThe most registers of any of them, by entry "
      "(kernels/codegen/cuda/launch.h):\n\n",
      (*nvrtc)->version().c_str(), Nvrtc::options().c_str(), limits[0].programs,
      is_clean ? "all compile, none spills, none is over its limit"
               : "NOT all keep to the limits");
  PrintRegisters(architectures, limits);
  std::printf("\n### Instructions of an element, sm_%d\n\n",
              kCountedArchitecture);
  std::printf(
      "PTX / SASS, by the growth of the code from one vector a thread to "
      "four.\n\n");
  PrintComputed(**nvrtc, num_threads);
  std::printf("\n");
  PrintLookups(**nvrtc, num_threads);
  std::printf("\nWith the gradients of the parameters, summed:\n\n");
  PrintSums(**nvrtc, num_threads);
  return is_clean ? 0 : 1;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
