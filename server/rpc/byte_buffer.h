#ifndef ACTSERVE_SERVER_RPC_BYTE_BUFFER_H_
#define ACTSERVE_SERVER_RPC_BYTE_BUFFER_H_

#include "grpcpp/support/byte_buffer.h"
#include "server/message/response.h"

namespace actserve {

// The response as slices. Buffers are not copied: each goes back to its pool
// when gRPC has let go of the last reference to its slice.
grpc::ByteBuffer ToByteBuffer(EncodedResponse response);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_BYTE_BUFFER_H_
