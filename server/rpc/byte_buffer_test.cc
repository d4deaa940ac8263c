#include "server/rpc/byte_buffer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpcpp/support/slice.h"
#include "server/state/buffer_pool.h"

namespace actserve {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(ToByteBuffer, JoinsPiecesInOrder) {
  auto pool = BufferPool::Create(kMiB);
  EncodedResponse response;
  Buffer buffer = pool->Get(3);
  std::memcpy(buffer.data(), "cde", 3);
  response.pieces.push_back({"ab", std::move(buffer)});
  response.pieces.push_back({"", Buffer()});
  response.pieces.push_back({"fg", Buffer()});

  const grpc::ByteBuffer bytes = ToByteBuffer(std::move(response));

  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(bytes.Dump(&slices).ok());
  std::string joined;
  for (const grpc::Slice& slice : slices) {
    joined.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  EXPECT_EQ(joined, "abcdefg");
}

TEST(ToByteBuffer, GivesABufferBackWithItsLastReference) {
  auto pool = BufferPool::Create(64 * kMiB);
  {
    EncodedResponse response;
    response.pieces.push_back({"head", pool->Get(kMiB)});
    const grpc::ByteBuffer bytes = ToByteBuffer(std::move(response));
    const grpc::ByteBuffer other = bytes;
    EXPECT_EQ(bytes.Length(), kMiB + 4);
    EXPECT_EQ(pool->idle_bytes(), 0);
  }
  EXPECT_EQ(pool->idle_bytes(), kMiB);
}

}  // namespace
}  // namespace actserve
