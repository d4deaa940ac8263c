// Sends from several threads through one client, and collects the results as
// futures: a tensor is cut into shards, and each shard goes forward and
// backward on a thread of its own.
//   futures [ADDRESS]

#include <cstdio>
#include <cstring>
#include <future>
#include <memory>
#include <vector>

#include "client/cpp/client.h"

namespace {

using actserve::Client;

constexpr int kShards = 8;
constexpr int kShardElements = 50'000;
constexpr int kElements = kShards * kShardElements;

// y = gelu(x) and dx = dL/dx by dy = dL/dy, into the caller's memory.
absl::Status Step(Client& client, absl::Span<const float> x,
                  absl::Span<const float> dy, absl::Span<std::byte> y,
                  absl::Span<std::byte> dx) {
  actserve::ForwardCall forward;
  forward.activation = "gelu";
  forward.inputs = {actserve::View(x)};
  forward.output = y;
  forward.keep_residual = true;
  const auto kept = client.ForwardWith(forward);
  if (!kept.ok()) return kept.status();

  actserve::BackwardCall backward;
  backward.activation = "gelu";
  if (kept->residual) backward.residual = kept->residual->handle();
  backward.inputs = {actserve::View(x)};  // if the server has lost the residual
  backward.grad_output = actserve::View(dy);
  backward.wrt = {{"x", dx}};
  return client.Backward(backward).status();
}

absl::Status Run(const char* address) {
  // A client is thread-safe: one is enough.
  const auto client = Client::Connect(address);
  if (!client.ok()) return client.status();
  std::vector<float> x(kElements), dy(kElements), y(kElements), dx(kElements);
  for (int i = 0; i < kElements; ++i) {
    x[i] = 8.0f * i / kElements - 4;
    dy[i] = 1.0f / (1 + i % 7);
  }

  std::vector<std::future<absl::Status>> futures;
  for (int shard = 0; shard < kShards; ++shard) {
    const int begin = shard * kShardElements;
    const size_t bytes = kShardElements * sizeof(float);
    futures.push_back(std::async(std::launch::async, [&, begin, bytes] {
      return Step(
          **client, absl::MakeConstSpan(x).subspan(begin, kShardElements),
          absl::MakeConstSpan(dy).subspan(begin, kShardElements),
          actserve::MutableBytes(y).subspan(begin * sizeof(float), bytes),
          actserve::MutableBytes(dx).subspan(begin * sizeof(float), bytes));
    }));
  }
  absl::Status status;
  for (auto& future : futures) status.Update(future.get());
  if (!status.ok()) return status;

  // The same on one thread, in one piece.
  std::vector<float> whole_y(kElements), whole_dx(kElements);
  status = Step(**client, x, dy, actserve::MutableBytes(whole_y),
                actserve::MutableBytes(whole_dx));
  if (!status.ok()) return status;
  if (y != whole_y || dx != whole_dx) {
    return absl::InternalError("the shards differ from the whole");
  }
  double sum_y = 0, sum_dx = 0;
  for (int i = 0; i < kElements; ++i) {
    sum_y += y[i];
    sum_dx += dx[i];
  }
  std::printf(
      "%d shards on threads equal the whole: sum of y %.1f, of dx %.1f\n",
      kShards, sum_y, sum_dx);
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  const absl::Status status = Run(argc > 1 ? argv[1] : "");
  if (status.ok()) return 0;
  std::fprintf(stderr, "futures: %s\n", status.ToString().c_str());
  return 1;
}
