// What flags of actserved cost: Forward of relu on servers of the same binary,
// one with the flags, one without, and a second one without, which shows what
// the measurement cannot tell apart.
//
// Prints a Markdown table. Short windows of calls to the servers alternate, in
// an order and its reverse, which cancels a drift of the machine; a repetition
// gives the ratio of two servers, and the table has the median of those ratios
// with its 95 % confidence interval. Once of the time that a call takes, and
// once of the processor time that the server spends on it, which other
// processes disturb less.

#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
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
  int repetitions = 60;
  std::vector<int64_t> payload_bytes = {4 << 10, 1 << 20};
  std::vector<int> in_flight = {1, 8};
  double window_seconds = 0.1;
  std::string folder;  // of actserved
  std::vector<std::string> flags;
  std::vector<std::string> common_flags;
};

// One server with its client.
struct Server {
  Server(const std::string& binary, const std::vector<std::string>& flags)
      : process(StartServer(binary, flags)),
        client(Connect(process->tcp_address())) {}

  std::unique_ptr<testing::ServerProcess> process;
  std::unique_ptr<Client> client;
};

// The processor time of all threads of a process so far, in seconds.
double ProcessorSeconds(pid_t pid) {
  double nanoseconds = 0;
  const std::string folder = absl::StrCat("/proc/", pid, "/task");
  for (const auto& task : std::filesystem::directory_iterator(folder)) {
    double of_thread = 0;
    std::ifstream(task.path() / "schedstat") >> of_thread;
    nanoseconds += of_thread;
  }
  return nanoseconds * 1e-9;
}

// What a call takes, on average.
struct Cost {
  double seconds = 0;
  double server_seconds = 0;
};

// Measures calls when `tensors`.size() threads call for
// `seconds`.
Cost CostOfACall(Server& server,
                 const std::vector<std::unique_ptr<ReluTensors>>& tensors,
                 double seconds) {
  std::vector<int64_t> counts(tensors.size());
  std::vector<std::thread> threads;
  const double processor_start = ProcessorSeconds(server.process->pid());
  const absl::Time start = absl::Now();
  const absl::Time end = start + absl::Seconds(seconds);
  for (size_t t = 0; t < tensors.size(); ++t) {
    threads.emplace_back([&, t] {
      int64_t count = 0;
      for (; absl::Now() < end; ++count) Forward(*server.client, *tensors[t]);
      counts[t] = count;
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double elapsed = absl::ToDoubleSeconds(absl::Now() - start);
  int64_t count = 0;
  for (int64_t each : counts) count += each;
  return {elapsed / static_cast<double>(count),
          (ProcessorSeconds(server.process->pid()) - processor_start) /
              static_cast<double>(count)};
}

// "1.002 (0.998-1.005)": the median and its 95 % confidence interval, by the
// normal approximation of the binomial distribution.
std::string MedianWithInterval(std::vector<double> ratios) {
  std::ranges::sort(ratios);
  const auto n = static_cast<double>(ratios.size());
  const double half_width = 0.98 * std::sqrt(n);
  const auto at = [&](double rank) {
    return ratios[static_cast<size_t>(
        std::clamp(std::floor(rank), 0.0, n - 1))];
  };
  return absl::StrFormat("%.3f (%.3f-%.3f)", Median(ratios),
                         at(n / 2 - half_width), at(n / 2 + half_width));
}

constexpr int kNumServers = 3;
enum Role { kWithout, kWith, kControl };

void Measure(int64_t payload_bytes, int in_flight, const Settings& settings,
             std::array<Server, kNumServers>& servers) {
  std::vector<std::unique_ptr<ReluTensors>> tensors;
  for (int i = 0; i < in_flight; ++i) {
    tensors.push_back(std::make_unique<ReluTensors>(payload_bytes));
  }
  std::vector<double> times, processor_times;
  // By role.
  std::array<std::vector<double>, kNumServers> ratios, processor_ratios;
  // The first one warms up.
  for (int i = 0; i <= settings.repetitions; ++i) {
    std::array<Cost, kNumServers> costs;
    for (int turn = 0; turn < 2 * kNumServers; ++turn) {
      const int place = turn < kNumServers ? turn : 2 * kNumServers - 1 - turn;
      const int role = (place + i) % kNumServers;
      const Cost cost =
          CostOfACall(servers[role], tensors, settings.window_seconds);
      costs[role].seconds += cost.seconds;
      costs[role].server_seconds += cost.server_seconds;
    }
    if (i == 0) continue;
    const Cost& without = costs[kWithout];
    times.push_back(without.seconds / 2 * 1e6);
    processor_times.push_back(without.server_seconds / 2 * 1e6);
    for (int role : {kWith, kControl}) {
      ratios[role].push_back(costs[role].seconds / without.seconds);
      processor_ratios[role].push_back(costs[role].server_seconds /
                                       without.server_seconds);
    }
  }
  const std::string name =
      absl::StrCat(SizeName(payload_bytes), ", ", in_flight, " in flight");
  std::cout << absl::StrFormat("| %s | time | %.1f us | %s | %s |\n", name,
                               Median(times), MedianWithInterval(ratios[kWith]),
                               MedianWithInterval(ratios[kControl]))
            << absl::StrFormat(
                   "| %s | server's processor time | %.1f us | %s "
                   "| %s |",
                   name, Median(processor_times),
                   MedianWithInterval(processor_ratios[kWith]),
                   MedianWithInterval(processor_ratios[kControl]))
            << std::endl;
}

int Main(int argc, char** argv) {
  SetProcessOptions();
  Settings settings;
  settings.folder = std::filesystem::canonical("/proc/self/exe").parent_path();
  CLI::App app("Compares Forward of relu with and without flags of actserved.");
  app.add_option("--flag", settings.flags,
                 "A flag of the one server, such as "
                 "=--metrics=127.0.0.1:0; repeatable")
      ->required()
      ->allow_extra_args(false);
  app.add_option("--common_flag", settings.common_flags,
                 "A flag of all servers; repeatable")
      ->allow_extra_args(false);
  app.add_option("--repetitions", settings.repetitions,
                 "Paired repetitions of each row")
      ->capture_default_str();
  app.add_option("--payload_bytes", settings.payload_bytes,
                 "Sizes of the tensor, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--in_flight", settings.in_flight,
                 "Threads that call, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--window_seconds", settings.window_seconds,
                 "How long a server is called before it is the other's turn")
      ->capture_default_str();
  app.add_option("--binaries", settings.folder, "Folder that holds actserved")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const std::string binary = settings.folder + "/actserved";
  const std::vector<std::string>& flags = settings.common_flags;
  std::vector<std::string> with_flags = flags;
  with_flags.insert(with_flags.end(), settings.flags.begin(),
                    settings.flags.end());
  std::array<Server, kNumServers> servers = {
      Server(binary, flags), Server(binary, with_flags), Server(binary, flags)};
  std::cout << "| request | of a call | without the flags | with / without | "
               "noise: without / without |\n|---|---|---|---|---|\n";
  for (const int64_t payload_bytes : settings.payload_bytes) {
    for (const int in_flight : settings.in_flight) {
      Measure(payload_bytes, in_flight, settings, servers);
    }
  }
  return 0;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
