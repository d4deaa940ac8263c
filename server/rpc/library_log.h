#ifndef ACTSERVE_SERVER_RPC_LIBRARY_LOG_H_
#define ACTSERVE_SERVER_RPC_LIBRARY_LOG_H_

namespace actserve {

// Sends the messages of gRPC to LogEvent(), and drops those of protobuf, which
// are about one request and reach its client. Call once, at the start of
// main().
void CaptureLibraryLogs();

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_LIBRARY_LOG_H_
