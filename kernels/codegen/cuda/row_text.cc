#include "kernels/codegen/cuda/row_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"

namespace actserve {
namespace {

using Sink = RowStage::Sink;

// Kept arrays without those that are computed where they are read.
int ArrayOf(const RowStages& stages, int kept) {
  const auto before = std::ranges::count_if(
      stages.draw_arrays, [kept](int draw) { return draw < kept; });
  const bool after_index = stages.index_array >= 0 && kept > stages.index_array;
  return kept - static_cast<int>(before) - (after_index ? 1 : 0);
}

// The random number that a kept array is, -1 if it is none.
int DrawOf(const RowStages& stages, int kept) {
  const auto found = std::ranges::find(stages.draw_arrays, kept);
  return found == stages.draw_arrays.end()
             ? -1
             : static_cast<int>(found - stages.draw_arrays.begin());
}

std::string PrintDraws(const Graph& graph, const RowStages& stages,
                       ArithmeticPrinter& printer) {
  std::string text;
  for (size_t i = 0; i < stages.draws.outputs.size(); ++i) {
    absl::StrAppend(
        &text, "template <>\nstruct DrawArray<", i,
        "> {\n"
        "  template <typename Row>\n"
        "  static ACTSERVE_MEMBER Number At(const Row& row, "
        "const typename Row::Spot& spot) {\n"
        "    const Word* const draws = row.segment.words + kDrawsAt;\n"
        "    const Word element = spot.element;\n"
        "    return ",
        printer.PrintDraw(graph, stages.draws, stages.draws.outputs[i].node),
        ";\n  }\n"
        "  template <typename Row>\n"
        "  static ACTSERVE_MEMBER Number Get(const Row& row, Word k) {\n"
        "    return At(row, row.At(k));\n  }\n};\n");
  }
  return text;
}

class StagePrinter {
 public:
  StagePrinter(const Graph& graph, const RowStages& stages,
               ArithmeticPrinter& printer)
      : stages_(stages), printer_(printer) {
    int tensors = 0;
    int sums = 0;
    for (const Output& output : graph.outputs) {
      outputs_.push_back(output.summed ? absl::StrCat("Term(", sums++)
                                       : absl::StrCat("Output(", tensors++));
    }
  }

  std::string Print(int number) {
    const RowStage& stage = stages_.stages[number];
    const std::vector<int> sums = SinksOf(stage, Op::kRowSum);
    const std::vector<int> maxima = SinksOf(stage, Op::kRowMax);
    std::vector<int> written;
    for (size_t o = 0; o < stage.sinks.size(); ++o) {
      if (stage.sinks[o].kind != Sink::Kind::kReduce) {
        written.push_back(static_cast<int>(o));
      }
    }
    std::string text =
        absl::StrCat("template <>\nstruct Stage<", number, "> {\n");
    const auto constant = [&](const char* name, size_t value) {
      absl::StrAppend(&text, "  static constexpr int ", name, " = ", value,
                      ";\n");
    };
    constant("kReads", stage.tensors.size() + stage.kept.size());
    constant("kSums", sums.size());
    constant("kMaxima", maxima.size());
    constant("kResults", stage.sinks.size());
    constant("kHasMoves", stage.moves.empty() ? 0 : 1);
    absl::StrAppend(&text, Rows(stage), Read(stage));

    absl::StrAppend(&text,
                    "  static ACTSERVE_MEMBER void Elements(\n"
                    "      const Number* x, const Number* parameters, "
                    "const Number* numbers, Number* y) {\n",
                    Elements(stage));
    std::string write =
        "  template <typename Row>\n"
        "  static ACTSERVE_MEMBER void Write(const Row& row, "
        "const typename Row::Spot& spot, const Number* y) {\n";
    std::string finish =
        "  static ACTSERVE_MEMBER void Finish(const double* sums, "
        "const Number* maxima, Number* numbers) {\n";
    int result = 0;
    const auto add_result = [&](int o) {
      absl::StrAppend(&text, "    y[", result, "] = v",
                      stage.elements.outputs[o].node, ";\n");
      return result++;
    };
    for (size_t s = 0; s < sums.size(); ++s) {
      add_result(sums[s]);
      absl::StrAppend(&finish, "    numbers[", stage.sinks[sums[s]].index,
                      "] = static_cast<Number>(sums[", s, "]);\n");
    }
    for (size_t m = 0; m < maxima.size(); ++m) {
      add_result(maxima[m]);
      // Of zeros of both signs the positive one.
      absl::StrAppend(&finish, "    numbers[", stage.sinks[maxima[m]].index,
                      "] = maxima[", m, "] + Number(0);\n");
    }
    for (const int o : written) {
      const std::string y = absl::StrCat("y[", add_result(o), "]");
      const Sink& sink = stage.sinks[o];
      if (sink.kind == Sink::Kind::kKeep) {
        absl::StrAppend(&write, "    *row.Kept(", ArrayOf(stages_, sink.index),
                        ", spot) = ", y, ";\n");
      } else {
        absl::StrAppend(&write, "    row.", outputs_[sink.index], ", spot, ", y,
                        ");\n");
      }
    }
    absl::StrAppend(&text, "  }\n", write, "  }\n", finish, "  }\n",
                    Move(stage), "};\n");
    return text;
  }

