#include "kernels/codegen/cuda/emit.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "kernels/base/sha256.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/codegen/cuda/text_files.h"
#include "kernels/graph/draws.h"
#include "kernels/graph/op.h"

namespace actserve {
namespace {

constexpr char kPrelude[] = "kernels/codegen/cuda/text/prelude.h";
constexpr char kSkeleton[] = "kernels/codegen/cuda/text/skeleton.h";
// Conversions from and to 16 bits, which the skeleton mentions always.
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

// Prints the arithmetic of one program.
class BodyPrinter {
 public:
  explicit BodyPrinter(const LoweredProgram& program)
      : graph_(program.graph),
        is_double_(program.compute == DType::kFloat64),
        seeds_(SeedParameters(graph_)) {}

  std::string Print() {
    std::string body;
    const std::vector<bool> live = graph_.LiveNodes();
    for (size_t id = 0; id < live.size(); ++id) {
      if (!live[id]) continue;
      const Node& node = graph_.node(id);
      absl::StrAppend(&body, "    const ",
                      Info(node.op).returns_bool ? "bool" : "Number", " v", id,
                      " = ", Expression(node), ";\n");
    }
    int tensors = 0;
    int sums = 0;
    for (const Output& output : graph_.outputs) {
      if (output.summed) {
        absl::StrAppend(&body, "    terms[", sums++, "] = v", output.node,
                        ";\n");
      } else {
        absl::StrAppend(&body, "    y[", tensors++, "] = v", output.node,
                        ";\n");
      }
    }
    return body;
  }

  // The functions of kernels/math that the printed lines call.
  const std::vector<std::string>& symbols() const { return symbols_; }

 private:
  std::string Constant(double value) const {
    return is_double_
               ? absl::StrFormat("__builtin_bit_cast(double, 0x%016xull)",
                                 __builtin_bit_cast(uint64_t, value))
               : absl::StrFormat(
                     "__builtin_bit_cast(float, 0x%08xu)",
                     __builtin_bit_cast(uint32_t, static_cast<float>(value)));
  }

  // A compiler's builtin: "__builtin_floorf(v1)".
  std::string Builtin(const char* name, const std::string& x) const {
    return absl::StrCat("__builtin_", name, is_double_ ? "(" : "f(", x, ")");
  }

  std::string Expression(const Node& node) {
    const std::string a = absl::StrCat("v", node.operands[0]);
    const std::string b = absl::StrCat("v", node.operands[1]);
    const std::string c = absl::StrCat("v", node.operands[2]);
    switch (node.op) {
      case Op::kInput:
        return absl::StrCat("x[", node.index, "]");
      case Op::kParameter:
        return absl::StrCat("parameters[", node.index, "]");
      case Op::kConstant:
        return Constant(node.constant);
      case Op::kBool:
        return node.constant != 0 ? "true" : "false";
      case Op::kAdd:
        return absl::StrCat(a, " + ", b);
      case Op::kSub:
        return absl::StrCat(a, " - ", b);
      case Op::kMul:
        return absl::StrCat(a, " * ", b);
      case Op::kDiv:
        return absl::StrCat(a, " / ", b);
      case Op::kNeg:
        return absl::StrCat("-", a);
      case Op::kAbs:
        return Builtin("fabs", a);
      case Op::kFloor:
        return Builtin("floor", a);
      case Op::kCeil:
        return Builtin("ceil", a);
      case Op::kRound:
        return Builtin("rint", a);
      case Op::kTrunc:
        return Builtin("trunc", a);
      case Op::kSqrt:
        return Builtin("sqrt", a);
      case Op::kSign:
        return absl::StrCat(a, " > 0 ? Number(1) : ", a,
                            " < 0 ? Number(-1) : ", a);
      case Op::kMin:
        return absl::StrCat(a, " < ", b, " || ", a, " != ", a, " ? ", a, " : ",
                            b);
      case Op::kMax:
        return absl::StrCat(b, " < ", a, " || ", a, " != ", a, " ? ", a, " : ",
                            b);
      case Op::kLess:
        return absl::StrCat(a, " < ", b);
      case Op::kLessEqual:
        return absl::StrCat(a, " <= ", b);
      case Op::kEqual:
        return absl::StrCat(a, " == ", b);
      case Op::kNotEqual:
        return absl::StrCat(a, " != ", b);
      case Op::kAnd:
        return absl::StrCat(a, " && ", b);
      case Op::kOr:
        return absl::StrCat(a, " || ", b);
      case Op::kNot:
        return absl::StrCat("!", a);
      case Op::kSelect:
        return absl::StrCat(a, " ? ", b, " : ", c);
      default:
        break;
    }
    const OpInfo& info = Info(node.op);
    symbols_.push_back(absl::StrCat("actserve_", std::string(info.name),
                                    is_double_ ? "_f64" : "_f32"));
    if (IsDraw(node.op)) return Draw(node);
    return info.arity == 2 ? absl::StrCat(symbols_.back(), "(", a, ", ", b, ")")
                           : absl::StrCat(symbols_.back(), "(", a, ")");
  }

  // A call of the last of symbols_.
  std::string Draw(const Node& node) const {
    const Node& seed = graph_.node(node.operands[0]);
    const double stream = graph_.node(node.operands[1]).constant;
    const auto at = std::find(seeds_.begin(), seeds_.end(), seed.index);
    return absl::StrCat(
        symbols_.back(), "(",
        seed.op == Op::kParameter
            ? absl::StrCat("draws[", 1 + (at - seeds_.begin()), "]")
            : absl::StrCat(static_cast<uint64_t>(seed.constant), "ull"),
        ", ", static_cast<uint32_t>(stream), "u, draws[0] + element)");
  }

