// The devices that the conformance suite runs on, each with several options.

#ifndef ACTSERVE_KERNELS_DEVICE_TESTING_DEVICES_H_
#define ACTSERVE_KERNELS_DEVICE_TESTING_DEVICES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/device/device.h"

namespace actserve::testing {

// Options that every device has.
struct DeviceConfig {
  std::string cache_directory = "";
  int max_programs = 1024;
  int64_t max_code_bytes = int64_t{128} << 20;
};

// One device of the suite.
struct DeviceRow {
  // Options of one device that must not show in the results: threads, tables,
  // sizes of what is copied at a time.
  struct Way {
    std::string name;
    std::function<absl::StatusOr<std::unique_ptr<Device>>(const DeviceConfig&)>
        make;
  };

  std::string name;       // letters, digits and underscores
  std::vector<Way> ways;  // the first is the default
  // Why the device cannot be tested here, or "".
  std::function<std::string()> why_not;
  // Tests try one in this many of similar programs, because compiling takes
  // long.
  int program_stride = 1;
};

inline std::ostream& operator<<(std::ostream& out, const DeviceRow& row) {
  return out << row.name;
}

// "cpu"; "cuda_over_fake_driver", the CUDA device whole but for the GPU; and
// "cuda_0", a GPU if there is one.
std::vector<DeviceRow> AllDevices();

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_DEVICE_TESTING_DEVICES_H_
