// Measures what callers get from a server, end to end: Forward of relu from one
// to many callers at once, small tensors and large, against a server that
// batches and one that does not.
//
// Prints a Markdown table. Only ratios within one run mean anything: short
// windows of calls to the two servers alternate, a round gives the ratio of
// their rates, and the table has the median and range of those ratios.

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
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
#include "nlohmann/json.hpp"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

struct Settings {
  std::vector<int64_t> payload_bytes = {1 << 10, 16 << 10, 256 << 10, 4 << 20,
                                        64 << 20};
  std::vector<int> callers = {1, 8, 64};
  // Rows whose callers have more than this under way are left out.
  int64_t max_bytes_under_way = int64_t{512} << 20;
  int connections = 8;
  int rounds = 3;
  double window_seconds = 0.25;
  double max_seconds = 60;
  std::string folder;  // of the server's binary
  std::string json_file;
  std::vector<std::string> actserved_flags;
};

// A server and connections to it: gRPC shares one among all channels to the
// same address, so the server has several.
struct Server {
  std::string name;
  std::unique_ptr<testing::ServerProcess> process;
  std::vector<std::unique_ptr<Client>> clients;
};

Server StartAndConnect(const std::string& name, std::vector<std::string> flags,
                       const Settings& settings) {
  std::string listen = "--listen=127.0.0.1:0";
  for (int i = 2; i <= settings.connections; ++i) {
    absl::StrAppend(&listen, ",127.0.0.", i, ":0");
  }
  flags.push_back(listen);
  Server server;
  server.name = name;
  server.process = StartServer(settings.folder + "/actserved", flags);
  for (const std::string& address : server.process->tcp_addresses()) {
    server.clients.push_back(Connect(address));
  }
  return server;
}

void Check(Client& client, ReluTensors& tensors) {
  std::fill(tensors.y.begin(), tensors.y.end(), -1.0f);
  Forward(client, tensors);
  if (!tensors.IsRight()) Fail("relu differs");
}

// The results of the callers in one window.
struct Window {
  double requests_per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
};