  const Graph& graph_;
  const bool is_double_;
  const std::vector<int32_t> seeds_;
  std::vector<std::string> symbols_;
};

std::string PrintProgram(const LoweredProgram& program,
                         const LaunchLayout& layout, const std::string& body) {
  const bool is_derivative =
      program.rule == LoweredProgram::Rule::kDerivative16;
  const char* const element = ElementName(program.storage);
  std::string text = absl::StrCat("struct ", element, ";\nstruct Program {\n");
  const auto constant = [&](const char* type, const char* name, int value) {
    absl::StrAppend(&text, "  static constexpr ", type, " ", name, " = ", value,
                    ";\n");
  };
  const char* const number =
      program.compute == DType::kFloat64 ? "double" : "float";
  absl::StrAppend(&text, "  using Element = ", element, ";\n");
  absl::StrAppend(&text, "  using Number = ", number, ";\n");
  absl::StrAppend(&text, "  using TableEntry = ",
                  is_derivative ? "float" : "unsigned short", ";\n");
  constant("int", "kInputs", layout.num_inputs());
  constant("int", "kGraphInputs",
           static_cast<int>(program.graph.inputs.size()));
  constant("int", "kOutputs", layout.num_outputs());
  constant("int", "kSums", layout.num_sums());
  constant("int", "kParameters", layout.num_parameters());
  constant("int", "kDrawWords", layout.num_draw_words());
  constant("bool", "kHasTable", layout.has_table() ? 1 : 0);
  constant("bool", "kIsDerivative", is_derivative ? 1 : 0);
  absl::StrAppend(&text,
                  "  static ACTSERVE_MEMBER void Evaluate(\n"
                  "      const Number* x, const Number* parameters,\n"
                  "      const Word* draws, Word element, "
                  "Number* y, Number* terms) {\n",
                  body, "  }\n};\n");
  return text;
}

// Blocks that must fit on a multiprocessor together: what holds the compiler
// to 64 registers a thread (128 in float64). A heavy program has all of them,
// since it is not memory that it waits for.
int BlocksTogether(const LoweredProgram& program, const LaunchLayout& layout,
                   int threads) {
  if (layout.is_heavy() || layout.num_sums() > 4) return 1;
  constexpr int kRegisters = 65536;
  const int registers = program.compute == DType::kFloat64 ? 128 : 64;
  return kRegisters / registers / threads;
}

std::string Entries(const LoweredProgram& program, const LaunchLayout& layout,
                    CudaPart part) {
  std::string text;
  const auto entry = [&](KernelEntry which, int blocks,
                         const std::string& call) {
    if (layout.part(which) != part) return;
    absl::StrAppend(&text, "ACTSERVE_KERNEL(", layout.threads(which), ", ",
                    blocks, ")\n", KernelEntryName(which),
                    "(const Argument argument) { ", call, "(argument); }\n");
  };
  const int threads = layout.threads(KernelEntry::kRun);
  const int vectors = layout.vectors_in_flight(KernelEntry::kRun);
  const int blocks = BlocksTogether(program, layout, threads);
  if (layout.has_table()) {
    // Looking up takes few registers.
    entry(KernelEntry::kRun, 4,
          absl::StrCat("RunTable<", threads, ", ", vectors, ">"));
    const int shared_threads = layout.threads(KernelEntry::kRunShared);
    entry(KernelEntry::kRunShared, 1,
          absl::StrCat("RunSharedTable<", shared_threads, ", ",
                       layout.vectors_in_flight(KernelEntry::kRunShared), ">"));
    entry(KernelEntry::kFillTable, blocks,
          absl::StrCat("FillTable<", layout.threads(KernelEntry::kFillTable),
                       ">"));
  } else if (layout.body() == LaunchLayout::Body::kSummed) {
    entry(KernelEntry::kRun, blocks,
          absl::StrCat("RunSummed<", layout.rows_in_flight(), ">"));
    entry(KernelEntry::kFinishSums, 1,
          absl::StrCat("FinishSums<", layout.threads(KernelEntry::kFinishSums),
                       ">"));
  } else {
    const bool unrolled = layout.body() == LaunchLayout::Body::kUnrolled;
    const int width = layout.body() == LaunchLayout::Body::kScalar
                          ? 1
                          : layout.vector_elements();
    entry(KernelEntry::kRun, blocks,
          absl::StrCat("Run<", threads, ", ", unrolled ? "true" : "false", ", ",
                       width, ", ", vectors, ">"));
  }
  return text;
}

}  // namespace

std::string EmitCuda(const LoweredProgram& program, CudaPart part) {
  const LaunchLayout layout(program);
  BodyPrinter printer(program);
  const std::string body = part == CudaPart::kProgram ? printer.Print() : "";
  std::vector<std::string> symbols = printer.symbols();
  symbols.push_back(kConversion);
  std::string text = BareText(kPrelude);
  for (const std::string& path : MathHeadersFor(symbols)) {
    absl::StrAppend(&text, BareText(path));
  }
  absl::StrAppend(&text, PrintProgram(program, layout, body),
                  BareText(kSkeleton), Entries(program, layout, part));
  return text;
}

const std::string& CudaTextFingerprint() {
  static const std::string* const fingerprint = [] {
    std::string all = absl::StrCat(BareText(kPrelude), BareText(kSkeleton));
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
