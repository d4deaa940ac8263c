#include "client/cpp/message/split_response.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "actserve/v1/service.pb.h"
#include "google/protobuf/stubs/logging.h"
#include "google/protobuf/util/message_differencer.h"

namespace actserve {
namespace {

ByteSpan AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// `text` cut at random places, empty pieces included.
std::vector<ByteSpan> Cut(std::string_view text, std::mt19937& random) {
  std::vector<ByteSpan> pieces;
  while (!text.empty()) {
    const size_t size = std::min<size_t>(random() % 7, text.size());
    pieces.push_back(AsBytes(text.substr(0, size)));
    text.remove_prefix(size);
  }
  return pieces;
}

std::string Joined(const SplitResponse::Payload& payload) {
  std::string joined(payload.size_bytes, '\0');
  CopyPayload(payload,
              absl::MakeSpan(reinterpret_cast<std::byte*>(joined.data()),
                             joined.size()));
  return joined;
}

v1::ForwardResponse Example(std::mt19937& random) {
  v1::ForwardResponse message;
  message.mutable_output()->set_dtype(v1::DTYPE_FLOAT32);
  message.mutable_output()->add_shape(random());
  message.mutable_residual()->set_handle(std::string(16, '\x7a'));
  message.set_activation_id(std::string(random() % 300, 'a'));
  message.mutable_timings()->mutable_queue()->set_nanos(random() % 1000000000);
  for (int n = random() % 4; n > 0; --n) {
    message.add_payload(std::string(random() % 400, '\x7a'));
  }
  return message;
}

TEST(SplitResponse, AgreesWithProtobufHoweverItIsCut) {
  std::mt19937 random(20240501);
  for (int round = 0; round < 2000; ++round) {
    SCOPED_TRACE(round);
    v1::ForwardResponse message = Example(random);
    const std::string wire = message.SerializeAsString();

    const auto split = Split(Cut(wire, random));

    ASSERT_TRUE(split.ok()) << split.status();
    ASSERT_EQ(split->payloads.size(),
              static_cast<size_t>(message.payload_size()));
    for (int i = 0; i < message.payload_size(); ++i) {
      EXPECT_EQ(Joined(split->payloads[i]), message.payload(i));
    }
    v1::ForwardResponse metadata;
    ASSERT_TRUE(metadata.ParseFromString(split->metadata));
    message.clear_payload();
    EXPECT_TRUE(
        google::protobuf::util::MessageDifferencer::Equals(metadata, message));
  }
}

TEST(SplitResponse, MutatedBytesAreRefusedOrAgreeWithProtobuf) {
  std::mt19937 random(20240502);
  google::protobuf::LogSilencer quiet;  // invalid UTF-8 is expected here
  for (int round = 0; round < 5000; ++round) {
    SCOPED_TRACE(round);
    std::string wire = Example(random).SerializeAsString();
    for (int n = 1 + random() % 3; n > 0; --n) {
      wire[random() % wire.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) wire.resize(random() % wire.size());

    const auto split = Split(Cut(wire, random));

    v1::ForwardResponse whole, metadata;
    if (!split.ok()) continue;
    const bool parses = metadata.ParseFromString(split->metadata);
    ASSERT_EQ(parses, whole.ParseFromString(wire));
    if (!parses) continue;
    ASSERT_EQ(split->payloads.size(),
              static_cast<size_t>(whole.payload_size()));
    for (int i = 0; i < whole.payload_size(); ++i) {
      EXPECT_EQ(Joined(split->payloads[i]), whole.payload(i));
    }
  }
}

TEST(SplitResponse, RefusesWhatIsNotAMessage) {
  struct Case {
    const char* name;
    std::string wire;
    const char* message;
  };
  const Case cases[] = {
      {"tag", "\x80", "malformed reply: bad field tag"},
      {"varint", std::string("\x08") + std::string(11, '\xff'),
       "malformed reply: bad varint"},
      {"length", "\x7a\xff", "malformed reply: bad field length"},
      {"beyond",
       "\x7a\x05"
       "1234",
       "malformed reply: a field ends beyond the message"},
      {"fixed",
       "\x09"
       "1234567",
       "malformed reply: a field ends beyond the message"},
      {"group", "\x0b", "malformed reply: unknown wire type"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);

    EXPECT_EQ(Split({AsBytes(c.wire)}).status(),
              absl::InternalError(c.message));
  }
}

TEST(AppendPayloadHeader, IsWhatProtobufReads) {
  for (const size_t size_bytes : {0, 1, 127, 128, 16383, 16384, 300000}) {
    SCOPED_TRACE(size_bytes);
    std::string wire;
    AppendPayloadHeader(size_bytes, wire);
    wire.append(size_bytes, 'x');

    v1::ForwardRequest message;

    ASSERT_TRUE(message.ParseFromString(wire));
    EXPECT_EQ(message.payload(0).size(), size_bytes);
  }
}

}  // namespace
}  // namespace actserve
