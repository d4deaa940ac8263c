// Measures what the scheduler costs and what its batches gain, without gRPC:
// closed loops of callers on as many threads as gRPC would have, each caller
// with one job under way.
//
// On the CPU everything is compared with Device::Run() on the caller's thread;
// on a GPU batches are compared with one launch a job through the same
// scheduler and device.
//
// Prints Markdown tables. Only ratios within one run mean anything: short
// blocks of the ways to run a job alternate, a round gives the ratio of their
// rates, and a table has the median and range of those ratios.

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <functional>
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
#include "kernels/activation/activation.h"
#include "kernels/base/process_options.h"
#include "kernels/base/quantile.h"
#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/cuda/cuda_device.h"
#include "nlohmann/json.hpp"
#include "server/engine/device_choice.h"
#include "server/scheduling/clock.h"
#include "server/scheduling/scheduler.h"

namespace actserve {
namespace {

// Speed relative to the better way to launch one job at a time, on a GPU.
constexpr double kBatchGoal = 5;
constexpr int kGoalCallers = 64;
constexpr int64_t kGoalElements = 1024;
constexpr char kText[] = "def silu(x):\n    return x / (1 + exp(-x))\n";

struct Settings {
  int rounds = 21;
  double block_seconds = 0.1;
  std::string device = "cpu";
  std::string json_file;
};

int NumThreads() {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

template <typename T>
T OrDie(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::cerr << "scheduler_benchmark: " << value.status() << "\n";
  std::exit(1);
}

// A caller that sends the same job over and over. Owned by one driver thread,
// which is told through `num_done` when to look again.
class Caller final : public Scheduler::Job {
 public:
  Caller(std::shared_ptr<const Program> of, int64_t num_elements, uint64_t id,
         std::atomic<uint64_t>* num_done)
      : id_(id), num_done_(*num_done) {
    program = std::move(of);
    x_.assign(num_elements, 0.5f);
    y_.assign(num_elements, 0.0f);
    fragment_ = {reinterpret_cast<const std::byte*>(x_.data()),
                 x_.size() * sizeof(float)};
    item.inputs = {absl::MakeConstSpan(&fragment_, 1)};
    item.outputs = {reinterpret_cast<std::byte*>(y_.data())};
    item.num_elements = num_elements;
    size_bytes = 2 * static_cast<int64_t>(fragment_.size_bytes);
  }
  CallerId caller() const override { return {.peer = id_}; }
  bool IsCancelled() const override { return false; }
  void Done(const Scheduler::Outcome& outcome) override {
    if (!outcome.status.ok()) {
      std::cerr << "scheduler_benchmark: " << outcome.status << "\n";
      std::exit(1);
    }
    is_idle.store(true, std::memory_order_release);
    num_done_.fetch_add(1, std::memory_order_release);
    num_done_.notify_one();
  }

  std::atomic<bool> is_idle = true;

 private:
  const uint64_t id_;
  std::atomic<uint64_t>& num_done_;
  std::vector<float> x_;
  std::vector<float> y_;
  Fragment fragment_;
};

// One way to run a job.
struct Way {
  std::string name;
  // Null: Device::Run() on the caller's thread, and nothing else.
  std::unique_ptr<Scheduler> scheduler;
  // On a GPU: true if each job has its own launch.
  bool one_by_one = false;
};

// The result of one block.
struct Rate {
  double jobs_per_second = 0;
  double jobs_per_cpu_second = 0;
  double jobs_per_batch = 0;
  double busy_cores = 0;
};

double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * time.tv_nsec;
}

// Drives `callers` until `stop`, and until the last job is done; returns the
// number of jobs.
int64_t Drive(Device& device, Scheduler* scheduler, std::deque<Caller>& callers,
              std::atomic<uint64_t>& num_done, const std::atomic<bool>& stop) {
  int64_t num_jobs = 0;
  while (true) {
    const uint64_t seen = num_done.load(std::memory_order_acquire);
    const bool stopping = stop.load(std::memory_order_relaxed);
    bool submitted = false;
    bool all_idle = true;
    for (Caller& caller : callers) {
      if (!caller.is_idle.load(std::memory_order_acquire)) {
        all_idle = false;
        continue;
      }
      if (stopping) continue;
      submitted = true;
      ++num_jobs;
      caller.is_idle.store(false, std::memory_order_relaxed);
      if (scheduler == nullptr) {
        caller.Done(
            {device.Run(*caller.program, absl::MakeSpan(&caller.item, 1)), {}});
      } else {
        scheduler->Submit(&caller, /*may_run_inline=*/true);
      }
    }
    if (stopping && all_idle) return num_jobs;
    if (!submitted) num_done.wait(seen, std::memory_order_acquire);
  }
}

Rate RunBlock(Device& device, const Way& way,
              const std::shared_ptr<const Program>& program, int num_callers,
              int64_t num_elements, double block_seconds) {
  const int num_threads = NumThreads();
  std::vector<std::deque<Caller>> callers(num_threads);
  std::vector<std::atomic<uint64_t>> num_done(num_threads);
  for (int i = 0; i < num_callers; ++i) {
    callers[i % num_threads].emplace_back(program, num_elements, i,
                                          &num_done[i % num_threads]);
  }
  const SchedulerCounters before = way.scheduler == nullptr
                                       ? SchedulerCounters()
                                       : way.scheduler->counters();
  std::atomic<bool> stop = false;
  std::atomic<int64_t> num_jobs = 0;
  const absl::Time start = absl::Now();
  const double cpu_start = CpuSeconds();
  std::vector<std::thread> threads;
  for (int t = 0; t < num_threads; ++t) {
    threads.emplace_back([&, t] {
      num_jobs +=
          Drive(device, way.scheduler.get(), callers[t], num_done[t], stop);
    });
  }
  absl::SleepFor(absl::Seconds(block_seconds));
  stop = true;
  for (std::atomic<uint64_t>& done : num_done) {
    ++done;
    done.notify_one();
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);

  Rate rate;
  rate.jobs_per_second = static_cast<double>(num_jobs) / seconds;
  rate.busy_cores = (CpuSeconds() - cpu_start) / seconds;
  rate.jobs_per_cpu_second = rate.jobs_per_second / rate.busy_cores;
  if (way.scheduler != nullptr) {
    const SchedulerCounters after = way.scheduler->counters();
    const int64_t batches = after.num_batches - before.num_batches;
    rate.jobs_per_batch = batches == 0
                              ? 0
                              : static_cast<double>(after.num_queued_jobs -
                                                    before.num_queued_jobs) /
                                    static_cast<double>(batches);
  }
  return rate;
}

std::string MedianAndRange(const std::vector<double>& values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return absl::StrFormat("%.2f (%.2f .. %.2f)", Median(values), *least, *most);
}

std::vector<Way> CpuWays(Device& device) {
  Scheduler::Options options;
  options.num_threads = options.max_running_batches = NumThreads();
  std::vector<Way> ways;
  const auto add = [&](std::string name) {
    ways.push_back({std::move(name), std::make_unique<Scheduler>(
                                         options, &device, Clock::Real())});
  };
  ways.push_back({"direct", nullptr});
  add("scheduler");
  options.inline_bytes = -1;
  add("queued, in batches");
  options.queue.max_batch_jobs = 1;
  add("queued, one by one");
  return ways;
}

// Batches and threads as a server has them.
std::vector<Way> GpuWays(Device& device) {
  constexpr int kBatchesAtOnce = 3;
  constexpr int kJobsAtOnce = 16;  // the device's staging slots
  Scheduler::Options options;
  options.inline_bytes = -1;
  std::vector<Way> ways;
  const auto add = [&](std::string name, int at_once, int jobs) {
    options.max_running_batches = at_once;
    options.num_threads = std::max(NumThreads(), at_once + 1);
    options.queue.max_batch_jobs = jobs;
    ways.push_back(
        {std::move(name),
         std::make_unique<Scheduler>(options, &device, Clock::Real()),
         jobs == 1});
  };
  const int max_jobs = options.queue.max_batch_jobs;
  add("one by one", kBatchesAtOnce, 1);
  add("one by one, 16 at once", kJobsAtOnce, 1);
  ways.push_back({"direct", nullptr, true});
  add("in batches", kBatchesAtOnce, max_jobs);
  return ways;
}

// One row of each table: all ways in turn, `rounds` times.
struct Row {
  int num_callers = 0;
  int64_t num_elements = 0;
  std::vector<std::vector<Rate>> rates;  // [way][round]

