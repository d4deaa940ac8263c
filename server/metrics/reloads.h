// Counts how often files of keys were read again, for the whole process.

#ifndef ACTSERVE_SERVER_METRICS_RELOADS_H_
#define ACTSERVE_SERVER_METRICS_RELOADS_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace actserve {

// What is read again while the server runs.
enum class ReloadedFiles { kTls, kTokens, kNumReloadedFiles };

// "tls": the label of the metrics.
absl::string_view NameOf(ReloadedFiles files);

struct ReloadCounts {
  int64_t succeeded = 0;
  int64_t failed = 0;
  // False while the files are wrong, so that older ones are in use.
  bool last_succeeded = true;
};

// Both are thread-safe, without a lock.
void CountReload(ReloadedFiles files, bool succeeded);
ReloadCounts CountsOf(ReloadedFiles files);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_RELOADS_H_
