#ifndef ACTSERVE_SERVER_ENGINE_ENGINE_H_
#define ACTSERVE_SERVER_ENGINE_ENGINE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/control/control_methods.h"
#include "server/engine/device_choice.h"
#include "server/engine/engine_options.h"
#include "server/evaluation/serving_parts.h"
#include "server/message/response.h"
#include "server/scheduling/worker_pool.h"

namespace actserve {

// A server without doors: it answers the calls of the process that it is in.
// Thread-safe; many threads may call it at once.
class Engine {
 public:
  //   InvalidArgument  an option is out of its range
  static absl::StatusOr<std::unique_ptr<Engine>> Create(
      const EngineOptions& options, ChosenDevice device);

  struct Call {
    // Of v1::ActivationService: "Forward".
    absl::string_view method;
    // The encoded request, with its tensors where the caller has them.
    absl::Span<const Fragment> message;
    // Where the caller wants the payloads of the response: they are written
    // there, and the response refers to them, wherever the sizes are right and
    // nothing else of the call lies there.
    absl::Span<const absl::Span<std::byte>> outputs = {};
    // Where the device has what an address of `message` or `outputs` stands
    // for, if it is in the device's own memory and not in this process; null of
    // any other. Nothing is read or written at such an address. May be null.
    std::function<std::byte*(const std::byte*)> on_device = nullptr;
    // Work that has not started by then never starts.
    absl::Time deadline = absl::InfiniteFuture();
    // True once nobody wants the answer. May be null.
    std::function<bool()> is_cancelled = nullptr;
  };

  // "cpu", "cuda:0": what computes.
  std::string device_name() const { return device_->name(); }

  // Answers a call. Blocks until it is done with the caller's memory. Errors
  // are those of the contract, with their details as payloads of the status.
  //   Unimplemented  no such method
  absl::StatusOr<EncodedResponse> Serve(const Call& call);

  // Answers a call like earlier ones, of which nothing is wanted but its
  // outputs. Returns nullopt, and has done nothing, where that is not all
  // (RunPlainCall()): then Serve() it.
  std::optional<absl::Status> ServePlain(const Call& call);

 private:
  class TensorCall;

  Engine(const EngineOptions& options, ChosenDevice device,
         std::unique_ptr<Registry> registry, v1::ServerInfo info);
  // Forgets residuals whose lease is over, once a second.
  void SweepIfDue();

  // In the order of construction: each member uses those above it. programs_
  // and serving_ also refer to threads below them, which end first.
  const std::unique_ptr<Device> device_;
  const std::unique_ptr<Registry> registry_;
  const std::shared_ptr<BufferPool> buffers_;
  Residuals residuals_;
  PlanCache plans_;
  Programs programs_;
  MemoryBudget memory_;
  const ServingParts serving_;
  ControlMethods control_;
  std::atomic<int64_t> next_sweep_nanos_ = 0;
  Scheduler scheduler_;
  WorkerPool compile_pool_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_ENGINE_ENGINE_H_
