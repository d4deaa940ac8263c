#include "client/local/distances.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cpp/tensor_calls.h"
#include "kernels/base/quantile.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

// Of one way: its tensors, and the times so far.
class Runner {
 public:
  Runner(const Way& way, const Step& step, size_t size_bytes)
      : client_(*way.client), step_(step), size_bytes_(size_bytes) {
    for (int i = 0; i < step.num_inputs; ++i) {
      inputs_.push_back(Allocate(way.in_place));
      gradients_.push_back(Allocate(way.in_place));
    }
    output_ = Allocate(way.in_place);
    grad_output_ = Allocate(way.in_place);
  }

  // Finds the activation, and makes a step, which compiles.
  absl::Status Prepare() {
    ACTSERVE_ASSIGN_OR_RETURN(activation_, step_.activation(client_));
    ACTSERVE_ASSIGN_OR_RETURN(const v1::Activation known,
                              client_.GetActivation(activation_));
    for (int i = 0; i < step_.num_inputs && i < known.inputs_size(); ++i) {
      names_.push_back(known.inputs(i));
    }
    if (static_cast<int>(names_.size()) != step_.num_inputs) {
      return absl::InvalidArgumentError(
          absl::StrCat(step_.num_inputs, " inputs, but ", activation_, " has ",
                       known.inputs_size()));
    }
    return RunOnce(nullptr, nullptr);
  }

  absl::Status RunFor(absl::Duration time) {
    const absl::Time end = absl::Now() + time;
    do {
      absl::Duration forward, step;
      ACTSERVE_RETURN_IF_ERROR(RunOnce(&forward, &step));
      forwards_.push_back(absl::ToDoubleSeconds(forward));
      steps_.push_back(absl::ToDoubleSeconds(step));
    } while (absl::Now() < end);
    return absl::OkStatus();
  }

  absl::Duration forward() const { return absl::Seconds(Median(forwards_)); }
  absl::Duration step() const { return absl::Seconds(Median(steps_)); }

 private:
  using Memory = std::shared_ptr<std::byte[]>;

  Memory Allocate(bool in_place) const {
    Memory memory;
    if (in_place) memory = client_.Allocate(size_bytes_);
    if (memory == nullptr) memory = Memory(new std::byte[size_bytes_]);
    // Small numbers of every dtype, without denormals or infinities.
    std::memset(memory.get(), 0x3b, size_bytes_);
    return memory;
  }

  TensorView ViewOf(const Memory& memory) const {
    return {step_.dtype, step_.shape, {memory.get(), size_bytes_}};
  }
  absl::Span<std::byte> SpanOf(const Memory& memory) const {
    return absl::MakeSpan(memory.get(), size_bytes_);
  }

  absl::Status RunOnce(absl::Duration* forward, absl::Duration* step) {
    BackwardCall backward;
    backward.activation = activation_;
    backward.options.axis = step_.axis;
    backward.grad_output = ViewOf(grad_output_);
    for (size_t i = 0; i < inputs_.size(); ++i) {
      backward.inputs.push_back(ViewOf(inputs_[i]));
      backward.wrt.push_back({names_[i], SpanOf(gradients_[i])});
    }
    const absl::Time start = absl::Now();
    ACTSERVE_RETURN_IF_ERROR(client_.Forward(
        activation_, backward.inputs, SpanOf(output_), backward.options));
    const absl::Time middle = absl::Now();
    ACTSERVE_RETURN_IF_ERROR(client_.Backward(backward).status());
    if (forward != nullptr) *forward = middle - start;
    if (step != nullptr) *step = absl::Now() - start;
    return absl::OkStatus();
  }

  Client& client_;
  const Step& step_;
  const size_t size_bytes_;
  std::string activation_;
  std::vector<std::string> names_;
  std::vector<Memory> inputs_;
  std::vector<Memory> gradients_;
  Memory output_;
  Memory grad_output_;
  std::vector<double> forwards_;
  std::vector<double> steps_;
};

absl::StatusOr<size_t> SizeBytesOf(const Step& step) {
  int64_t size_bytes = ItemSizeBytes(step.dtype);
  for (const int64_t dimension : step.shape) {
    if (dimension < 0 ||
        __builtin_mul_overflow(size_bytes, dimension, &size_bytes) ||
        size_bytes > std::numeric_limits<int32_t>::max()) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape [", absl::StrJoin(step.shape, ", "),
                       "]: a dimension is negative, or the tensor larger than "
                       "2 GiB"));
    }
  }
  return static_cast<size_t>(size_bytes);
}

}  // namespace

absl::StatusOr<std::vector<Way>> WaysTo(const std::string& address,
                                        const Client::Options& options,
                                        const LocalOptions& local_options) {
  std::vector<Way> ways;
  ACTSERVE_ASSIGN_OR_RETURN(std::shared_ptr<Client> local,
                            Client::Local(local_options));
  ways.push_back({"local", std::move(local), false});
  if (address.empty()) return ways;
  if (absl::StartsWith(address, "unix:") && options.shared_memory) {
    ACTSERVE_ASSIGN_OR_RETURN(std::shared_ptr<Client> shared,
                              Client::Connect(address, options));
    ways.push_back({"shared memory, in place", shared, true});
    ways.push_back({"shared memory, copied", shared, false});
  }
  Client::Options sending = options;
  sending.shared_memory = false;
  ACTSERVE_ASSIGN_OR_RETURN(std::shared_ptr<Client> sent,
                            Client::Connect(address, sending));
  ways.push_back({"sent", std::move(sent), false});
  return ways;
}

absl::StatusOr<std::vector<Distance>> Measure(const std::vector<Way>& ways,
                                              const Step& step,
                                              absl::Duration time) {
  constexpr int kTurns = 5;
  ACTSERVE_ASSIGN_OR_RETURN(const size_t size_bytes, SizeBytesOf(step));
  std::vector<std::unique_ptr<Runner>> runners;
  std::vector<Distance> distances;
  for (const Way& way : ways) {
    runners.push_back(std::make_unique<Runner>(way, step, size_bytes));
    distances.push_back({way.name, runners.back()->Prepare(), {}, {}});
  }
  for (int turn = 0; turn < kTurns; ++turn) {
    for (size_t i = 0; i < ways.size(); ++i) {
      if (!distances[i].status.ok()) continue;
      distances[i].status = runners[i]->RunFor(time / kTurns);
    }
  }
  for (size_t i = 0; i < ways.size(); ++i) {
    if (!distances[i].status.ok()) continue;
    distances[i].forward = runners[i]->forward();
    distances[i].step = runners[i]->step();
  }
  return distances;
}

}  // namespace actserve
