#ifndef ACTSERVE_CLIENT_LOAD_RECORD_TALLY_H_
#define ACTSERVE_CLIENT_LOAD_RECORD_TALLY_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "client/load/record/histogram.h"

namespace actserve {

// What was compared of an answer.
enum class Verified { kNot, kEqual, kDifferent };

// The end of one call, or train step.
struct CallEnd {
  // Of the mix.
  int request = 0;
  // True if the code is that which the request expects.
  bool ok = false;
  // True if the code is neither that nor one that the workload allows.
  bool unexpected = false;
  std::string code;    // "OK", "RESOURCE_EXHAUSTED"
  std::string reason;  // of the server, or ""
  // Of MonotonicNanos().
  int64_t intended_nanos = 0;
  int64_t sent_nanos = 0;
  int64_t done_nanos = 0;
  // True if nothing was free to send it at the intended time.
  bool blocked = false;
  // Tensors of the request and of the answer.
  int64_t bytes_sent = 0;
  int64_t bytes_received = 0;
  int64_t elements = 0;
  Verified verified = Verified::kNot;
  // True if the server had not kept the residual, so that inputs went twice.
  bool resent = false;
};

// Sums over calls.
//
// Not thread-safe.
struct Tally {
  void Add(const CallEnd& end);
  void Merge(const Tally& other);

  // From the intended time to the end.
  Histogram ok;
  Histogram failed;
  int64_t unexpected = 0;
  int64_t blocked = 0;
  int64_t resent = 0;
  // Of calls that ended well.
  int64_t bytes_sent = 0;
  int64_t bytes_received = 0;
  int64_t elements = 0;
  int64_t verified = 0;
  int64_t wrong = 0;
  // By code and reason of all calls.
  std::map<std::pair<std::string, std::string>, int64_t> codes;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_RECORD_TALLY_H_
