// Names of the trailers that an error of the server has beside its status.
// actserve/v1/service.proto says what they mean.

#ifndef ACTSERVE_PROTO_ERROR_TRAILERS_H_
#define ACTSERVE_PROTO_ERROR_TRAILERS_H_

namespace actserve {

// On every error that the server itself answers; the value is "1".
inline constexpr char kAnsweredTrailer[] = "actserve-answered";
// On a refusal that time cures: milliseconds until the call may come again.
inline constexpr char kPushbackTrailer[] = "grpc-retry-pushback-ms";

}  // namespace actserve

#endif  // ACTSERVE_PROTO_ERROR_TRAILERS_H_
