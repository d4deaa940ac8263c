// Streams against unary calls: Forward of relu on one actserved, both from the
// caller's memory and into it. Then the memory that a server takes for a tensor
// that is larger than any message.
//
// Prints a Markdown table. Only ratios within one run mean anything: blocks of
// calls of both kinds alternate, a repetition gives the ratio of the median
// times, and the table has the median and range of those ratios.

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "client/cpp/message/envelope.h"
#include "client/cpp/raw_stub.h"
#include "client/cpp/stream/exchange.h"
#include "client/load/testing/load.h"
#include "kernels/base/process_options.h"
#include "kernels/base/quantile.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

constexpr char kService[] = "/actserve.v1.ActivationService/";

struct Settings {
  int repetitions = 9;
  std::vector<int64_t> payload_bytes = {1 << 20, 4 << 20, 16 << 20, 64 << 20};
  int64_t large_bytes = int64_t{4} << 30;
  std::string folder;  // of the server binaries
};

// Forward of relu by one kind of call; fails the program if the call fails.
void Call(RawStub& stub, bool is_stream, ReluTensors& tensors) {
  v1::ForwardRequest request;
  request.set_activation("relu");
  request.add_inputs()->set_dtype(v1::DTYPE_FLOAT32);
  request.mutable_inputs(0)->add_shape(static_cast<int64_t>(tensors.x.size()));
  const Envelope envelope(request, {View(tensors.x).bytes});
  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  const absl::Span<std::byte> output = MutableBytes(tensors.y);
  RawStub::Reply reply;
  if (is_stream) {
    StreamExchange exchange("Forward", *Split(envelope.parts()), {output});
    reply = stub.Stream(kService, exchange, deadline);
  } else {
    reply = stub.Call(absl::StrCat(kService, "Forward"), envelope.parts(),
                      deadline);
  }
  if (!reply.status.ok()) Fail(reply.status.error_message());
  const auto answer = Open<Unread>(std::move(reply.slices));
  if (!answer.ok()) Fail(answer.status().ToString());
  const absl::Status delivered = Deliver(answer->payloads, {output});
  if (!delivered.ok()) Fail(delivered.ToString());
}

struct Rates {
  std::vector<double> unary;  // GB/s
  std::vector<double> stream;
};

Rates Measure(RawStub& stub, int64_t payload_bytes, int repetitions) {
  ReluTensors tensors(payload_bytes);
  const auto unary = [&] { Call(stub, false, tensors); };
  const auto stream = [&] { Call(stub, true, tensors); };
  unary();
  if (!tensors.IsRight()) Fail("relu differs");
  std::fill(tensors.y.begin(), tensors.y.end(), -1.0F);
  stream();
  if (!tensors.IsRight()) Fail("relu by a stream differs");
  const int block =
      static_cast<int>(std::clamp<int64_t>((8 << 20) / payload_bytes, 1, 50));
  const int num_blocks = payload_bytes > 32 << 20 ? 4 : 12;
  Rates rates;
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    std::vector<double> of_unary, of_stream;
    for (int i = 0; i < num_blocks; ++i) {
      const bool unary_first = (i + repetition) % 2 == 0;
      for (const bool is_unary : {unary_first, !unary_first}) {
        const auto seconds =
            is_unary ? RunBlock(unary, block) : RunBlock(stream, block);
        auto& all = is_unary ? of_unary : of_stream;
        all.insert(all.end(), seconds.begin(), seconds.end());
      }
    }
    rates.unary.push_back(payload_bytes / 1e9 / Median(of_unary));
    rates.stream.push_back(payload_bytes / 1e9 / Median(of_stream));
  }
  return rates;
}

