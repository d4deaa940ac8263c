#include "server/rpc/byte_buffer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actserve/v1/service.pb.h"
#include "grpcpp/support/slice.h"
#include "server/state/buffer_pool.h"

namespace actserve {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(ToByteBuffer, JoinsPiecesInOrder) {
  auto pool = BufferPool::Create(kMiB);
  CallCounter calls;
  EncodedResponse response;
  Buffer buffer = pool->Get(3);
  std::memcpy(buffer.data(), "cde", 3);
  response.pieces.push_back({"ab", std::move(buffer)});
  response.pieces.push_back({"", Buffer()});
  response.pieces.push_back({"fg", Buffer()});

  const grpc::ByteBuffer bytes = ToByteBuffer(std::move(response), &calls);

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
  CallCounter calls;
  {
    EncodedResponse response;
    response.pieces.push_back({"head", pool->Get(kMiB)});
    const grpc::ByteBuffer bytes = ToByteBuffer(std::move(response), &calls);
    const grpc::ByteBuffer other = bytes;
    EXPECT_EQ(bytes.Length(), kMiB + 4);
    EXPECT_EQ(pool->idle_bytes(), 0);
    EXPECT_FALSE(calls.AwaitNone(absl::InfinitePast()));
  }
  EXPECT_EQ(pool->idle_bytes(), kMiB);
  EXPECT_TRUE(calls.AwaitNone(absl::InfinitePast()));
}

grpc::ByteBuffer BufferOf(const std::vector<std::string>& parts) {
  std::vector<grpc::Slice> slices;
  for (const std::string& part : parts) slices.emplace_back(part);
  return grpc::ByteBuffer(slices.data(), slices.size());
}

TEST(ReadMessage, ReadsAcrossSlicesAndDropsUnknownFields) {
  v1::GetActivationRequest message;

  const absl::Status status = ReadMessage(
      BufferOf({"\x0a\x04ge", "lu\x7b", "\x7c\xa2\x06\x01z"}), {15}, &message);

  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(message.activation(), "gelu");
  EXPECT_EQ(message.ByteSizeLong(), 6);
}

TEST(ReadMessage, RefusesWhatIsNoMessage) {
  v1::GetActivationRequest message;
  struct Case {
    grpc::ByteBuffer bytes;
    std::string message;
  };
  const std::string malformed =
      "request is not a valid GetActivationRequest: bad protobuf, or a string "
      "that is not UTF-8";
  const Case cases[] = {
      {grpc::ByteBuffer(), "request has no message, or one that was cut off"},
      {BufferOf({"\x0a\x04", "gel"}), malformed},
      {BufferOf({"\x0a\x02\xff\xff"}), malformed},
      {BufferOf({std::string(10, '\x0b')}), malformed},
      {BufferOf({std::string(9, 'x'), std::string(8, 'x')}),
       "request of 17 bytes, limit 16, by --flag"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(ReadMessage(c.bytes, {16, "--flag"}, &message),
              absl::InvalidArgumentError(c.message));
  }
}

TEST(ReadMessage, ReadsWhatWriteMessageWrote) {
  v1::GetActivationRequest message, empty;
  message.set_activation("gelu");

  v1::GetActivationRequest read;
  ASSERT_TRUE(ReadMessage(WriteMessage(message, {}), {100}, &read).ok());

  EXPECT_EQ(read.activation(), "gelu");
  EXPECT_TRUE(ReadMessage(WriteMessage(empty, {}), {100}, &read).ok());
}

}  // namespace
}  // namespace actserve
