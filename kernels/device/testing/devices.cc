#include "kernels/device/testing/devices.h"

#include <utility>

#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/cuda/cuda_device.h"
#include "kernels/device/cuda/testing/fake_driver.h"

namespace actserve::testing {
namespace {

constexpr int64_t kNever = int64_t{1} << 60;

// `Type`'s options with what the config says.
template <typename Type>
DeviceRow::Way WayOf(std::string name, const typename Type::Options& options) {
  return {std::move(name),
          [options](const DeviceConfig& config)
              -> absl::StatusOr<std::unique_ptr<Device>> {
            typename Type::Options with_config = options;
            with_config.cache_directory = config.cache_directory;
            with_config.max_programs = config.max_programs;
            with_config.max_code_bytes = config.max_code_bytes;
            return Type::Create(with_config);
          }};
}

DeviceRow Cpu() {
  using Options = CpuDevice::Options;
  const auto way = [](std::string name, const Options& options) {
    return WayOf<CpuDevice>(std::move(name), options);
  };
  DeviceRow row;
  row.name = "cpu";
  row.why_not = [] { return ""; };
  row.ways = {
      way("default", {}),
      way("one thread", {.num_threads = 1}),
      way("four threads", {.num_threads = 4, .min_elements_per_task = 4096}),
      way("temporal", {.num_threads = 1, .non_temporal_threshold_bytes = 0}),
      way("non-temporal",
          {.num_threads = 1, .non_temporal_threshold_bytes = 1}),
      way("no tables", {.num_threads = 1, .table_threshold_elements = kNever}),
      way("tables", {.num_threads = 1, .table_threshold_elements = 1}),
      way("non-temporal tables, four threads",
          {.num_threads = 4,
           .non_temporal_threshold_bytes = 1,
           .table_threshold_elements = 1,
           .min_elements_per_task = 4096}),
      way("AVX2", {.num_threads = 1, .cpu = "haswell"}),
  };
  return row;
}

std::vector<DeviceRow::Way> CudaWays(const CudaDevice::Options& base) {
  std::vector<DeviceRow::Way> ways;
  const auto add = [&](std::string name, auto change) {
    CudaDevice::Options options = base;
    change(options);
    ways.push_back(WayOf<CudaDevice>(std::move(name), options));
  };
  add("default", [](auto& options) {});
  add("small chunks", [](auto& options) {
    options.staging_bytes = int64_t{256} << 10;
    options.num_staging_slots = 3;
  });
  add("one slot", [](auto& options) { options.num_staging_slots = 1; });
  add("tables in shared memory",
      [](auto& options) { options.shared_table_min_elements = 0; });
  return ways;
}

DeviceRow CudaOverFakeDriver() {
  DeviceRow row;
  row.name = "cuda_over_fake_driver";
  row.why_not = FakeDriver::WhyNoKernels;
  row.program_stride = 17;
  CudaDevice::Options options;
  options.driver = FakeDriver::Path();
  options.nvrtc = FakeDriver::Path();
  options.self_test = false;  // the suite tests it
  row.ways = CudaWays(options);
  return row;
}

DeviceRow Cuda() {
  DeviceRow row;
  row.name = "cuda_0";
  row.why_not = [] {
    return std::string(CudaDevice::Create({}).status().message());
  };
  row.ways = CudaWays({.self_test = false});  // why_not() has tested it
  return row;
}

}  // namespace

std::vector<DeviceRow> AllDevices() {
  return {Cpu(), CudaOverFakeDriver(), Cuda()};
}

}  // namespace actserve::testing
