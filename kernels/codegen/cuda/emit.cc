#include "kernels/codegen/cuda/emit.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/base/sha256.h"
#include "kernels/codegen/cuda/arithmetic.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/codegen/cuda/row_text.h"
#include "kernels/codegen/cuda/text_files.h"
#include "kernels/graph/op.h"
#include "kernels/graph/passes/row_stages.h"

namespace actserve {
namespace {

constexpr char kPrelude[] = "kernels/codegen/cuda/text/prelude.h";
constexpr char kTree[] = "kernels/codegen/cuda/text/tree.h";
constexpr char kSegments[] = "kernels/codegen/cuda/text/segments.h";
constexpr char kBroadcastsText[] = "kernels/codegen/cuda/text/broadcasts.h";
constexpr char kSumsText[] = "kernels/codegen/cuda/text/sums.h";
constexpr char kElements[] = "kernels/codegen/cuda/text/elements.h";
constexpr char kRowsText[] = "kernels/codegen/cuda/text/rows.h";
constexpr char kTermsText[] = "kernels/codegen/cuda/text/sum_terms.h";
// Conversions from and to 16 bits, which segments.h mentions always.
constexpr char kConversion[] = "actserve_bf16_bits_to_f32";

const char* ElementName(DType storage) {
  switch (storage) {
    case DType::kFloat16:
      return "Float16";
    case DType::kBFloat16:
      return "BFloat16";
    case DType::kFloat32:
      return "Float32";
    case DType::kFloat64:
      return "Float64";
  }
  return "";
}

// The arithmetic of a program whose elements do not meet.
std::string PrintBody(const Graph& graph, ArithmeticPrinter& printer) {
  std::string body = printer.Print(
      graph, [](int input) { return absl::StrCat("x[", input, "]"); });
  int tensors = 0;
  int sums = 0;
  for (const Output& output : graph.outputs) {
    if (output.summed) {
      absl::StrAppend(&body, "    terms[", sums++, "] = v", output.node, ";\n");
    } else {
      absl::StrAppend(&body, "    y[", tensors++, "] = v", output.node, ";\n");
    }
  }
  return body;
}

const char* NumberName(DType compute) {
  return compute == DType::kFloat64 ? "double" : "float";
}

// `shape` is null if the program reads no rows, which alone has a body.
std::string PrintProgram(const LoweredProgram& program,
                         const LaunchLayout& layout, const RowShape* shape,
                         const std::string& body) {
  const bool is_derivative =
      program.rule == LoweredProgram::Rule::kDerivative16;
  const char* const element = ElementName(program.storage);
  std::string text = absl::StrCat("struct ", element, ";\nstruct Program {\n");
  const auto constant = [&](const char* type, const char* name, int value) {
    absl::StrAppend(&text, "  static constexpr ", type, " ", name, " = ", value,
                    ";\n");
  };
  absl::StrAppend(&text, "  using Element = ", element, ";\n");
  absl::StrAppend(&text, "  using Number = ", NumberName(program.compute),
                  ";\n");
  absl::StrAppend(&text, "  using TableEntry = ",
                  is_derivative ? "float" : "unsigned short", ";\n");
  constant("int", "kInputs", layout.num_inputs());
  constant("int", "kGraphInputs",
           static_cast<int>(program.graph.inputs.size()));
  constant("int", "kBroadcasts", layout.num_broadcasts());
  constant("int", "kOutputs", layout.num_outputs());
  constant("int", "kSums", layout.num_sums());
  constant("int", "kParameters", layout.num_parameters());
  constant("int", "kDrawWords", layout.num_draw_words());
  constant("bool", "kHasTable", layout.has_table() ? 1 : 0);
  constant("bool", "kIsDerivative", is_derivative ? 1 : 0);
  constant("bool", "kHasRows", layout.has_rows() ? 1 : 0);
  if (shape != nullptr) {
    constant("int", "kStages", shape->num_stages);
    constant("int", "kNumbers", shape->num_numbers);
    constant("int", "kArrays", shape->num_arrays);
    constant("int", "kReductions", shape->max_reductions);
  } else {
    absl::StrAppend(&text,
                    "  static ACTSERVE_MEMBER void Evaluate(\n"
                    "      const Number* x, const Number* parameters,\n"
                    "      const Word* draws, Word element, "
                    "Number* y, Number* terms) {\n",
                    body, "  }\n");
  }
  absl::StrAppend(&text, "};\n");
  return text;
}

// Blocks that must fit on a multiprocessor together: what holds the compiler to
// the layout's registers. A heavy program has all of them, since it is not
// memory that it waits for.
int BlocksTogether(const LaunchLayout& layout, KernelEntry entry) {
  if (layout.is_heavy() || layout.num_sums() > 4) return 1;
  constexpr int kRegisters = 65536;
  return kRegisters / layout.max_registers(entry) / layout.threads(entry);
}

std::string Entries(const LaunchLayout& layout, CudaPart part) {
  std::string text;
  const auto entry = [&](KernelEntry which, int blocks,
                         const std::string& call) {
    if (layout.part(which) != part) return;
    absl::StrAppend(&text, "ACTSERVE_KERNEL(", layout.threads(which), ", ",
                    blocks, ")\n", KernelEntryName(which),
                    "(const Argument argument) { ", call, "(argument); }\n");
  };
  if (part == CudaPart::kTermSums) {
    for (const auto& [which, name] :
         {std::pair(KernelEntry::kSumRuns, "SumRuns<"),
          std::pair(KernelEntry::kSumRows, "SumRows<"),
          std::pair(KernelEntry::kFoldSums, "FoldSums<")}) {
      entry(which, 8, absl::StrCat(name, layout.threads(which), ">"));
    }
    return text;
  }
  if (layout.has_rows()) {
    for (const KernelEntry which :
         {KernelEntry::kRowsOfFew, KernelEntry::kRowsOfSome,
          KernelEntry::kRows}) {
      if (!layout.has_entry(which)) continue;
      entry(which, BlocksTogether(layout, which),
            absl::StrCat("RunRows<", layout.threads(which), ", ",
                         LaunchLayout::ThreadsOfRow(which), ", ",
                         layout.row_copies(which), ">"));
    }
    entry(KernelEntry::kRowTiles,
          BlocksTogether(layout, KernelEntry::kRowTiles),
          absl::StrCat("RunRowTiles<0, ",
                       layout.row_copies(KernelEntry::kRowTiles), ">"));
    entry(KernelEntry::kFinishRows, 1,
          absl::StrCat("FinishRows<0, ",
                       layout.threads(KernelEntry::kFinishRows), ">"));
    if (!layout.has_tile_sums()) return text;
    entry(
        KernelEntry::kSumTerms, 1,
        absl::StrCat("SumTerms<", layout.threads(KernelEntry::kSumTerms), ">"));
    entry(KernelEntry::kFinishSums, 1,
          absl::StrCat("FinishSums<", layout.threads(KernelEntry::kFinishSums),
                       ">"));
    return text;
  }
  const int threads = layout.threads(KernelEntry::kRun);
  const int vectors = layout.vectors_in_flight(KernelEntry::kRun);
  if (layout.has_table()) {
    // Looking up takes few registers.
    entry(KernelEntry::kRun, 4,
          absl::StrCat("RunTable<", threads, ", ", vectors, ">"));
    const int shared_threads = layout.threads(KernelEntry::kRunShared);
    entry(KernelEntry::kRunShared, 1,
          absl::StrCat("RunSharedTable<", shared_threads, ", ",
                       layout.vectors_in_flight(KernelEntry::kRunShared), ">"));
    entry(KernelEntry::kFillTable,
          BlocksTogether(layout, KernelEntry::kFillTable),
          absl::StrCat("FillTable<", layout.threads(KernelEntry::kFillTable),
                       ">"));
  } else if (layout.body() == LaunchLayout::Body::kSummed) {
    entry(KernelEntry::kRun, BlocksTogether(layout, KernelEntry::kRun),
          absl::StrCat("RunSummed<", layout.rows_in_flight(), ">"));
    if (!layout.has_tile_sums()) return text;
    entry(KernelEntry::kFinishSums, 1,
          absl::StrCat("FinishSums<", layout.threads(KernelEntry::kFinishSums),
                       ">"));
  } else {
    const bool unrolled = layout.body() == LaunchLayout::Body::kUnrolled;
    const int width = layout.body() == LaunchLayout::Body::kScalar
                          ? 1
                          : layout.vector_elements();
    entry(KernelEntry::kRun, BlocksTogether(layout, KernelEntry::kRun),
          absl::StrCat("Run<", threads, ", ", unrolled ? "true" : "false", ", ",
                       width, ", ", vectors, ">"));
  }
  return text;
}

}  // namespace

std::string EmitCuda(const LoweredProgram& program, CudaPart part) {
  const LaunchLayout layout(program);
  if (part == CudaPart::kTermSums) {
    return absl::StrCat(
        BareText(kPrelude), "using Number = ", NumberName(program.compute),
        ";\n", BareText(kTree), BareText(kTermsText), Entries(layout, part));
  }
  ArithmeticPrinter printer(program.compute);
  std::string shape;
  std::string stages;
  if (layout.has_rows()) {
    const RowStages cut = CutIntoStages(program.graph);
    const RowShape row_shape(cut);
    shape = PrintProgram(program, layout, &row_shape, "");
    stages = PrintStages(program.graph, cut, printer);
  } else {
    shape = PrintProgram(
        program, layout, nullptr,
        part == CudaPart::kProgram ? PrintBody(program.graph, printer) : "");
  }
  std::vector<std::string> symbols = printer.symbols();
  symbols.push_back(kConversion);
  std::string text = BareText(kPrelude);
  for (const std::string& path : MathHeadersFor(symbols)) {
    absl::StrAppend(&text, BareText(path));
  }
  absl::StrAppend(&text, shape, BareText(kTree), BareText(kSegments),
                  BareText(kBroadcastsText), BareText(kSumsText),
                  BareText(layout.has_rows() ? kRowsText : kElements), stages,
                  Entries(layout, part));
  return text;
}

const std::string& CudaTextFingerprint() {
  static const std::string* const fingerprint = [] {
    std::string all;
    for (const char* path : {kPrelude, kTree, kSegments, kBroadcastsText,
                             kSumsText, kElements, kRowsText, kTermsText}) {
      absl::StrAppend(&all, BareText(path));
    }
    std::vector<std::string> symbols = {kConversion};
    for (const OpInfo& info : AllOps()) {
      for (const char* suffix : {"_f32", "_f64"}) {
        symbols.push_back(
            absl::StrCat("actserve_", std::string(info.name), suffix));
      }
    }
    for (const std::string& path : MathHeadersFor(symbols)) {
      absl::StrAppend(&all, BareText(path));
    }
    return new std::string(Sha256Id(all));
  }();
  return *fingerprint;
}

}  // namespace actserve
