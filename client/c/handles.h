// What the opaque structs of actserve.h hold, and how all of its functions read
// the structs of their caller.

#ifndef ACTSERVE_CLIENT_C_HANDLES_H_
#define ACTSERVE_CLIENT_C_HANDLES_H_

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/c/actserve.h"
#include "client/cpp/cancellation.h"
#include "client/cpp/client.h"

struct actserve_status {
  int code;
  std::string message;
  std::string reason;
  std::vector<actserve::v1::Diagnostic> diagnostics;
};

struct actserve_client {
  std::unique_ptr<actserve::Client> client;
  // Of every call.
  actserve::Cancellation cancellation;
};

struct actserve_memory {
  std::shared_ptr<std::byte[]> bytes;
};

struct actserve_activation {
  actserve::v1::Activation activation;
  std::vector<actserve::v1::Diagnostic> diagnostics;
};

struct actserve_residual {
  actserve::v1::Residual residual;
};

struct actserve_reply {
  actserve::EncodedReply reply;
};

namespace actserve {

// Null for OK.
inline actserve_status* ToStatus(const absl::Status& status) {
  if (status.ok()) return nullptr;
  return new actserve_status{static_cast<int>(status.code()),
                             std::string(status.message()), ErrorReason(status),
                             ErrorDiagnostics(status)};
}

inline absl::Status Missing(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat(what, " is NULL"));
}

// A struct of the caller as far as its version has it, the rest zero.
// InvalidArgument if its `size` is none of a version.
template <typename Struct>
absl::StatusOr<Struct> Read(const Struct* given, const char* what) {
  Struct read = {};
  read.size = sizeof(read);
  if (given == nullptr) return read;
  if (given->size == 0 || given->size > sizeof(Struct)) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": size ", given->size, " is not in 1 to ",
                     sizeof(Struct), "; set it to sizeof(", what, ")"));
  }
  std::memcpy(&read, given, given->size);
  return read;
}

inline absl::Status SetDuration(double seconds, const char* what,
                                absl::Duration& duration) {
  if (!(seconds >= 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " ", seconds, " is not 0 or more"));
  }
  if (seconds > 0) duration = absl::Seconds(seconds);
  return absl::OkStatus();
}

inline absl::Status SetTimeout(double seconds, absl::Duration& timeout) {
  return SetDuration(seconds, "timeout_seconds", timeout);
}

inline void SetTrace(const char* traceparent, const char* tracestate,
                     CallOptions& options) {
  if (traceparent != nullptr) options.traceparent = traceparent;
  if (tracestate != nullptr) options.tracestate = tracestate;
}

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_C_HANDLES_H_
