// Says which calls of the CUDA driver work on this machine and how long they
// take, when a server does not find or use its GPU, and before anything is
// measured on a new one.

#include <cstdlib>
#include <iostream>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "kernels/device/cuda/probe/driver_probe.h"
#include "kernels/device/cuda/probe/probe_report.h"

namespace actserve {
namespace {

int Main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  DriverProbe::Options options;
  double deadline_seconds = 5;
  std::string json_file;
  CLI::App app(
      "Tries what actserve asks of a GPU, one call of the driver after the\n"
      "other, and prints a Markdown table with the result and the time of "
      "each\n"
      "as it comes. The libraries are those that a server would open.");
  app.add_option("--device", options.ordinal, "Which GPU, counted from 0")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--json", json_file,
                 "File for the same as JSON, rewritten after every call");
  app.add_option("--pack", options.pack,
                 "File of precompiled built-ins, for the kernel where there is "
                 "no NVRTC");
  app.add_option("--deadline", deadline_seconds,
                 "Seconds after which work on the GPU counts as hung")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--device_nodes", options.device_nodes,
                 "Files that are there where a GPU is; with one of them, to "
                 "find none is a failure")
      ->delimiter(',')
      ->capture_default_str();
  app.footer(
      "Exit codes: 0 everything worked; 1 something failed; 77 there is no\n"
      "driver or no GPU here.");
  CLI11_PARSE(app, argc, argv);

  options.deadline = absl::Seconds(deadline_seconds);
  ProbeReport report(std::cout, json_file);
  DriverProbe probe(std::move(options), &report);
  int exit_code = static_cast<int>(probe.Run());
  if (report.lacks_json()) {
    std::cerr << "cuda_probe: cannot write " << json_file << "\n";
    exit_code = 1;
  }
  std::cout.flush();
  // No destructors: see DriverProbe.
  std::_Exit(exit_code);
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
