#include "kernels/device/cuda/benchmark/kernel_report.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace actserve {
namespace {

// From this size of a tensor on a kernel has to reach its goal.
constexpr int64_t kGoalBytes = int64_t{1} << 30;
constexpr double kFirstResultMs = 250;
constexpr double kFromDiskMs = 5;

// Functions that compute next to nothing: memory bounds them in any type.
constexpr std::array kCheap = {"relu", "spiky", "prelu"};
// Functions that must be faster than PyTorch's by a factor, in bfloat16.
constexpr std::array kAhead = {"softplus", "elu", "mish", "prelu"};

template <typename All, typename One>
bool IsAmong(const All& all, const One& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

// Share of the ceiling; 0: no goal.
double GoalOf(const KernelTime& kernel) {
  if (kernel.direction == Direction::kGradientWithParameters) return 0;
  if (kernel.dtype == DType::kFloat32) return 0.95;
  if (Is16Bit(kernel.dtype)) return 0.90;
  return IsAmong(kCheap, kernel.function) ? 0.95 : 0;
}

// Multiple of PyTorch's speed.
double PyTorchGoalOf(const KernelTime& kernel) {
  const bool ahead = kernel.dtype == DType::kBFloat16 &&
                     kernel.direction != Direction::kGradientWithParameters &&
                     IsAmong(kAhead, kernel.function);
  return ahead ? 1.5 : 1;
}

const char* TableName(TablePlace table) {
  switch (table) {
    case TablePlace::kNone:
      return "none";
    case TablePlace::kGlobal:
      return "global";
    case TablePlace::kShared:
      return "shared";
  }
  return "";
}

std::string SizeName(int64_t bytes) {
  if (bytes < 1 << 20) return absl::StrCat(bytes >> 10, " KiB");
  if (bytes < 1 << 30) return absl::StrCat(bytes >> 20, " MiB");
  return absl::StrCat(bytes >> 30, " GiB");
}

const char* Verdict(bool reached) { return reached ? "reached" : "missed"; }

// Looks measurements up.
class Finder {
 public:
  explicit Finder(const KernelReport& report) : report_(report) {}

  // The fastest of the kernels that `wanted` accepts; null if none.
  template <typename Wanted>
  static const KernelTime* Fastest(const std::vector<KernelTime>& times,
                                   const Wanted& wanted) {
    const KernelTime* fastest = nullptr;
    for (const KernelTime& time : times) {
      if (!wanted(time)) continue;
      if (fastest == nullptr || time.time.median < fastest->time.median) {
        fastest = &time;
      }
    }
    return fastest;
  }

  // The speed that memory allows: measured beside kernels of the same dtype, by
  // a kernel of ours that moves as many tensors.
  const KernelTime* Ceiling(DType dtype, int num_tensors,
                            int64_t tensor_bytes) const {
    return Fastest(report_.ceilings, [&](const KernelTime& time) {
      return time.dtype == dtype && time.num_tensors == num_tensors &&
             time.tensor_bytes == tensor_bytes && time.function != "memcpy";
    });
  }

  double Share(const KernelTime& kernel) const {
    const KernelTime* const ceiling =
        Ceiling(kernel.dtype, kernel.num_tensors, kernel.tensor_bytes);
    return ceiling == nullptr ? 0 : ceiling->time.median / kernel.time.median;
  }

  // The best way to run a kernel.
  const KernelTime* Best(const std::string& function, Direction direction,
                         DType dtype, int64_t tensor_bytes) const {
    return Fastest(report_.kernels, [&](const KernelTime& time) {
      return Is(time, function, direction, dtype) &&
             time.tensor_bytes == tensor_bytes;
    });
  }
  const KernelTime* Best(const KernelTime& like, TablePlace table) const {
    return Fastest(report_.kernels, [&](const KernelTime& time) {
      return IsSame(time, like) && time.table == table;
    });
  }

  // Returns whether both are of one kernel at one size.
  static bool IsSame(const KernelTime& a, const KernelTime& b) {
    return Is(a, b.function, b.direction, b.dtype) &&
           a.tensor_bytes == b.tensor_bytes;
  }

  // How many times PyTorch's speed `kernel` has; nothing if it was not timed.
  std::optional<double> OfPyTorch(const KernelTime& kernel) const {
    for (const PyTorchTime& time : report_.pytorch) {
      if (time.function == kernel.function &&
          time.direction == DirectionName(kernel.direction) &&
          time.dtype == DTypeName(kernel.dtype) &&
          time.tensor_bytes == kernel.tensor_bytes) {
        return time.seconds / kernel.time.median;
      }
    }
    return std::nullopt;
  }

  // Ascending.
  std::vector<int64_t> Sizes() const {
    std::set<int64_t> sizes;
    for (const KernelTime& time : report_.kernels) {
      sizes.insert(time.tensor_bytes);
    }
    return {sizes.begin(), sizes.end()};
  }
  // The time of a function of rows; null if there is none.
  const KernelTime* OfRows(const KernelTime& like, const std::string& function,
                           Direction direction, DType dtype) const {
    return Fastest(report_.rows, [&](const KernelTime& time) {
      return Is(time, function, direction, dtype) &&
             time.row_size == like.row_size &&
             time.row_stride == like.row_stride;
    });
  }

  // In the order in which they were measured.
  std::vector<std::string> Functions(Direction direction, DType dtype) const {
    std::vector<std::string> names;
    for (const KernelTime& time : report_.kernels) {
      if (time.direction == direction && time.dtype == dtype &&
          !IsAmong(names, time.function)) {
        names.push_back(time.function);
      }
    }
    return names;
  }

 private:
  static bool Is(const KernelTime& time, const std::string& function,
                 Direction direction, DType dtype) {
    return time.function == function && time.direction == direction &&
           time.dtype == dtype;
  }

  const KernelReport& report_;
};

// One figure to reach.
struct Goal {
  std::string what;
  double goal = 0;
  double found = 0;
  bool less_is_better = false;
  bool Reached() const {
    return less_is_better ? found <= goal : found >= goal;
  }
};

std::string NameOf(const KernelTime& kernel) {
  return absl::StrCat(kernel.function, ", ", DirectionName(kernel.direction),
                      ", ", std::string(DTypeName(kernel.dtype)), ", ",
                      SizeName(kernel.tensor_bytes));
}

// The best way of each kernel that is large enough to have a goal.
std::vector<const KernelTime*> LargeKernels(const KernelReport& report,
                                            const Finder& finder) {
  std::vector<const KernelTime*> best;
  for (const KernelTime& kernel : report.kernels) {
    if (kernel.tensor_bytes < kGoalBytes) continue;
    const KernelTime* const candidate = finder.Best(
        kernel.function, kernel.direction, kernel.dtype, kernel.tensor_bytes);
    if (!IsAmong(best, candidate)) best.push_back(candidate);
  }
  return best;
}

std::vector<Goal> GoalsOf(const KernelReport& report) {
  const Finder finder(report);
  std::vector<Goal> goals;
  for (const KernelTime* kernel : LargeKernels(report, finder)) {
    if (GoalOf(*kernel) > 0) {
      goals.push_back({absl::StrCat(NameOf(*kernel), ": of the ceiling"),
                       GoalOf(*kernel), finder.Share(*kernel), false});
    }
    if (const auto ratio = finder.OfPyTorch(*kernel)) {
      goals.push_back({absl::StrCat(NameOf(*kernel), ": of PyTorch's speed"),
                       PyTorchGoalOf(*kernel), *ratio, false});
    }
  }
  const FirstResults& first = report.first_results;
  if (first.cold_ms >= 0) {
    goals.push_back({"first result of a new function, ms", kFirstResultMs,
                     first.cold_ms, true});
  }
  if (first.disk_ms >= 0) {
    goals.push_back(
        {"first result from disk, ms", kFromDiskMs, first.disk_ms, true});
  }
  return goals;
}

nlohmann::json ToJson(const KernelTime& kernel) {
  return {{"function", kernel.function},
          {"direction", DirectionName(kernel.direction)},
          {"dtype", std::string(DTypeName(kernel.dtype))},
          {"tensor_bytes", kernel.tensor_bytes},
          {"num_tensors", kernel.num_tensors},
          {"table", TableName(kernel.table)},
          {"streaming", kernel.streaming},
          {"vectors", kernel.vectors},
          {"row_size", kernel.row_size},
          {"row_stride", kernel.row_stride},
          {"seconds", kernel.time.median},
          {"least_seconds", kernel.time.least},
          {"most_seconds", kernel.time.most},
          {"calls_in_block", kernel.time.calls_in_block},
          {"bytes_per_second", kernel.bytes_per_second()}};
}

// "0.97", or with what it should have been.
std::string Cell(double value, double goal) {
  return goal > 0 && value < goal
             ? absl::StrFormat("**%.2f** < %.2f", value, goal)
             : absl::StrFormat("%.2f", value);
}

// Kernels down, sizes across.
std::string ShareTable(const Finder& finder, Direction direction, DType dtype) {
  const std::vector<std::string> functions = finder.Functions(direction, dtype);
  if (functions.empty()) return "";
  const std::vector<int64_t> sizes = finder.Sizes();
  const int num_tensors = direction == Direction::kForward ? 2 : 3;
  std::string text = absl::StrCat("**", DirectionName(direction), ", ",
                                  std::string(DTypeName(dtype)), "**\n\n| |");
  std::string rule = "|---|";
  std::string ceilings =
      absl::StrCat("| *", num_tensors == 2 ? "copy" : "triad", ", TB/s* |");
  for (const int64_t size : sizes) {
    absl::StrAppend(&text, " ", SizeName(size), " |");
    rule += "---|";
    const KernelTime* const ceiling = finder.Ceiling(dtype, num_tensors, size);
    absl::StrAppend(
        &ceilings, " ",
        ceiling == nullptr
            ? std::string()
            : absl::StrFormat("%.3f", ceiling->bytes_per_second() / 1e12),
        " |");
  }
  absl::StrAppend(&text, " of PyTorch's speed |\n", rule, "---|\n", ceilings,
                  " |\n");
  for (const std::string& function : functions) {
    absl::StrAppend(&text, "| ", function, " |");
    std::vector<std::string> ratios;
    for (const int64_t size : sizes) {
      const KernelTime* const kernel =
          finder.Best(function, direction, dtype, size);
      if (kernel == nullptr) {
        text += " |";
        continue;
      }
      const bool large = size >= kGoalBytes;
      absl::StrAppend(&text, " ",
                      Cell(finder.Share(*kernel), large ? GoalOf(*kernel) : 0),
                      " |");
      if (const auto ratio = finder.OfPyTorch(*kernel)) {
        ratios.push_back(
            absl::StrCat(Cell(*ratio, large ? PyTorchGoalOf(*kernel) : 0), " (",
                         SizeName(size), ")"));
      }
    }
    absl::StrAppend(&text, " ", absl::StrJoin(ratios, ", "), " |\n");
  }
  return text + "\n";
}

std::string RowsName(const KernelTime& time) {
  return time.row_stride == 1
             ? absl::StrCat(time.row_size)
             : absl::StrCat(time.row_size, ", ", time.row_stride, " apart");
}

// Functions of rows down, kinds of rows across.
std::string RowTable(const KernelReport& report, const Finder& finder) {
  if (report.rows.empty()) return "";
  std::vector<KernelTime> kinds;  // one of each
  std::vector<std::array<std::string, 3>> kernels;
  std::string head = "| elements of a row |";
  std::string rule = "|---|";
  std::string text;
  for (const KernelTime& time : report.rows) {
    const auto is_same = [&](const KernelTime& kind) {
      return RowsName(kind) == RowsName(time);
    };
    if (std::none_of(kinds.begin(), kinds.end(), is_same)) {
      kinds.push_back(time);
      absl::StrAppend(&head, " ", RowsName(time), " |");
      rule += "---|";
    }
  }
  for (const KernelTime& time : report.rows) {
    const std::array<std::string, 3> kernel = {
        time.function, DirectionName(time.direction),
        std::string(DTypeName(time.dtype))};
    if (IsAmong(kernels, kernel)) continue;
    kernels.push_back(kernel);
    absl::StrAppend(&text, "| ", absl::StrJoin(kernel, ", "), " |");
    for (const KernelTime& kind : kinds) {
      const KernelTime* const found =
          finder.OfRows(kind, time.function, time.direction, time.dtype);
      absl::StrAppend(&text, " ",
                      found == nullptr
                          ? std::string()
                          : absl::StrFormat("%.2f", finder.Share(*found)),
                      " |");
    }
    text += "\n";
  }
  return absl::StrCat("**Functions of rows, tensors of ",
                      SizeName(report.rows[0].tensor_bytes), "**\n\n", head,
                      "\n", rule, "\n", text, "\n");
}

// Time with the table in global memory by that with it in shared memory.
std::string PlacementTable(const Finder& finder) {
  std::vector<int64_t> sizes;
  std::vector<std::string> rows;
  // The least ratio at a size.
  std::vector<std::optional<double>> least;
  for (const int64_t size : finder.Sizes()) sizes.push_back(size);
  least.resize(sizes.size());
  for (const Direction direction :
       {Direction::kForward, Direction::kGradient}) {
    for (const DType dtype : {DType::kBFloat16, DType::kFloat16}) {
      for (const std::string& function : finder.Functions(direction, dtype)) {
        std::string row =
            absl::StrCat("| ", function, ", ", DirectionName(direction), ", ",
                         std::string(DTypeName(dtype)), " |");
        for (size_t s = 0; s < sizes.size(); ++s) {
          const KernelTime* const any =
              finder.Best(function, direction, dtype, sizes[s]);
          const KernelTime* global = nullptr;
          const KernelTime* shared = nullptr;
          if (any != nullptr) {
            global = finder.Best(*any, TablePlace::kGlobal);
            shared = finder.Best(*any, TablePlace::kShared);
          }
          if (global == nullptr || shared == nullptr) {
            row += " |";
            continue;
          }
          const double ratio = global->time.median / shared->time.median;
          least[s] = std::min(least[s].value_or(ratio), ratio);
          absl::StrAppend(&row, absl::StrFormat(" %.2f |", ratio));
        }
        rows.push_back(row);
      }
    }
  }
  if (rows.empty()) return "";
  std::string text =
      "**Tables in shared memory: times as fast as in global memory**\n\n"
      "What decides `kSharedTableMinElements`.\n\n| elements |";
  std::string rule = "|---|";
  for (const int64_t size : sizes) {
    absl::StrAppend(&text, " ", size / 2, " |");
    rule += "---|";
  }
  absl::StrAppend(&text, "\n", rule, "\n", absl::StrJoin(rows, "\n"), "\n\n");
  // The first size from which on shared memory loses nowhere.
  int64_t from = 0;
  for (size_t s = sizes.size(); s-- > 0;) {
    if (!least[s].has_value() || *least[s] < 1) break;
    from = sizes[s] / 2;
  }
  return absl::StrCat(
      text,
      from == 0 ? "At no size does shared memory lose nowhere."
                : absl::StrCat("From ", from,
                               " elements on shared memory loses nowhere."),
      "\n\n");
}

// Time without streaming hints by that with them.
std::string HintTable(const KernelReport& report, const Finder& finder) {
  const std::vector<int64_t> sizes = finder.Sizes();
  std::string text =
      "**Streaming hints: times as fast as without them, least, median and "
      "most of all kernels**\n\n| |";
  std::string rule = "|---|";
  for (const int64_t size : sizes) {
    absl::StrAppend(&text, " ", SizeName(size), " |");
    rule += "---|";
  }
  absl::StrAppend(&text, "\n", rule, "\n");
  bool any = false;
  for (const Direction direction :
       {Direction::kForward, Direction::kGradient}) {
    absl::StrAppend(&text, "| ", DirectionName(direction), " |");
    for (const int64_t size : sizes) {
      std::vector<double> ratios;
      for (const KernelTime& hinted : report.kernels) {
        if (!hinted.streaming || hinted.direction != direction ||
            hinted.tensor_bytes != size) {
          continue;
        }
        for (const KernelTime& plain : report.kernels) {
          if (!plain.streaming && plain.table == hinted.table &&
              Finder::IsSame(plain, hinted)) {
            ratios.push_back(plain.time.median / hinted.time.median);
          }
        }
      }
      std::sort(ratios.begin(), ratios.end());
      any |= !ratios.empty();
      absl::StrAppend(
          &text, " ",
          ratios.empty()
              ? std::string()
              : absl::StrFormat("%.2f, %.2f, %.2f", ratios.front(),
                                ratios[ratios.size() / 2], ratios.back()),
          " |");
    }
    text += "\n";
  }
  return any ? text + "\n" : "";
}

std::string GoalList(const KernelReport& report) {
  const std::vector<Goal> goals = GoalsOf(report);
  if (goals.empty()) return "No goal applies to what was measured.\n\n";
  int64_t reached = 0;
  std::string missed;
  for (const Goal& goal : goals) {
    reached += goal.Reached();
    if (!goal.Reached()) {
      absl::StrAppend(
          &missed, "* missed: ", goal.what, " ",
          absl::StrFormat("%.2f, goal %s %.2f\n", goal.found,
                          goal.less_is_better ? "<=" : ">=", goal.goal));
    }
  }
  return absl::StrCat(reached, " of ", goals.size(), " goals reached.\n\n",
                      missed, missed.empty() ? "" : "\n");
}

std::string FirstResultLine(const FirstResults& first) {
  const auto part = [](const char* what, double ms, double goal) {
    return ms < 0 ? absl::StrCat(what, " not run")
                  : absl::StrFormat("%s %.1f ms (goal <= %.0f: %s)", what, ms,
                                    goal, Verdict(ms <= goal));
  };
  return absl::StrCat("From a text never seen to its first result, median of ",
                      first.repetitions, ": ",
                      part("compiled", first.cold_ms, kFirstResultMs), ", ",
                      part("from disk", first.disk_ms, kFromDiskMs), ".\n\n");
}

}  // namespace

const char* DirectionName(Direction direction) {
  switch (direction) {
    case Direction::kForward:
      return "forward";
    case Direction::kGradient:
      return "gradient";
    case Direction::kGradientWithParameters:
      return "gradient with parameters";
  }
  return "";
}

void ReadPyTorch(const std::string& json_text, KernelReport& report) {
  const nlohmann::json json =
      nlohmann::json::parse(json_text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("kernels") ||
      !json["kernels"].is_array()) {
    report.no_pytorch = "its times cannot be read";
    return;
  }
  report.pytorch_version = json.value("version", "");
  for (const nlohmann::json& kernel : json["kernels"]) {
    if (!kernel.is_object()) continue;
    report.pytorch.push_back(
        {kernel.value("function", ""), kernel.value("direction", ""),
         kernel.value("dtype", ""), kernel.value("tensor_bytes", int64_t{0}),
         kernel.value("seconds", 0.0)});
  }
  if (report.pytorch.empty()) report.no_pytorch = "it timed nothing";
}

nlohmann::json ToJson(const KernelReport& report) {
  const Finder finder(report);
  nlohmann::json ceilings = nlohmann::json::array();
  for (const KernelTime& time : report.ceilings) {
    ceilings.push_back(ToJson(time));
  }
  nlohmann::json kernels = nlohmann::json::array();
  for (const KernelTime& time : report.kernels) {
    nlohmann::json kernel = ToJson(time);
    kernel["share_of_ceiling"] = finder.Share(time);
    if (const auto ratio = finder.OfPyTorch(time)) {
      kernel["of_pytorch_speed"] = *ratio;
    }
    kernels.push_back(std::move(kernel));
  }
  nlohmann::json rows = nlohmann::json::array();
  for (const KernelTime& time : report.rows) {
    nlohmann::json row = ToJson(time);
    row["share_of_ceiling"] = finder.Share(time);
    rows.push_back(std::move(row));
  }
  nlohmann::json goals = nlohmann::json::array();
  for (const Goal& goal : GoalsOf(report)) {
    goals.push_back({{"what", goal.what},
                     {"goal", goal.goal},
                     {"found", goal.found},
                     {"reached", goal.Reached()}});
  }
  nlohmann::json first = nlohmann::json::object();
  if (report.first_results.cold_ms >= 0) {
    first["cold_ms"] = report.first_results.cold_ms;
  }
  if (report.first_results.disk_ms >= 0) {
    first["disk_ms"] = report.first_results.disk_ms;
  }
  return {{"device", report.device},
          {"nvrtc", report.nvrtc},
          {"l2_bytes", report.l2_bytes},
          {"ceilings", std::move(ceilings)},
          {"kernels", std::move(kernels)},
          {"rows", std::move(rows)},
          {"pytorch_version", report.pytorch_version},
          {"no_pytorch", report.no_pytorch},
          {"first_results", std::move(first)},
          {"goals", std::move(goals)},
          {"left_out", report.left_out},
          {"failed", report.failed}};
}

std::string ToMarkdown(const KernelReport& report) {
  const Finder finder(report);
  // First, as it may make the rest worthless.
  std::string text;
  for (const std::string& what : report.failed) {
    absl::StrAppend(&text, "* **failed**: ", what, "\n");
  }
  if (!report.failed.empty()) text += "\n";
  absl::StrAppend(
      &text,
      "Cells are bytes per second as a share of the best of our own copies "
      "(gradient: triads) at the same size, run beside them; the best way to "
      "run a kernel counts. Bold: a goal that was missed.\n\n",
      GoalList(report), FirstResultLine(report.first_results));
  absl::StrAppend(&text, "PyTorch ",
                  report.no_pytorch.empty()
                      ? absl::StrCat(report.pytorch_version, ".\n\n")
                      : absl::StrCat("not run: ", report.no_pytorch, ".\n\n"));
  for (const DType dtype :
       {DType::kBFloat16, DType::kFloat32, DType::kFloat16, DType::kFloat64}) {
    for (const Direction direction : {Direction::kForward, Direction::kGradient,
                                      Direction::kGradientWithParameters}) {
      text += ShareTable(finder, direction, dtype);
    }
  }
  text += RowTable(report, finder);
  text += PlacementTable(finder);
  text += HintTable(report, finder);
  for (const std::string& what : report.left_out) {
    absl::StrAppend(&text, "* left out: ", what, "\n");
  }
  if (!report.left_out.empty()) text += "\n";
  return text;
}

}  // namespace actserve
