// When a refused client should try again, as part of the error.

#ifndef ACTSERVE_SERVER_SCHEDULING_RETRY_AFTER_H_
#define ACTSERVE_SERVER_SCHEDULING_RETRY_AFTER_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace actserve {

// The payload of the status. It is for this process only: a front door turns it
// into what its protocol has for it.
inline constexpr absl::string_view kRetryAfterType = "actserve/retry_after";

// `delay` is rounded up to a whole millisecond.
absl::Status WithRetryAfter(absl::Status status, absl::Duration delay);

// What WithRetryAfter() added; nullopt if it was not called.
std::optional<absl::Duration> RetryAfter(const absl::Status& status);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_RETRY_AFTER_H_