std::string Row(const std::string& transport, int64_t payload_bytes,
                const Rates& rates) {
  std::vector<double> ratios;
  for (size_t i = 0; i < rates.unary.size(); ++i) {
    ratios.push_back(rates.stream[i] / rates.unary[i]);
  }
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  return absl::StrFormat("| %s | %s | %.3f | %.3f | %.2f (%.2f-%.2f) |\n",
                         transport, SizeName(payload_bytes),
                         Median(rates.unary), Median(rates.stream),
                         Median(ratios), *least, *most);
}

// Of the process, in MiB, by its name in /proc/PID/status.
int64_t MiBOf(pid_t pid, absl::string_view name) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(file, line);) {
    absl::string_view rest = line;
    int64_t kilobytes = 0;
    if (absl::ConsumePrefix(&rest, name) && absl::ConsumePrefix(&rest, ":") &&
        absl::ConsumeSuffix(&rest, " kB") &&
        absl::SimpleAtoi(rest, &kilobytes)) {
      return kilobytes >> 10;
    }
  }
  Fail(absl::StrCat("no ", name, " of process ", pid));
}

// A new server, and one relu of `size_bytes`.
std::string MeasureMemory(const Settings& settings) {
  const auto server =
      StartServer(settings.folder + "/actserved",
                  {"--device=cpu", "--max_elements=17179869184"});
  const auto client = Connect(server->tcp_address());
  ReluTensors small(1 << 20);
  Forward(*client, small);
  const int64_t idle = MiBOf(server->pid(), "VmRSS");
  // Zeros that are never written take no memory.
  const auto size = static_cast<size_t>(settings.large_bytes);
  void* const zeros = mmap(nullptr, size, PROT_READ,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (zeros == MAP_FAILED) Fail("no memory for the input");
  std::vector<float> y(size / sizeof(float), 1.0F);
  const double seconds = SecondsOf([&] {
    const absl::Span<const float> x(static_cast<const float*>(zeros), y.size());
    CallOptions options;
    options.timeout = absl::Minutes(10);
    const absl::Status status =
        client->Forward("relu", {View(x)}, MutableBytes(y), options);
    if (!status.ok()) Fail(status.ToString());
  });
  if (std::ranges::any_of(y, [](float each) { return each != 0; })) {
    Fail("relu of zeros differs");
  }
  munmap(zeros, size);
  return absl::StrFormat(
      "A tensor of %s takes %.1f s, and the server at most %d MiB over the %d "
      "MiB that it takes idle.\n",
      SizeName(settings.large_bytes), seconds,
      MiBOf(server->pid(), "VmHWM") - idle, idle);
}

int Main(int argc, char** argv) {
  SetProcessOptions();
  Settings settings;
  settings.folder = std::filesystem::canonical("/proc/self/exe").parent_path();
  CLI::App app("Compares streams with unary calls of Forward of relu.");
  app.add_option("--repetitions", settings.repetitions,
                 "Paired repetitions of each row")
      ->capture_default_str();
  app.add_option("--payload_bytes", settings.payload_bytes,
                 "Sizes of the tensor, separated by commas; at most 64 MiB")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--large_bytes", settings.large_bytes,
                 "Size of the tensor whose memory is measured; 0: none")
      ->capture_default_str();
  app.add_option("--binaries", settings.folder, "Folder that holds actserved")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  std::string text =
      "| transport | tensor | unary GB/s | stream GB/s | ratio: median (range) "
      "|\n|---|---|---|---|---|\n";
  {
    const auto server =
        StartServer(settings.folder + "/actserved", {"--device=cpu"});
    for (const bool unix_socket : {false, true}) {
      RawStub stub(MakeChannel(unix_socket ? server->unix_address()
                                           : server->tcp_address()));
      for (const int64_t payload_bytes : settings.payload_bytes) {
        absl::StrAppend(
            &text, Row(unix_socket ? "unix" : "TCP", payload_bytes,
                       Measure(stub, payload_bytes, settings.repetitions)));
      }
    }
  }
  std::cout << text;
  if (settings.large_bytes > 0) std::cout << "\n" << MeasureMemory(settings);
  return 0;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
