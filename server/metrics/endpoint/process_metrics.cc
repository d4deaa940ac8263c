#include "server/metrics/endpoint/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#include "server/metrics/endpoint/families.h"
#include "server/observe/resident_bytes.h"

namespace actserve {
namespace {

double SecondsOf(const timeval& time) {
  return static_cast<double>(time.tv_sec) +
         1e-6 * static_cast<double>(time.tv_usec);
}

// Seconds since 1970.
double StartTime() {
  // The time of the boot is in another file.
  double booted = 0;
  std::ifstream kernel("/proc/stat");
  for (std::string word; kernel >> word;) {
    if (word == "btime" && kernel >> booted) break;
  }
  // The 22nd field, in ticks after the boot. The second one is the program's
  // name in parentheses, which may hold anything.
  std::ifstream file("/proc/self/stat");
  std::stringstream text;
  text << file.rdbuf();
  std::string fields = text.str();
  fields.erase(0, fields.rfind(')') + 1);
  std::istringstream rest(fields);
  std::string field;
  for (int i = 3; i <= 22; ++i) rest >> field;
  return booted +
         std::atof(field.c_str()) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

int64_t OpenDescriptors() {
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  int64_t count = -3;  // ".", "..", and that of the folder
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessMetrics() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  rlimit descriptors = {};
  getrlimit(RLIMIT_NOFILE, &descriptors);
  static const double start_time = StartTime();
  return {
      Counter("process_cpu_seconds_total",
              "Processor time of the process, user and system.",
              SecondsOf(usage.ru_utime) + SecondsOf(usage.ru_stime)),
      Gauge("process_resident_memory_bytes",
            "Memory of the process that is in RAM.",
            static_cast<double>(ResidentBytes())),
      Gauge("process_start_time_seconds",
            "When the process started, in seconds since 1970.", start_time),
      Gauge("process_open_fds", "Open file descriptors.",
            static_cast<double>(OpenDescriptors())),
      Gauge("process_max_fds", "Limit on the open file descriptors.",
            static_cast<double>(descriptors.rlim_cur)),
  };
}

}  // namespace actserve
