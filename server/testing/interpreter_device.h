#ifndef ACTSERVE_SERVER_TESTING_INTERPRETER_DEVICE_H_
#define ACTSERVE_SERVER_TESTING_INTERPRETER_DEVICE_H_

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "kernels/graph/interpret.h"

namespace actserve::testing {

class InterpretedProgram final : public Program {
 public:
  explicit InterpretedProgram(LoweredProgram lowered)
      : Program(std::move(lowered)) {}
};

// Computes float32 programs with the interpreter.
class InterpreterDevice final : public Device {
 public:
  std::string name() const override { return "interpreter"; }
  std::string description() const override { return "a device of a test"; }
  absl::StatusOr<std::shared_ptr<const Program>> Compile(
      const LoweredProgram& program, const StopToken&) override {
    ++num_compiled;
    if (!compile_error.ok()) return compile_error;
    return std::make_shared<InterpretedProgram>(program);
  }
  absl::Status Run(const Program& program,
                   absl::Span<WorkItem> items) override {
    if (started != nullptr) started->Notify();
    if (may_finish != nullptr) may_finish->WaitForNotification();
    for (WorkItem& item : items) RunItem(program.lowered().graph, item);
    return run_error;
  }

  int num_compiled = 0;
  // If set: tells that a run began; holds a run up.
  absl::Notification* started = nullptr;
  absl::Notification* may_finish = nullptr;
  absl::Status compile_error;
  absl::Status run_error;

 private:
  // Each input must be one fragment.
  static void RunItem(const Graph& graph, WorkItem& item) {
    const std::vector<float> parameters(item.parameters.begin(),
                                        item.parameters.end());
    for (int64_t i = 0; i < item.num_elements; ++i) {
      std::vector<float> at;
      for (absl::Span<const Fragment> input : item.inputs) {
        std::memcpy(&at.emplace_back(), input[0].data + 4 * i, 4);
      }
      const std::vector<float> results =
          actserve::Evaluate<float>(graph, at, parameters);
      size_t tensor = 0;
      size_t sum = 0;
      for (size_t k = 0; k < results.size(); ++k) {
        if (graph.outputs[k].summed) {
          item.sums[sum++] += results[k];
        } else {
          std::byte* const to = item.outputs[tensor++];
          std::memcpy(to + 4 * i, &results[k], 4);
        }
      }
    }
  }
};

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_TESTING_INTERPRETER_DEVICE_H_
