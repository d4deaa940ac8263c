// Client::Auto(): each call goes the way that is the shortest for its size.

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "client/cpp/in_process.h"
#include "client/local/distances.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

// What is measured: float32 elements of gelu, which costs about what most
// activations do.
constexpr std::array<int64_t, 5> kElements = {1 << 8, 1 << 12, 1 << 16, 1 << 19,
                                              1 << 22};
constexpr absl::Duration kTime = absl::Milliseconds(20);

class AutoCalls final : public InProcess {
 public:
  AutoCalls(std::shared_ptr<Client> local, std::shared_ptr<Client> remote)
      : local_(std::move(local)), remote_(std::move(remote)) {}

  absl::StatusOr<std::vector<grpc::Slice>> Call(
      absl::string_view method, absl::Span<const ByteSpan> parts,
      absl::Span<const absl::Span<std::byte>> outputs,
      const Bounds& bounds) override {
    // Each end knows the text afterwards; what one does not know any more is
    // registered again.
    if (method == "RegisterActivation") {
      auto registered = Ask(*local_, method, parts, outputs, bounds);
      if (!registered.ok()) return registered;
      const auto at_server = Ask(*remote_, method, parts, outputs, bounds);
      return absl::IsInvalidArgument(at_server.status()) ? at_server
                                                         : registered;
    }
    if (method != "Forward" && method != "Backward") {
      return Ask(*remote_, method, parts, outputs, bounds);
    }
    absl::call_once(measured_, [this] { MeasureWays(); });
    // A Backward by handle has a tensor of its Forward's size, so it goes where
    // the residual is.
    size_t most_bytes = 0;
    for (const ByteSpan part : parts) {
      most_bytes = std::max(most_bytes, part.size());
    }
    Client& first = IsLocal(most_bytes) ? *local_ : *remote_;
    auto answer = Ask(first, method, parts, outputs, bounds);
    if (&first == remote_.get() && absl::IsUnavailable(answer.status())) {
      return Ask(*local_, method, parts, outputs, bounds);
    }
    return answer;
  }

 private:
  static absl::StatusOr<std::vector<grpc::Slice>> Ask(
      Client& client, absl::string_view method,
      absl::Span<const ByteSpan> parts,
      absl::Span<const absl::Span<std::byte>> outputs, const Bounds& bounds) {
    CallOptions options;
    options.timeout = bounds.deadline - absl::Now();
    if (options.timeout <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError("the timeout has passed");
    }
    options.cancellation = bounds.cancellation;
    return client.CallUnread({method.data(), method.size()}, parts, outputs,
                             options);
  }

  bool IsLocal(size_t size_bytes) const {
    for (size_t i = 0; i + 1 < kElements.size(); ++i) {
      // Nearer to this size than to the next one.
      const auto here = static_cast<size_t>(kElements[i]) * sizeof(float);
      if (size_bytes < 4 * here) return is_local_[i];
    }
    return is_local_.back();
  }

  void MeasureWays() {
    const std::vector<Way> ways = {{"local", local_, false},
                                   {"server", remote_, false}};
    for (size_t i = 0; i < kElements.size(); ++i) {
      Step step;
      step.activation = [](Client&) { return std::string("gelu"); };
      step.shape = {kElements[i]};
      const auto distances = Measure(ways, step, kTime);
      is_local_[i] = !distances.ok() || !(*distances)[1].status.ok() ||
                     (*distances)[0].step <= (*distances)[1].step;
    }
  }

  const std::shared_ptr<Client> local_;
  const std::shared_ptr<Client> remote_;
  absl::once_flag measured_;
  std::array<bool, kElements.size()> is_local_ = {};
};

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Auto(
    std::string_view address, const Options& options,
    const LocalOptions& local_options) {
  ACTSERVE_ASSIGN_OR_RETURN(std::shared_ptr<Client> remote,
                            Connect(address, options));
  ACTSERVE_ASSIGN_OR_RETURN(std::shared_ptr<Client> local,
                            Local(local_options));
  return Over(std::make_unique<AutoCalls>(std::move(local), std::move(remote)),
              options);
}

}  // namespace actserve
