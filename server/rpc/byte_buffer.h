#ifndef ACTSERVE_SERVER_RPC_BYTE_BUFFER_H_
#define ACTSERVE_SERVER_RPC_BYTE_BUFFER_H_

#include "grpcpp/support/byte_buffer.h"
#include "server/message/response.h"

namespace actserve {

// Returns the response as slices. Does not copy the buffers: each goes back to
// its pool when gRPC drops the last reference to its slice.
grpc::ByteBuffer ToByteBuffer(EncodedResponse response);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_BYTE_BUFFER_H_
