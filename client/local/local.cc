// Client::Local(): the calls of a client over an engine of its own.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "client/cpp/in_process.h"
#include "client/local/device_memory.h"
#include "kernels/base/status_macros.h"
#include "kernels/device/object_cache.h"
#include "server/engine/device_makers.h"
#include "server/engine/engine.h"

namespace actserve {
namespace {

// The bytes of `piece` as slices of a reply. `on_device` as in Engine::Call.
void AddSlices(EncodedResponse::Piece piece,
               const std::function<std::byte*(const std::byte*)>& on_device,
               std::vector<grpc::Slice>& slices) {
  if (!piece.bytes.empty()) slices.emplace_back(piece.bytes);
  if (piece.buffer.size_bytes() == 0) return;
  auto* const buffer = new Buffer(std::move(piece.buffer));
  std::byte* const there =
      on_device != nullptr ? on_device(buffer->data()) : nullptr;
  slices.emplace_back(
      there != nullptr ? there : buffer->data(), buffer->size_bytes(),
      [](void* owner) { delete static_cast<Buffer*>(owner); }, buffer);
}

class LocalCalls final : public InProcess {
 public:
  explicit LocalCalls(std::unique_ptr<Engine> engine)
      : engine_(std::move(engine)), device_memory_(engine_->device_name()) {}

  absl::StatusOr<std::vector<grpc::Slice>> Call(
      absl::string_view method, absl::Span<const ByteSpan> parts,
      absl::Span<const absl::Span<std::byte>> outputs,
      const Bounds& bounds) override {
    if (!device_memory_.IsUsed(parts, outputs)) {
      return Serve(method, parts, outputs, bounds, /*on_device=*/nullptr);
    }
    ACTSERVE_ASSIGN_OR_RETURN(const DeviceMemory::Call call,
                              device_memory_.Begin(parts, outputs, bounds));
    return Serve(
        method, call.parts, call.outputs, bounds,
        [&call](const std::byte* address) { return call.OnDevice(address); });
  }

  std::optional<absl::Status> CallInto(
      absl::string_view method, absl::Span<const ByteSpan> parts,
      absl::Span<const absl::Span<std::byte>> outputs,
      const Bounds& bounds) override {
    if (device_memory_.IsUsed(parts, outputs)) return std::nullopt;
    const Request request(method, parts, outputs, bounds,
                          /*on_device=*/nullptr);
    return engine_->ServePlain(request.call);
  }

  absl::Status ShareDevice(const void* pointer) override {
    return device_memory_.Share(pointer);
  }
  void ForgetDevice(const void* pointer) override {
    device_memory_.Forget(pointer);
  }
  bool IsOnDevice(absl::Span<const ByteSpan> parts,
                  absl::Span<const absl::Span<std::byte>> outputs) override {
    return device_memory_.IsUsed(parts, outputs);
  }

 private:
  // A call as the engine takes it.
  struct Request {
    Request(absl::string_view method, absl::Span<const ByteSpan> parts,
            absl::Span<const absl::Span<std::byte>> outputs,
            const Bounds& bounds,
            const std::function<std::byte*(const std::byte*)>& on_device) {
      for (const ByteSpan part : parts) {
        if (!part.empty()) message.push_back({part.data(), part.size()});
      }
      call = {.method = method,
              .message = message,
              .outputs = outputs,
              .on_device = on_device,
              .deadline = bounds.deadline};
      if (bounds.cancellation != nullptr) {
        call.is_cancelled = [&bounds] {
          return bounds.cancellation->cancelled();
        };
      }
    }
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    absl::InlinedVector<Fragment, 8> message;
    Engine::Call call;
  };

  absl::StatusOr<std::vector<grpc::Slice>> Serve(
      absl::string_view method, absl::Span<const ByteSpan> parts,
      absl::Span<const absl::Span<std::byte>> outputs, const Bounds& bounds,
      const std::function<std::byte*(const std::byte*)>& on_device) {
    const Request request(method, parts, outputs, bounds, on_device);
    ACTSERVE_ASSIGN_OR_RETURN(EncodedResponse response,
                              engine_->Serve(request.call));
    std::vector<grpc::Slice> slices;
    for (EncodedResponse::Piece& piece : response.pieces) {
      AddSlices(std::move(piece), on_device, slices);
    }
    return slices;
  }

  const std::unique_ptr<Engine> engine_;
  DeviceMemory device_memory_;
};

// A step of a training comes back within that time.
constexpr absl::Duration kSpin = absl::Microseconds(100);

DeviceOptions DeviceOptionsOf(const LocalOptions& options) {
  DeviceOptions device;
  device.device = options.device;
  device.device_threads = options.num_threads;
  device.device_spin = kSpin;
  device.cache_directory = options.cache_directory;
  device.cache_directory_required = !options.cache_directory.empty();
  if (options.cache_directory.empty()) {
    device.cache_directory = ObjectCache::DefaultPath();
  } else if (options.cache_directory == "none") {
    device.cache_directory.clear();
  }
  return device;
}

// Nobody else has to be protected from the caller, so only the memory of the
// process bounds a call.
EngineOptions EngineOptionsForOne() {
  constexpr int64_t kUnbounded = int64_t{1} << 50;
  EngineOptions options;
  options.max_memory_bytes = kUnbounded;
  options.max_message_bytes = kUnbounded;
  options.tensor.elements = kUnbounded;
  options.residuals.max_bytes = kUnbounded;
  options.programs.compile_time_per_minute = absl::Hours(24);
  options.scheduler.inline_bytes = kUnbounded;
  options.scheduler.queue.max_queued_bytes = kUnbounded;
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Local(
    const LocalOptions& options) {
  if (options.timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "timeout ", absl::FormatDuration(options.timeout), " is not positive"));
  }
  if (options.num_threads < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_threads ", options.num_threads, " is less than 0"));
  }
  const DeviceOptions device_options = DeviceOptionsOf(options);
  ACTSERVE_ASSIGN_OR_RETURN(
      ChosenDevice device,
      ChooseDevice(device_options.device, MakersFor(device_options)));
  ACTSERVE_ASSIGN_OR_RETURN(
      std::unique_ptr<Engine> engine,
      Engine::Create(EngineOptionsForOne(), std::move(device)));
  return Over(std::make_unique<LocalCalls>(std::move(engine)),
              {.timeout = options.timeout});
}

absl::StatusOr<std::unique_ptr<Client>> Client::Local() {
  return Local(LocalOptions());
}

}  // namespace actserve
