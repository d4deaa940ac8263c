// What requests of a fuzz target are decoded with.

#ifndef ACTSERVE_SERVER_TESTING_DECODING_H_
#define ACTSERVE_SERVER_TESTING_DECODING_H_

#include <cstdint>

#include "absl/time/time.h"
#include "google/protobuf/stubs/logging.h"
#include "server/message/request.h"

namespace actserve::testing {

// Lives for ever.
struct Decoding {
  Registry& registry = *Registry::Create({}).value().release();
  Residuals& residuals = *new Residuals({}, Clock::Real());
  const RequestLimits limits = {.split = {},
                                .tensor = {},
                                .message_bytes = int64_t{64} << 20,
                                .default_lease = absl::Seconds(60),
                                .max_lease = absl::Seconds(600)};
};

// From here on protobuf no longer reports every string that is not UTF-8.
inline const Decoding& SharedDecoding() {
  static const google::protobuf::LogSilencer silencer;
  static const Decoding& decoding = *new Decoding;
  return decoding;
}

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_TESTING_DECODING_H_
