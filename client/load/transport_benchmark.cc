// How much of what gRPC can do is left to a caller of Forward: relu on
// actserved against an echo of the same bytes, and one that touches each byte
// once, all with this client library's transport, all with the reply copied to
// the caller's memory.
//
// Prints a Markdown table. Only ratios within one run mean anything: short
// blocks of calls to the servers alternate, a repetition gives the ratio
// of the median times, and the table has the median and range of those ratios.

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "client/cpp/message/envelope.h"
#include "client/cpp/raw_stub.h"
#include "client/load/testing/load.h"
#include "kernels/base/process_options.h"
#include "kernels/base/quantile.h"
#include "nlohmann/json.hpp"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

struct Settings {
  int repetitions = 9;
  std::vector<int64_t> payload_bytes = {4 << 10, 64 << 10, 1 << 20, 16 << 20,
                                        64 << 20};
  int in_flight = 8;
  double window_seconds = 0.5;
  std::string folder;  // of the server binaries
  std::string json_file;
  std::vector<std::string> actserved_flags;
};

// One call of one server; fails the program if the call fails.
using Call = std::function<void()>;

// Forward of relu through the library.
Call ForwardCallOf(Client& client, ReluTensors& tensors) {
  return [&client, &tensors] { Forward(client, tensors); };
}

// The same bytes to the echo, its reply's last bytes to the same place.
Call EchoCallOf(RawStub& stub, ReluTensors& tensors) {
  v1::ForwardRequest request;
  request.set_activation("relu");
  auto* input = request.add_inputs();
  input->set_dtype(v1::DTYPE_FLOAT32);
  input->add_shape(tensors.x.size());
  std::string head = request.SerializeAsString();
  AppendPayloadHeader(View(tensors.x).bytes.size(), head);
  return [&stub, &tensors, head] {
    const ByteSpan parts[] = {
        {reinterpret_cast<const std::byte*>(head.data()), head.size()},
        View(tensors.x).bytes};
    const RawStub::Reply reply =
        stub.Call("/actserve.v1.ActivationService/Forward", parts,
                  absl::Now() + absl::Seconds(60));
    if (!reply.status.ok()) Fail(reply.status.error_message());
    const absl::Span<std::byte> output = MutableBytes(tensors.y);
    size_t skip = head.size();
    size_t written = 0;
    for (const ByteSpan span : Spans(reply.slices)) {
      const size_t skipped = std::min(skip, span.size());
      skip -= skipped;
      std::memcpy(output.data() + written, span.data() + skipped,
                  span.size() - skipped);
      written += span.size() - skipped;
    }
    if (written != output.size()) Fail("the echo is of another size");
  };
}

// The servers that are compared. The last one is actserved.
enum Server { kEcho, kTouchingEcho, kActserved, kNumServers };
constexpr const char* kServerNames[] = {"echo", "touching echo", "actserved"};
using PerServer = std::array<double, kNumServers>;
using Calls = std::array<Call, kNumServers>;

void CheckAll(const Calls& calls, ReluTensors& tensors) {
  for (const Server server : {kEcho, kTouchingEcho}) {
    calls[server]();
    if (tensors.y != tensors.x) Fail("an echo differs");
  }
  calls[kActserved]();
  if (!tensors.IsRight()) Fail("relu differs");
}

struct Row {
  std::string transport;
  std::string name;
  std::string unit;
  // What the ratio to each echo is to be; 0: no goal.
  PerServer goals = {};
  bool less_is_better = false;
  // Of each repetition.
  std::vector<PerServer> values = {};

  std::vector<double> RatiosTo(Server echo) const {
    std::vector<double> ratios;
    for (const PerServer& each : values) {
      ratios.push_back(each[kActserved] / each[echo]);
    }
    return ratios;
  }
  double MedianOf(Server server) const {
    std::vector<double> all;
    for (const PerServer& each : values) all.push_back(each[server]);
    return Median(all);
  }
  bool Reached(Server echo) const {
    const double ratio = Median(RatiosTo(echo));
    return less_is_better ? ratio <= goals[echo] : ratio >= goals[echo];
  }
};

