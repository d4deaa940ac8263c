// What a call costs by each way to the same engine: in the process, through
// memory that is shared with a server on the host, and sent over a unix socket
// and TCP.
//
// Prints a Markdown table. Only ratios within one run mean anything: short
// blocks of calls by each way alternate, a repetition gives the median time of
// each, and the table has the median of those and their ratio to the first way.

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "client/load/testing/load.h"
#include "kernels/base/process_options.h"
#include "kernels/base/quantile.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

struct Settings {
  int repetitions = 9;
  std::vector<int64_t> payload_bytes = {1 << 10, 16 << 10, 64 << 10,
                                        1 << 20, 16 << 20, 64 << 20};
  std::string activation = "silu";
  int threads = 1;
  int callers = 8;
  double window_seconds = 0.5;
  std::string folder;  // of the server binaries
};

// A way to the engine, with tensors in memory that suits it.
struct Way {
  std::string name;
  Client* client;
  bool allocates;
};

// The tensors of one caller by one way.
class Caller {
 public:
  Caller(const Way& way, const std::string& activation, int64_t size_bytes)
      : client_(*way.client), activation_(activation), size_(size_bytes) {
    if (way.allocates) {
      x_ = client_.Allocate(size_);
      y_ = client_.Allocate(size_);
    } else {
      x_ = std::shared_ptr<std::byte[]>(new std::byte[size_]);
      y_ = std::shared_ptr<std::byte[]>(new std::byte[size_]);
    }
    const ReluTensors tensors(size_bytes);
    std::memcpy(x_.get(), tensors.x.data(), size_);
    std::memset(y_.get(), 0, size_);
  }

  void operator()() {
    const TensorView x = {v1::DTYPE_FLOAT32,
                          {static_cast<int64_t>(size_ / sizeof(float))},
                          {x_.get(), size_}};
    const absl::Status status =
        client_.Forward(activation_, {x}, absl::MakeSpan(y_.get(), size_));
    if (!status.ok()) Fail(status.ToString());
  }

  bool HasSameResult(const Caller& other) const {
    return std::memcmp(y_.get(), other.y_.get(), size_) == 0;
  }

 private:
  Client& client_;
  const std::string activation_;
  const size_t size_;
  std::shared_ptr<std::byte[]> x_;
  std::shared_ptr<std::byte[]> y_;
};

// The median seconds of a call by each way, in each repetition.
std::vector<std::vector<double>> MeasureTimes(const std::vector<Way>& ways,
                                              int64_t payload_bytes,
                                              const Settings& settings) {
  std::vector<std::unique_ptr<Caller>> callers;
  for (const Way& way : ways) {
    callers.push_back(
        std::make_unique<Caller>(way, settings.activation, payload_bytes));
    (*callers.back())();
    if (!callers.back()->HasSameResult(*callers.front())) {
      Fail(absl::StrCat(way.name, ": other bits"));
    }
  }
  const int block =
      static_cast<int>(std::clamp<int64_t>((8 << 20) / payload_bytes, 1, 100));
  const int num_blocks = payload_bytes > 32 << 20 ? 3 : 10;
  std::vector<std::vector<double>> medians(ways.size());
  for (int repetition = 0; repetition < settings.repetitions; ++repetition) {
    std::vector<std::vector<double>> seconds(ways.size());
    for (int i = 0; i < num_blocks; ++i) {
      for (size_t k = 0; k < ways.size(); ++k) {
        const size_t w = (i + repetition + k) % ways.size();
        const auto some = RunBlock([&] { (*callers[w])(); }, block);
        seconds[w].insert(seconds[w].end(), some.begin(), some.end());
      }
    }
    for (size_t w = 0; w < ways.size(); ++w) {
      medians[w].push_back(Median(seconds[w]));
    }
  }
  return medians;
}

