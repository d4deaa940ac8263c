// How much of what gRPC can do is left to a caller of Forward: relu on
// actserved against an echo of the same bytes, both with this client library's
// transport, both with the reply copied to the caller's memory.
//
// Prints a Markdown table. Only ratios within one run mean anything: short
// blocks of calls to the two servers alternate, a repetition gives the ratio
// of the median times, and the table has the median and range of those ratios.

#include <algorithm>
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

void CheckBoth(const Call& echo, const Call& forward, ReluTensors& tensors) {
  echo();
  if (tensors.y != tensors.x) Fail("the echo differs");
  forward();
  if (!tensors.IsRight()) Fail("relu differs");
}

// The results of one repetition of one row, per server.
struct Pair {
  double echo = 0;
  double actserved = 0;
};

struct Row {
  std::string transport;
  std::string name;
  std::string unit;
  double goal = 0;  // 0: none
  // More is better unless `less_is_better`.
  std::vector<Pair> pairs;
  bool less_is_better = false;

  std::vector<double> Ratios() const {
    std::vector<double> ratios;
    for (const Pair& pair : pairs) ratios.push_back(pair.actserved / pair.echo);
    return ratios;
  }
  double MedianOf(double Pair::* member) const {
    std::vector<double> values;
    for (const Pair& pair : pairs) values.push_back(pair.*member);
    return Median(values);
  }
  bool Reached() const {
    const double ratio = Median(Ratios());
    return less_is_better ? ratio <= goal : ratio >= goal;
  }
};