Row MeasureRate(const std::string& transport, int64_t payload_bytes,
                const Settings& settings, RawStub& echo, RawStub& touching,
                Client& client) {
  ReluTensors tensors(payload_bytes);
  const Calls calls = {EchoCallOf(echo, tensors), EchoCallOf(touching, tensors),
                       ForwardCallOf(client, tensors)};
  CheckAll(calls, tensors);
  // Blocks of calls to one server, as a trainer makes them, each a few
  // milliseconds long; a repetition alternates a dozen of them.
  const int block =
      static_cast<int>(std::clamp<int64_t>((8 << 20) / payload_bytes, 1, 50));
  const int num_blocks = payload_bytes > 32 << 20 ? 4 : 12;
  for (const Call& call : calls) RunBlock(call, block);
  Row row{transport,
          SizeName(payload_bytes),
          "GB/s",
          {payload_bytes >= 4 << 20 ? 0.9 : 0.0,
           payload_bytes >= 64 << 10 ? 0.9 : 0.0, 0}};
  for (int repetition = 0; repetition < settings.repetitions; ++repetition) {
    std::array<std::vector<double>, kNumServers> seconds;
    for (int i = 0; i < num_blocks; ++i) {
      for (int k = 0; k < kNumServers; ++k) {
        const int server = (i + repetition + k) % kNumServers;
        const auto some = RunBlock(calls[server], block);
        seconds[server].insert(seconds[server].end(), some.begin(), some.end());
      }
    }
    PerServer& rates = row.values.emplace_back();
    for (int server = 0; server < kNumServers; ++server) {
      rates[server] = payload_bytes / 1e9 / Median(seconds[server]);
    }
  }
  return row;
}