// Calls a second of many callers at once by each way, in each repetition.
std::vector<std::vector<double>> MeasureRates(const std::vector<Way>& ways,
                                              int64_t payload_bytes,
                                              const Settings& settings) {
  std::vector<std::vector<double>> rates(ways.size());
  for (int repetition = -1; repetition < settings.repetitions; ++repetition) {
    for (size_t k = 0; k < ways.size(); ++k) {
      const size_t w = (k + static_cast<size_t>(repetition + 1)) % ways.size();
      std::vector<std::thread> threads;
      std::vector<int64_t> counts(settings.callers);
      const absl::Time end =
          absl::Now() + absl::Seconds(settings.window_seconds);
      for (int c = 0; c < settings.callers; ++c) {
        threads.emplace_back([&, c] {
          Caller caller(ways[w], settings.activation, payload_bytes);
          int64_t count = 0;
          while (absl::Now() < end) {
            caller();
            ++count;
          }
          counts[c] = count;
        });
      }
      for (std::thread& thread : threads) thread.join();
      if (repetition < 0) continue;  // warm-up
      int64_t count = 0;
      for (const int64_t each : counts) count += each;
      rates[w].push_back(count / settings.window_seconds);
    }
  }
  return rates;
}

void AddRow(const std::string& request, const std::string& unit,
            const std::vector<std::vector<double>>& values, double scale,
            std::string& text) {
  absl::StrAppend(&text, "| ", request, " | ", unit);
  for (const std::vector<double>& of_way : values) {
    std::vector<double> ratios;
    for (size_t r = 0; r < of_way.size(); ++r) {
      ratios.push_back(of_way[r] / values[0][r]);
    }
    absl::StrAppend(
        &text, " | ",
        absl::StrFormat("%.1f (%.2f)", Median(of_way) * scale, Median(ratios)));
  }
  absl::StrAppend(&text, " |\n");
}

int Main(int argc, char** argv) {
  SetProcessOptions();
  Settings settings;
  settings.folder = std::filesystem::canonical("/proc/self/exe").parent_path();
  CLI::App app("Compares the ways to one engine.");
  app.add_option("--repetitions", settings.repetitions,
                 "Repetitions of each row")
      ->capture_default_str();
  app.add_option("--payload_bytes", settings.payload_bytes,
                 "Sizes of the tensor, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--activation", settings.activation, "What is computed")
      ->capture_default_str();
  app.add_option("--threads", settings.threads,
                 "Threads that share one large tensor, by every way")
      ->capture_default_str();
  app.add_option("--callers", settings.callers,
                 "Threads of the calls/s row; 0 leaves it out")
      ->capture_default_str();
  app.add_option("--binaries", settings.folder, "Folder that holds actserved")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const auto server = StartServer(
      settings.folder + "/actserved",
      {"--device=cpu", absl::StrCat("--device_threads=", settings.threads)});
  LocalOptions local_options;
  local_options.num_threads = settings.threads;
  auto local = Client::Local(local_options);
  if (!local.ok()) Fail(local.status().ToString());
  const auto shared = Connect(server->unix_address(), {});
  const auto by_unix = Connect(server->unix_address());
  const auto by_tcp = Connect(server->tcp_address());
  const std::vector<Way> ways = {{"local", local->get(), false},
                                 {"shared, in place", shared.get(), true},
                                 {"shared, copied", shared.get(), false},
                                 {"unix socket", by_unix.get(), false},
                                 {"TCP", by_tcp.get(), false}};
  std::string text = "| request | unit";
  for (const Way& way : ways) absl::StrAppend(&text, " | ", way.name);
  absl::StrAppend(&text, " |\n|---|---");
  for (size_t w = 0; w < ways.size(); ++w) absl::StrAppend(&text, "|---");
  absl::StrAppend(&text, "|\n");
  for (const int64_t payload_bytes : settings.payload_bytes) {
    AddRow(SizeName(payload_bytes), "us",
           MeasureTimes(ways, payload_bytes, settings), 1e6, text);
  }
  if (settings.callers > 0) {
    AddRow(absl::StrCat("1 KiB, ", settings.callers, " callers"), "1000/s",
           MeasureRates(ways, 1 << 10, settings), 1e-3, text);
  }
  std::cout << text;
  return 0;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