  std::vector<double> All(size_t way, double Rate::* field) const {
    std::vector<double> values;
    for (const Rate& rate : rates[way]) values.push_back(rate.*field);
    return values;
  }
  // To the first way, of the same round.
  std::vector<double> Ratios(size_t way, double Rate::* field) const {
    std::vector<double> ratios;
    for (size_t round = 0; round < rates[0].size(); ++round) {
      ratios.push_back(rates[way][round].*field / rates[0][round].*field);
    }
    return ratios;
  }
};

Row Measure(Device& device, const std::vector<Way>& ways,
            const std::shared_ptr<const Program>& program, int num_callers,
            int64_t num_elements, const Settings& settings) {
  Row row;
  row.num_callers = num_callers;
  row.num_elements = num_elements;
  row.rates.resize(ways.size());
  for (int round = -1; round < settings.rounds; ++round) {
    for (size_t way = 0; way < ways.size(); ++way) {
      const Rate rate = RunBlock(device, ways[way], program, num_callers,
                                 num_elements, settings.block_seconds);
      if (round >= 0) row.rates[way].push_back(rate);  // the first warms up
    }
  }
  return row;
}

void PrintTable(int num_callers, const std::vector<Way>& ways,
                const std::vector<Row>& rows) {
  std::cout << "**" << num_callers << " callers**\n\n"
            << "| elements | way | 1000 jobs/s | to " << ways[0].name
            << " | to " << ways[0].name
            << ", per CPU second | busy cores | jobs in a batch |\n"
            << "|---|---|---|---|---|---|---|\n";
  for (const Row& row : rows) {
    for (size_t way = 0; way < ways.size(); ++way) {
      const auto median = [&](double Rate::* field) {
        return Median(row.All(way, field));
      };
      const double batch = median(&Rate::jobs_per_batch);
      std::cout << absl::StrFormat(
          "| %d | %s | %.1f | %s | %s | %.2f | %s |\n", row.num_elements,
          ways[way].name, median(&Rate::jobs_per_second) / 1000,
          MedianAndRange(row.Ratios(way, &Rate::jobs_per_second)),
          MedianAndRange(row.Ratios(way, &Rate::jobs_per_cpu_second)),
          median(&Rate::busy_cores),
          batch == 0 ? "" : absl::StrFormat("%.1f", batch));
    }
  }
  std::cout << "\n";
}

// Gain of batches over the best way to launch each job alone: the median over
// the rounds.
double BatchGain(const std::vector<Way>& ways, const Row& row) {
  std::vector<double> gains;
  for (size_t round = 0; round < row.rates[0].size(); ++round) {
    double alone = 0;
    double batched = 0;
    for (size_t way = 0; way < ways.size(); ++way) {
      double& best = ways[way].one_by_one ? alone : batched;
      best = std::max(best, row.rates[way][round].jobs_per_second);
    }
    gains.push_back(batched / alone);
  }
  return Median(gains);
}

void PrintGoal(const std::vector<Way>& ways, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    if (row.num_callers != kGoalCallers || row.num_elements != kGoalElements) {
      continue;
    }
    const double gain = BatchGain(ways, row);
    std::cout << absl::StrFormat(
        "%d callers of %d elements: batches have %.2f times the rate of the "
        "best way to launch each job alone (goal >= %.0f: %s).\n",
        row.num_callers, row.num_elements, gain, kBatchGoal,
        gain >= kBatchGoal ? "reached" : "missed");
  }
}

nlohmann::json Json(const Device& device, const std::vector<Way>& ways,
                    const std::vector<Row>& rows, bool is_gpu) {
  nlohmann::json all = nlohmann::json::array();
  for (const Row& row : rows) {
    nlohmann::json json = {{"callers", row.num_callers},
                           {"elements", row.num_elements}};
    for (size_t way = 0; way < ways.size(); ++way) {
      json["jobs_per_second"][ways[way].name] =
          row.All(way, &Rate::jobs_per_second);
      json["jobs_per_batch"][ways[way].name] =
          Median(row.All(way, &Rate::jobs_per_batch));
    }
    if (is_gpu) json["batch_gain"] = BatchGain(ways, row);
    all.push_back(std::move(json));
  }
  return {{"device", device.description()}, {"rows", std::move(all)}};
}

int Main(int argc, char** argv) {
  SetProcessOptions();
  Settings settings;
  CLI::App app("Compares ways to bring jobs to a device, without gRPC.");
  app.add_option("rounds", settings.rounds, "Rounds that a median is taken of")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--device", settings.device, "cpu or cuda:N")
      ->capture_default_str();
  app.add_option("--block_seconds", settings.block_seconds,
                 "Time of one way in one round")
      ->capture_default_str();
  app.add_option("--json", settings.json_file, "Where to write every round");
  CLI11_PARSE(app, argc, argv);

  const ChosenDevice chosen = OrDie(ChooseDevice(
      settings.device, {.cpu = [] { return CpuDevice::Create({}); },
                        .cuda =
                            [](int ordinal) {
                              return CudaDevice::Create({.ordinal = ordinal});
                            }}));
  Device& device = *chosen.device;
  std::vector<Diagnostic> diagnostics;
  const auto activation = OrDie(Activation::Create(kText, {}, &diagnostics));
  const auto program = OrDie(
      device.Compile(OrDie(activation->LowerForward(DType::kFloat32, {}))));
  const bool is_gpu = !chosen.computes_on_caller;
  const std::vector<Way> ways = is_gpu ? GpuWays(device) : CpuWays(device);
  std::vector<Row> all;
  const auto measure = [&](int num_callers, const std::vector<int64_t>& sizes) {
    std::vector<Row> rows;
    for (int64_t num_elements : sizes) {
      rows.push_back(
          Measure(device, ways, program, num_callers, num_elements, settings));
    }
    PrintTable(num_callers, ways, rows);
    all.insert(all.end(), rows.begin(), rows.end());
  };
  measure(kGoalCallers, {256, kGoalElements, 4096});
  measure(16, {(1 << 20) / sizeof(float)});
  if (is_gpu) PrintGoal(ways, all);
  if (!settings.json_file.empty()) {
    std::ofstream(settings.json_file)
        << Json(device, ways, all, is_gpu).dump(1) << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
