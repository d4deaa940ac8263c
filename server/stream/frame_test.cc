#include "server/stream/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "actserve/v1/service.pb.h"
#include "google/protobuf/stubs/logging.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;

constexpr size_t kMaxMetadataBytes = 4096;

// `bytes` in pieces of at most `most` bytes.
std::vector<Fragment> Cut(const std::string& bytes, size_t most,
                          std::mt19937_64& random) {
  std::vector<Fragment> fragments;
  for (size_t at = 0; at < bytes.size();) {
    const size_t size = std::min(bytes.size() - at, 1 + random() % most);
    fragments.push_back(
        {reinterpret_cast<const std::byte*>(bytes.data()) + at, size});
    at += size;
  }
  return fragments;
}

std::string PayloadOf(const RequestFrame& frame) {
  std::string payload;
  for (const Fragment& fragment : frame.payload) {
    payload.append(reinterpret_cast<const char*>(fragment.data),
                   fragment.size_bytes);
  }
  return payload;
}

v1::ForwardStreamRequest Chunk() {
  v1::ForwardStreamRequest message;
  message.set_tensor(3);
  message.set_offset(int64_t{5} << 32);
  message.set_payload("0123456789");
  return message;
}

TEST(Frame, ReadsWhatTheGeneratedClassesWrite) {
  std::mt19937_64 random(1);
  v1::ForwardStreamRequest first;
  first.mutable_request()->set_activation("gelu");
  first.set_window_bytes(1 << 20);
  for (const v1::ForwardStreamRequest& message : {first, Chunk()}) {
    const std::string bytes = message.SerializeAsString();
    for (size_t most = 1; most < 8; ++most) {
      const auto fragments = Cut(bytes, most, random);
      const auto frame = ReadFrame(fragments, kMaxMetadataBytes);

      ASSERT_TRUE(frame.ok()) << frame.status();
      EXPECT_EQ(frame->request.has_value(), message.has_request());
      if (message.has_request()) {
        EXPECT_EQ(*frame->request, message.request().SerializeAsString());
      }
      EXPECT_EQ(frame->window_bytes, message.window_bytes());
      EXPECT_EQ(frame->tensor, message.tensor());
      EXPECT_EQ(frame->offset, message.offset());
      EXPECT_EQ(PayloadOf(*frame), message.payload());
      EXPECT_EQ(frame->payload_bytes, message.payload().size());
    }
  }
}

TEST(Frame, RefusesWhatSaysTwoThings) {
  std::mt19937_64 random(1);
  v1::ForwardStreamRequest offset;
  offset.set_offset(7);
  for (const std::string& more :
       {offset.SerializeAsString(), Chunk().SerializeAsString()}) {
    const std::string bytes = Chunk().SerializeAsString() + more;
    const auto fragments = Cut(bytes, 100, random);
    const auto frame = ReadFrame(fragments, kMaxMetadataBytes);

    EXPECT_TRUE(absl::IsInvalidArgument(frame.status())) << frame.status();
  }
}

TEST(Frame, RefusesMoreMetadataThanItMayHave) {
  v1::ForwardStreamRequest message;
  message.mutable_request()->set_activation(std::string(5000, 'a'));
  const std::string bytes = message.SerializeAsString();
  std::mt19937_64 random(1);
  const auto fragments = Cut(bytes, 100, random);

  const auto frame = ReadFrame(fragments, kMaxMetadataBytes);

  EXPECT_TRUE(absl::IsInvalidArgument(frame.status()));
  EXPECT_THAT(std::string(frame.status().message()), HasSubstr("4096"));
}

// Where it accepts bytes, the generated class reads the same in them, and it
// never reads beyond them.
TEST(Frame, AgreesWithTheGeneratedClassOnMutatedBytes) {
  std::mt19937_64 random(20260101);
  v1::ForwardStreamRequest first;
  first.mutable_request()->set_activation("gelu");
  first.mutable_request()->add_inputs()->add_shape(300);
  first.set_window_bytes(1 << 22);
  int num_accepted = 0;
  for (int i = 0; i < 30000; ++i) {
    // It reports every string that is not UTF-8.
    const google::protobuf::LogSilencer silencer;
    std::string bytes = (i % 2 == 0 ? first : Chunk()).SerializeAsString();
    for (uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
      const size_t at = random() % bytes.size();
      switch (random() % 3) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes = bytes.substr(0, at) + static_cast<char>(random()) +
                  bytes.substr(at);
          break;
        default:
          bytes.erase(at, 1);
          if (bytes.empty()) bytes = "x";
      }
    }
    const auto fragments = Cut(bytes, 1 + random() % 9, random);
    const auto frame = ReadFrame(fragments, kMaxMetadataBytes);
    if (!frame.ok()) {
      EXPECT_TRUE(absl::IsInvalidArgument(frame.status())) << frame.status();
      continue;
    }
    // Strings of the request need not be UTF-8 here: decoding it refuses them.
    v1::ForwardStreamRequest message;
    if (!message.ParseFromString(bytes)) {
      EXPECT_TRUE(frame->request.has_value());
      continue;
    }
    ++num_accepted;
    EXPECT_EQ(frame->request.has_value(), message.has_request());
    EXPECT_EQ(frame->window_bytes, message.window_bytes());
    EXPECT_EQ(frame->tensor, message.tensor());
    EXPECT_EQ(frame->offset, message.offset());
    EXPECT_EQ(PayloadOf(*frame), message.payload());
  }
  EXPECT_GT(num_accepted, 1000);
}

TEST(Frame, WritesWhatTheGeneratedClassesRead) {
  v1::ForwardResponse response;
  response.set_device("cpu");
  v1::ForwardStreamResponse message;

  ASSERT_TRUE(message.ParseFromString(
      FirstFrame(response.SerializeAsString(), 4 << 20)));
  EXPECT_EQ(message.response().device(), "cpu");
  EXPECT_EQ(message.window_bytes(), 4 << 20);

  ASSERT_TRUE(message.ParseFromString(TakenField(int64_t{1} << 40) +
                                      ChunkHead(2, int64_t{3} << 32, 5) +
                                      "abcde"));
  EXPECT_EQ(message.taken_bytes(), int64_t{1} << 40);
  EXPECT_EQ(message.tensor(), 2);
  EXPECT_EQ(message.offset(), int64_t{3} << 32);
  EXPECT_EQ(message.payload(), "abcde");
  EXPECT_FALSE(message.has_response());

  ASSERT_TRUE(message.ParseFromString(LastFrame("")));
  EXPECT_TRUE(message.has_response());
}

}  // namespace
}  // namespace actserve