Row MeasureRate(const std::string& transport, int64_t payload_bytes,
                const Settings& settings, RawStub& stub, Client& client) {
  ReluTensors tensors(payload_bytes);
  const Call echo = EchoCallOf(stub, tensors);
  const Call forward = ForwardCallOf(client, tensors);
  CheckBoth(echo, forward, tensors);
  // Blocks of calls to one server, as a trainer makes them, each a few
  // milliseconds long; a repetition alternates a dozen of them.
  const int block =
      static_cast<int>(std::clamp<int64_t>((8 << 20) / payload_bytes, 1, 50));
  const int num_blocks = payload_bytes > 32 << 20 ? 4 : 12;
  RunBlock(echo, block);
  RunBlock(forward, block);
  Row row{transport, SizeName(payload_bytes),
          "GB/s",    payload_bytes >= 64 << 10 ? 0.9 : 0.0,
          {},        false};
  for (int repetition = 0; repetition < settings.repetitions; ++repetition) {
    std::vector<double> echo_seconds, forward_seconds;
    for (int i = 0; i < num_blocks; ++i) {
      const bool echo_first = (i + repetition) % 2 == 0;
      for (const bool is_echo : {echo_first, !echo_first}) {
        const auto seconds = RunBlock(is_echo ? echo : forward, block);
        auto& all = is_echo ? echo_seconds : forward_seconds;
        all.insert(all.end(), seconds.begin(), seconds.end());
      }
    }
    const double gigabytes = payload_bytes / 1e9;
    row.pairs.push_back({gigabytes / Median(echo_seconds),
                         gigabytes / Median(forward_seconds)});
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
                     const Settings& settings, RawStub& stub, Client& client,
                     std::vector<Row>& rows) {
  std::vector<std::unique_ptr<ReluTensors>> tensors;
  std::vector<Call> echo, forward;
  for (int i = 0; i < settings.in_flight; ++i) {
    tensors.push_back(std::make_unique<ReluTensors>(payload_bytes));
    echo.push_back(EchoCallOf(stub, *tensors.back()));
    forward.push_back(ForwardCallOf(client, *tensors.back()));
    CheckBoth(echo.back(), forward.back(), *tensors.back());
  }
  const std::string name = absl::StrCat(SizeName(payload_bytes), ", ",
                                        settings.in_flight, " in flight");
  Row rate{transport, name, "requests/s", 0.8, {}, false};
  Row median{transport, name, "p50 us", 0, {}, true};
  Row tail{transport, name, "p99 us", 1.3, {}, true};
  RunWindow(echo, settings.window_seconds / 2);
  RunWindow(forward, settings.window_seconds / 2);
  for (int repetition = 0; repetition < settings.repetitions; ++repetition) {
    // Quarter windows in the order ABBA cancel a drift of the machine.
    std::vector<double> of_echo, of_forward;
    for (const bool is_echo : {true, false, false, true}) {
      const auto times =
          RunWindow(is_echo ? echo : forward, settings.window_seconds / 2);
      auto& all = is_echo ? of_echo : of_forward;
      all.insert(all.end(), times.begin(), times.end());
    }
    const double seconds = settings.window_seconds;
    rate.pairs.push_back(
        {of_echo.size() / seconds, of_forward.size() / seconds});
    median.pairs.push_back({Median(of_echo) * 1e6, Median(of_forward) * 1e6});
    tail.pairs.push_back(
        {Quantile(of_echo, 0.99) * 1e6, Quantile(of_forward, 0.99) * 1e6});
  }
  rows.push_back(rate);
  rows.push_back(median);
  rows.push_back(tail);
}

std::string Markdown(const std::vector<Row>& rows) {
  std::string text =
      "| transport | request | unit | echo | actserved | ratio: median (range) "
      "| goal |\n|---|---|---|---|---|---|---|\n";
  for (const Row& row : rows) {
    const std::vector<double> ratios = row.Ratios();
    const auto [least, most] =
        std::minmax_element(ratios.begin(), ratios.end());
    const auto number = [&](double value) {
      return absl::StrFormat("%.*f", row.unit == "GB/s" ? 3 : 0, value);
    };
    absl::StrAppend(
        &text, "| ", row.transport, " | ", row.name, " | ", row.unit, " | ",
        number(row.MedianOf(&Pair::echo)), " | ",
        number(row.MedianOf(&Pair::actserved)), " | ",
        absl::StrFormat("%.2f (%.2f-%.2f)", Median(ratios), *least, *most),
        " | ",
        row.goal == 0
            ? std::string("-")
            : absl::StrFormat("%s %.2f: %s", row.less_is_better ? "<=" : ">=",
                              row.goal, row.Reached() ? "reached" : "missed"),
        " |\n");
  }
  return text;
}

nlohmann::json Json(const std::vector<Row>& rows) {
  nlohmann::json all = nlohmann::json::array();
  for (const Row& row : rows) {
    nlohmann::json pairs = nlohmann::json::array();
    for (const Pair& pair : row.pairs) {
      pairs.push_back({{"echo", pair.echo}, {"actserved", pair.actserved}});
    }
    all.push_back({{"transport", row.transport},
                   {"request", row.name},
                   {"unit", row.unit},
                   {"ratio_median", Median(row.Ratios())},
                   {"goal", row.goal},
                   {"pairs", pairs}});
  }
  return all;
}

int Main(int argc, char** argv) {
  SetProcessOptions();
  Settings settings;
  settings.folder = std::filesystem::canonical("/proc/self/exe").parent_path();
  CLI::App app(
      "Compares Forward of relu on actserved with an echo of the same bytes.");
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
  const auto actserved =
      StartServer(settings.folder + "/actserved", settings.actserved_flags);
  std::vector<Row> rows;
  for (const bool unix_socket : {false, true}) {
    const std::string transport = unix_socket ? "unix" : "TCP";
    const auto address = [&](const testing::ServerProcess& server) {
      return unix_socket ? server.unix_address() : server.tcp_address();
    };
    RawStub stub(MakeChannel(address(*echo_server)));
    const auto client = Connect(address(*actserved));
    for (const int64_t payload_bytes : settings.payload_bytes) {
      rows.push_back(
          MeasureRate(transport, payload_bytes, settings, stub, *client));
    }
    if (settings.in_flight > 0) {
      MeasureRequests(transport, 4 << 10, settings, stub, *client, rows);
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