// Times of the calls that `calls`, one a thread, made in `seconds`.
std::vector<double> RunWindow(const std::vector<Call>& calls, double seconds) {
  std::vector<std::vector<double>> times(calls.size());
  std::vector<std::thread> threads;
  const absl::Time end = absl::Now() + absl::Seconds(seconds);
  for (size_t t = 0; t < calls.size(); ++t) {
    threads.emplace_back([&, t] {
      while (absl::Now() < end) times[t].push_back(SecondsOf(calls[t]));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<double> all;
  for (const auto& some : times)
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

void MeasureRequests(const std::string& transport, int64_t payload_bytes,
                     const Settings& settings, RawStub& echo, RawStub& touching,
                     Client& client, std::vector<Row>& rows) {
  std::vector<std::unique_ptr<ReluTensors>> tensors;
  std::array<std::vector<Call>, kNumServers> calls;
  for (int i = 0; i < settings.in_flight; ++i) {
    tensors.push_back(std::make_unique<ReluTensors>(payload_bytes));
    const Calls some = {EchoCallOf(echo, *tensors.back()),
                        EchoCallOf(touching, *tensors.back()),
                        ForwardCallOf(client, *tensors.back())};
    CheckAll(some, *tensors.back());
    for (int server = 0; server < kNumServers; ++server) {
      calls[server].push_back(some[server]);
    }
  }
  const std::string name = absl::StrCat(SizeName(payload_bytes), ", ",
                                        settings.in_flight, " in flight");
  Row rate{transport, name, "requests/s", {0.8, 0, 0}};
  Row median{transport, name, "p50 us", {}, /*less_is_better=*/true};
  Row tail{transport, name, "p99 us", {1.3, 0, 0}, /*less_is_better=*/true};
  const double half = settings.window_seconds / 2;
  for (const auto& some : calls) RunWindow(some, half);
  for (int repetition = 0; repetition < settings.repetitions; ++repetition) {
    // Half windows there and back cancel a drift of the machine.
    std::array<std::vector<double>, kNumServers> times;
    for (const int server : {0, 1, 2, 2, 1, 0}) {
      const auto some = RunWindow(calls[server], half);
      times[server].insert(times[server].end(), some.begin(), some.end());
    }
    PerServer& rates = rate.values.emplace_back();
    PerServer& medians = median.values.emplace_back();
    PerServer& tails = tail.values.emplace_back();
    for (int server = 0; server < kNumServers; ++server) {
      rates[server] = times[server].size() / settings.window_seconds;
      medians[server] = Median(times[server]) * 1e6;
      tails[server] = Quantile(times[server], 0.99) * 1e6;
    }
  }
  rows.push_back(rate);
  rows.push_back(median);
  rows.push_back(tail);
}

// "0.93 (0.90-0.97); goal >= 0.90: reached".
std::string RatioText(const Row& row, Server echo) {
  const std::vector<double> ratios = row.RatiosTo(echo);
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  std::string text =
      absl::StrFormat("%.2f (%.2f-%.2f)", Median(ratios), *least, *most);
  if (row.goals[echo] != 0) {
    absl::StrAppendFormat(&text, "; goal %s %.2f: %s",
                          row.less_is_better ? "<=" : ">=", row.goals[echo],
                          row.Reached(echo) ? "reached" : "missed");
  }
  return text;
}

std::string Markdown(const std::vector<Row>& rows) {
  std::string text = "| transport | request | unit";
  for (const char* name : kServerNames) absl::StrAppend(&text, " | ", name);
  absl::StrAppend(&text,
                  " | of echo: median (range) | of touching echo "
                  "|\n|---|---|---|---|---|---|---|---|\n");
  for (const Row& row : rows) {
    absl::StrAppend(&text, "| ", row.transport, " | ", row.name, " | ",
                    row.unit);
    for (const Server server : {kEcho, kTouchingEcho, kActserved}) {
      absl::StrAppend(&text, " | ",
                      absl::StrFormat("%.*f", row.unit == "GB/s" ? 3 : 0,
                                      row.MedianOf(server)));
    }
    absl::StrAppend(&text, " | ", RatioText(row, kEcho), " | ",
                    RatioText(row, kTouchingEcho), " |\n");
  }
  return text;
}

nlohmann::json Json(const std::vector<Row>& rows) {
  nlohmann::json all = nlohmann::json::array();
  for (const Row& row : rows) {
    nlohmann::json values = nlohmann::json::array();
    for (const PerServer& each : row.values) {
      nlohmann::json of_servers;
      for (int server = 0; server < kNumServers; ++server) {
        of_servers[kServerNames[server]] = each[server];
      }
      values.push_back(of_servers);
    }
    all.push_back(
        {{"transport", row.transport},
         {"request", row.name},
         {"unit", row.unit},
         {"ratio_median", Median(row.RatiosTo(kEcho))},
         {"ratio_to_touching_median", Median(row.RatiosTo(kTouchingEcho))},
         {"values", values}});
  }
  return all;
}

int Main(int argc, char** argv) {
  SetProcessOptions();
  Settings settings;
  settings.folder = std::filesystem::canonical("/proc/self/exe").parent_path();
  CLI::App app(
      "Compares Forward of relu on actserved with echoes of the same bytes.");
  app.add_option("--repetitions", settings.repetitions,
                 "Paired repetitions of each row")
      ->capture_default_str();
  app.add_option("--payload_bytes", settings.payload_bytes,
                 "Sizes of the tensor, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option(
         "--in_flight", settings.in_flight,
         "Threads that the requests/s rows use; 0 leaves these rows out")
      ->capture_default_str();
  app.add_option("--window_seconds", settings.window_seconds,
                 "How long each repetition of a requests/s row loads a server")
      ->capture_default_str();
  app.add_option("--binaries", settings.folder,
                 "Folder that holds actserved and echo_server")
      ->capture_default_str();
  app.add_option("--actserved_flag", settings.actserved_flags,
                 "A flag for actserved, for example =--inline_bytes=0; "
                 "repeatable")
      ->allow_extra_args(false);
  app.add_option("--json", settings.json_file,
                 "File for the results of every pair");
  CLI11_PARSE(app, argc, argv);

  const auto echo_server = StartServer(settings.folder + "/echo_server", {});
  const auto touching_server =
      StartServer(settings.folder + "/echo_server", {"--touch"});
  const auto actserved =
      StartServer(settings.folder + "/actserved", settings.actserved_flags);
  std::vector<Row> rows;
  for (const bool unix_socket : {false, true}) {
    const std::string transport = unix_socket ? "unix" : "TCP";
    const auto address = [&](const testing::ServerProcess& server) {
      return unix_socket ? server.unix_address() : server.tcp_address();
    };
    RawStub echo(MakeChannel(address(*echo_server)));
    RawStub touching(MakeChannel(address(*touching_server)));
    const auto client = Connect(address(*actserved));
    for (const int64_t payload_bytes : settings.payload_bytes) {
      rows.push_back(MeasureRate(transport, payload_bytes, settings, echo,
                                 touching, *client));
    }
    if (settings.in_flight > 0) {
      MeasureRequests(transport, 4 << 10, settings, echo, touching, *client,
                      rows);
    }
  }
  std::cout << Markdown(rows);
  if (!settings.json_file.empty()) {
    std::ofstream(settings.json_file) << Json(rows).dump(1) << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