Window RunWindow(Server& server, std::vector<ReluTensors>& callers,
                 double seconds) {
  std::vector<std::vector<double>> times(callers.size());
  std::vector<std::thread> threads;
  const absl::Time start = absl::Now();
  const absl::Time end = start + absl::Seconds(seconds);
  for (size_t t = 0; t < callers.size(); ++t) {
    threads.emplace_back([&, t] {
      Client& client = *server.clients[t % server.clients.size()];
      absl::Time now = absl::Now();
      do {
        Forward(client, callers[t]);
        const absl::Time after = absl::Now();
        times[t].push_back(absl::ToDoubleMicroseconds(after - now));
        now = after;
      } while (now < end);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double took = absl::ToDoubleSeconds(absl::Now() - start);
  std::vector<double> all;
  for (const std::vector<double>& some : times) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return {static_cast<double>(all.size()) / took, Median(all),
          Quantile(all, 0.99)};
}

struct Row {
  int64_t payload_bytes = 0;
  int callers = 0;
  std::array<std::vector<Window>, 2> windows;  // of each server

  double MedianOf(size_t server, double Window::* member) const {
    std::vector<double> values;
    for (const Window& window : windows[server]) {
      values.push_back(window.*member);
    }
    return Median(values);
  }
  // Ratio of the first server's rate to the second's, by round.
  std::vector<double> Ratios() const {
    std::vector<double> ratios;
    for (size_t r = 0; r < windows[0].size(); ++r) {
      ratios.push_back(windows[0][r].requests_per_second /
                       windows[1][r].requests_per_second);
    }
    return ratios;
  }
};

Row Measure(std::array<Server, 2>& servers, int64_t payload_bytes, int callers,
            const Settings& settings) {
  std::vector<ReluTensors> tensors(callers, ReluTensors(payload_bytes));
  for (Server& server : servers) {
    for (const auto& client : server.clients) Check(*client, tensors[0]);
    RunWindow(server, tensors, settings.window_seconds / 2);
  }
  Row row{payload_bytes, callers, {}};
  for (int round = 0; round < settings.rounds; ++round) {
    for (size_t turn : {0, 1}) {
      const size_t server = (turn + round) % 2;
      row.windows[server].push_back(
          RunWindow(servers[server], tensors, settings.window_seconds));
    }
  }
  return row;
}

std::string Markdown(const std::array<Server, 2>& servers,
                     const std::vector<Row>& rows,
                     const std::vector<std::string>& left_out) {
  std::string text = "| tensor | callers |";
  for (const Server& server : servers) {
    absl::StrAppend(&text, " ", server.name,
                    ": requests/s | GB/s | p50, p99 us |");
  }
  absl::StrAppend(&text, " ratio of rates: median (range) |\n",
                  "|---|---|---|---|---|---|---|---|---|\n");
  for (const Row& row : rows) {
    absl::StrAppend(&text, "| ", SizeName(row.payload_bytes), " | ",
                    row.callers, " |");
    for (size_t s = 0; s < servers.size(); ++s) {
      const double rate = row.MedianOf(s, &Window::requests_per_second);
      absl::StrAppend(&text,
                      absl::StrFormat(" %.0f | %.3f | %.0f, %.0f |", rate,
                                      rate * row.payload_bytes / 1e9,
                                      row.MedianOf(s, &Window::p50_us),
                                      row.MedianOf(s, &Window::p99_us)));
    }
    const std::vector<double> ratios = row.Ratios();
    const auto [least, most] =
        std::minmax_element(ratios.begin(), ratios.end());
    absl::StrAppend(&text, absl::StrFormat(" %.2f (%.2f-%.2f) |\n",
                                           Median(ratios), *least, *most));
  }
  for (const std::string& what : left_out) {
    absl::StrAppend(&text, "\n* left out: ", what);
  }
  return left_out.empty() ? text : text + "\n";
}

nlohmann::json Json(const std::array<Server, 2>& servers,
                    const std::vector<Row>& rows,
                    const std::vector<std::string>& left_out) {
  nlohmann::json all = nlohmann::json::array();
  for (const Row& row : rows) {
    nlohmann::json json = {{"payload_bytes", row.payload_bytes},
                           {"callers", row.callers},
                           {"ratio_median", Median(row.Ratios())}};
    for (size_t s = 0; s < servers.size(); ++s) {
      for (const Window& window : row.windows[s]) {
        json[servers[s].name].push_back(
            {{"requests_per_second", window.requests_per_second},
             {"p50_us", window.p50_us},
             {"p99_us", window.p99_us}});
      }
    }
    all.push_back(std::move(json));
  }
  return {{"rows", std::move(all)}, {"left_out", left_out}};
}

int Main(int argc, char** argv) {
  SetProcessOptions();
  Settings settings;
  settings.folder = std::filesystem::canonical("/proc/self/exe").parent_path();
  CLI::App app("Loads a server that batches, and one that does not.");
  app.add_option("--payload_bytes", settings.payload_bytes,
                 "Sizes of the tensor, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--callers", settings.callers,
                 "Numbers of threads, each with one call in progress")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--max_bytes_under_way", settings.max_bytes_under_way,
                 "Leave out rows with more payload in progress than this")
      ->capture_default_str();
  app.add_option("--connections", settings.connections,
                 "TCP connections that the threads share")
      ->check(CLI::Range(1, 200))
      ->capture_default_str();
  app.add_option("--rounds", settings.rounds,
                 "Windows measured for each row and server")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--window_seconds", settings.window_seconds,
                 "Length of a window")
      ->capture_default_str();
  app.add_option("--max_seconds", settings.max_seconds,
                 "Begin no further row after this time")
      ->capture_default_str();
  app.add_option("--binaries", settings.folder, "Folder that holds actserved")
      ->capture_default_str();
  app.add_option("--actserved_flag", settings.actserved_flags,
                 "A flag for both servers, for example =--max_queued=64; "
                 "repeatable")
      ->allow_extra_args(false);
  app.add_option("--json", settings.json_file,
                 "File for the results of every window");
  CLI11_PARSE(app, argc, argv);

  const absl::Time deadline = absl::Now() + absl::Seconds(settings.max_seconds);
  std::vector<std::string> alone = settings.actserved_flags;
  alone.push_back("--max_batch_requests=1");
  std::array<Server, 2> servers = {
      StartAndConnect("batched", settings.actserved_flags, settings),
      StartAndConnect("one by one", alone, settings)};
  std::vector<Row> rows;
  std::vector<std::string> left_out;
  for (const int64_t payload_bytes : settings.payload_bytes) {
    for (const int callers : settings.callers) {
      const std::string what =
          absl::StrCat(SizeName(payload_bytes), ", ", callers, " callers: ");
      if (payload_bytes * callers > settings.max_bytes_under_way) {
        left_out.push_back(what + "more memory than this is given");
      } else if (absl::Now() > deadline) {
        left_out.push_back(what + "no time was left");
      } else {
        rows.push_back(Measure(servers, payload_bytes, callers, settings));
      }
    }
  }
  std::cout << Markdown(servers, rows, left_out);
  if (!settings.json_file.empty()) {
    std::ofstream(settings.json_file)
        << Json(servers, rows, left_out).dump(1) << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