 private:
  static std::vector<int> SinksOf(const RowStage& stage, Op op) {
    std::vector<int> found;
    for (size_t o = 0; o < stage.sinks.size(); ++o) {
      const Sink& sink = stage.sinks[o];
      if (sink.kind == Sink::Kind::kReduce && sink.op == op) {
        found.push_back(static_cast<int>(o));
      }
    }
    return found;
  }

  std::string Rows(const RowStage& stage) {
    std::string text = absl::StrCat(
        "  static ACTSERVE_MEMBER void Rows(const Number* parameters, "
        "Number* numbers) {\n",
        printer_.Print(stage.rows, [&](int input) {
          return absl::StrCat("numbers[", stage.rows_inputs[input], "]");
        }));
    for (size_t o = 0; o < stage.rows_outputs.size(); ++o) {
      absl::StrAppend(&text, "    numbers[", stage.rows_outputs[o], "] = v",
                      stage.rows.outputs[o].node, ";\n");
    }
    return absl::StrCat(text, "  }\n");
  }

  std::string Read(const RowStage& stage) const {
    std::string text =
        "  template <typename Row>\n"
        "  static ACTSERVE_MEMBER void Read(const Row& row, "
        "const typename Row::Spot& spot, Number* x) {\n";
    int x = 0;
    for (const int tensor : stage.tensors) {
      absl::StrAppend(&text, "    x[", x++, "] = row.Tensor(", tensor,
                      ", spot);\n");
    }
    for (const int kept : stage.kept) {
      if (kept == stages_.index_array) {
        absl::StrAppend(&text, "    x[", x++, "] = row.Index(spot);\n");
      } else if (const int draw = DrawOf(stages_, kept); draw >= 0) {
        absl::StrAppend(&text, "    x[", x++, "] = DrawArray<", draw,
                        ">::At(row, spot);\n");
      } else {
        absl::StrAppend(&text, "    x[", x++, "] = *row.Kept(",
                        ArrayOf(stages_, kept), ", spot);\n");
      }
    }
    return absl::StrCat(text, "  }\n");
  }

  std::string Elements(const RowStage& stage) {
    const int reads =
        static_cast<int>(stage.tensors.size() + stage.kept.size());
    return printer_.Print(stage.elements, [&](int input) {
      return input < reads ? absl::StrCat("x[", input, "]")
                           : absl::StrCat("numbers[",
                                          stage.row_inputs[input - reads], "]");
    });
  }

  std::string Move(const RowStage& stage) const {
    const auto operand = [&](int kept) -> std::string {
      if (kept == stages_.index_array) return "IndexArray";
      const int draw = DrawOf(stages_, kept);
      if (draw >= 0) return absl::StrCat("DrawArray<", draw, ">");
      return absl::StrCat("KeptArray<", ArrayOf(stages_, kept), ">");
    };
    std::string text =
        "  template <typename Row>\n"
        "  static ACTSERVE_MEMBER void Move(const Row& row) {\n";
    for (const RowStage::Move& move : stage.moves) {
      const std::string to = absl::StrCat(ArrayOf(stages_, move.to));
      const std::string a = operand(move.a);
      const std::string b = move.b < 0 ? "" : operand(move.b);
      absl::StrAppend(&text, "    row.template ");
      switch (move.op) {
        case Op::kRowSort:
          absl::StrAppend(&text, "Sort<", to, ", ", a, ", ", b);
          break;
        case Op::kRowUnsort:
          absl::StrAppend(&text, "Unsort<", to, ", ", a, ", ", b);
          break;
        case Op::kRowScan:
          absl::StrAppend(&text, "Scan<", to, ", false, ", a, ", ", b);
          break;
        case Op::kRowScanBack:
          absl::StrAppend(&text, "Scan<", to, ", true, ", a, ", ", b);
          break;
        case Op::kRowShift:
          absl::StrAppend(&text, "Shift<", to, ", ", a);
          break;
        default:
          absl::StrAppend(&text, "ShiftBack<", to, ", ", a);
      }
      absl::StrAppend(&text, ">();\n");
    }
    return absl::StrCat(text, "  }\n");
  }

  const RowStages& stages_;
  ArithmeticPrinter& printer_;
  // By output of the program, how a call that writes it begins.
  std::vector<std::string> outputs_;
};

}  // namespace

RowShape::RowShape(const RowStages& stages)
    : num_stages(static_cast<int>(stages.stages.size())),
      num_numbers(stages.num_row_numbers),
      num_arrays(ArrayOf(stages, stages.num_kept)) {
  bool sorts = false;
  for (const RowStage& stage : stages.stages) {
    for (const RowStage::Move& move : stage.moves) {
      has_moves = true;
      sorts |= move.op == Op::kRowSort || move.op == Op::kRowUnsort;
    }
    const auto reductions = std::count_if(
        stage.sinks.begin(), stage.sinks.end(),
        [](const Sink& sink) { return sink.kind == Sink::Kind::kReduce; });
    max_reductions = std::max(max_reductions, static_cast<int>(reductions));
  }
  num_arrays += sorts ? 1 : 0;
}

std::string PrintStages(const Graph& graph, const RowStages& stages,
                        ArithmeticPrinter& printer) {
  StagePrinter stage_printer(graph, stages, printer);
  std::string text = PrintDraws(graph, stages, printer);
  for (int i = 0; i < static_cast<int>(stages.stages.size()); ++i) {
    absl::StrAppend(&text, stage_printer.Print(i));
  }
  return text;
}

}  // namespace actserve
