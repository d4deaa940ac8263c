#include "kernels/device/cpu/compile/kernel_builder.h"

#include <cstring>
#include <optional>

#include "absl/strings/string_view.h"
#include "kernels/base/sha256.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

// Everything of a program that the code depends on, as bytes that are equal
// for equal programs only. Names of inputs and outputs do not matter.
class Serializer {
 public:
  void Number(int64_t value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void Text(absl::string_view text) {
    Number(text.size());
    bytes_.append(text.data(), text.size());
  }
  void Program(const LoweredProgram& program) {
    const Graph& graph = program.graph;
    for (DType dtype : {program.storage, program.compute}) {
      Number(static_cast<int64_t>(dtype));
    }
    Number(static_cast<int64_t>(program.rule));
    Number(program.interleave);
    Number(program.num_compute_inputs);
    Number(program.num_row_inputs);
    Number(graph.inputs.size());
    Number(graph.parameters.size());
    Number(graph.outputs.size());
    for (const Output& output : graph.outputs) {
      Number(output.node);
      Number(output.summed);
    }
    Number(graph.nodes().size());
    for (const Node& node : graph.nodes()) {
      // By name, since the numbers of ops change when one is added.
      Text(std::string(Info(node.op).name));
      for (NodeId operand : node.operands) Number(operand);
      int64_t bits;
      std::memcpy(&bits, &node.constant, sizeof(bits));
      Number(bits);
      Number(node.index);
    }
  }
  std::string Digest() const { return Sha256Hex(bytes_); }

 private:
  std::string bytes_;
};

}  // namespace

std::string KernelBuilder::Key(const LoweredProgram& program,
                               KernelVariant variant) const {
  Serializer serializer;
  serializer.Text(compiler_->fingerprint());
  serializer.Number(static_cast<int64_t>(variant));
  serializer.Program(program);
  return serializer.Digest();
}

absl::StatusOr<KernelBuilder::Built> KernelBuilder::Build(
    const LoweredProgram& program, KernelVariant variant,
    const StopToken& stop) {
  std::string key;
  Built built;
  if (cache_ != nullptr) {
    key = Key(program, variant);
    if (std::optional<std::string> object = cache_->Load(key)) {
      absl::StatusOr<std::unique_ptr<LoadedKernel>> kernel =
          loader_->Load(*object);
      if (kernel.ok()) {
        built.kernel = *std::move(kernel);
        built.object_size_bytes = object->size();
        built.from_disk = true;
        ++num_from_disk_;
        return built;
      }
    }
  }
  ACTSERVE_ASSIGN_OR_RETURN(std::string object,
                            compiler_->Compile(program, variant, stop));
  ACTSERVE_ASSIGN_OR_RETURN(built.kernel, loader_->Load(object));
  if (cache_ != nullptr) cache_->Store(key, object);
  built.object_size_bytes = object.size();
  ++num_compiled_;
  return built;
}

absl::StatusOr<KernelFunction> LazyKernel::Get(const StopToken& stop) {
  if (const KernelFunction built = function_) return built;
  absl::MutexLock lock(&mutex_);
  if (kernel_ == nullptr) {
    ACTSERVE_ASSIGN_OR_RETURN(KernelBuilder::Built built,
                              builder_->Build(program_, variant_, stop));
    kernel_ = std::move(built.kernel);
    object_size_bytes_ = built.object_size_bytes;
    function_ = kernel_->function();
  }
  return function_.load();
}

}  // namespace actserve
