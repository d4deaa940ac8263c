#include "client/cpp/stream/exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "actserve/v1/service.pb.h"
#include "client/cpp/message/envelope.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;

ByteSpan SpanOf(const std::string& bytes) {
  return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
}

std::string StringOf(const StreamExchange::Message& message) {
  std::string bytes = message.head;
  for (const ByteSpan piece : message.chunk) {
    bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return bytes;
}

// A Forward of inputs of these sizes.
class ExchangeTest : public ::testing::Test {
 protected:
  StreamExchange Make(const std::vector<size_t>& sizes) {
    v1::ForwardRequest request;
    request.set_activation("f");
    std::vector<ByteSpan> spans;
    for (const size_t size : sizes) {
      payloads_.push_back(std::string(size, static_cast<char>('a' + size % 7)));
    }
    for (const std::string& payload : payloads_) {
      spans.push_back(SpanOf(payload));
    }
    envelope_ = std::make_unique<Envelope>(request, spans);
    return StreamExchange("Forward", *Split(envelope_->parts()),
                          {absl::MakeSpan(output_)});
  }

  static absl::Status Give(StreamExchange& exchange,
                           const v1::ForwardStreamResponse& message) {
    const std::string bytes = message.SerializeAsString();
    return exchange.Take({SpanOf(bytes)});
  }
  // The first message of an answer of `size` bytes.
  static v1::ForwardStreamResponse First(int64_t size) {
    v1::ForwardStreamResponse first;
    first.mutable_response()->mutable_output()->set_dtype(v1::DTYPE_FLOAT16);
    first.mutable_response()->mutable_output()->add_shape(size / 2);
    first.set_window_bytes(4 << 20);
    return first;
  }
  static v1::ForwardStreamResponse Chunk(int tensor, int64_t offset,
                                         const std::string& bytes) {
    v1::ForwardStreamResponse chunk;
    chunk.set_tensor(tensor);
    chunk.set_offset(offset);
    chunk.set_payload(bytes);
    return chunk;
  }

  std::vector<std::string> payloads_;
  std::unique_ptr<Envelope> envelope_;
  std::vector<std::byte> output_ = std::vector<std::byte>(8);
};

TEST_F(ExchangeTest, SendsSmallTensorsFirstAndLargeOnesInTurns) {
  constexpr size_t kLarge = (5 << 20) + 6;
  StreamExchange exchange = Make({kLarge, 30, kLarge, 0});
  std::vector<std::string> got(4);
  std::vector<int> order;
  v1::ForwardStreamRequest message;
  ASSERT_TRUE(message.ParseFromString(StringOf(exchange.Next())));
  EXPECT_EQ(message.request().activation(), "f");
  EXPECT_EQ(message.window_bytes(), 4 << 20);
  ASSERT_TRUE(Give(exchange, First(8)).ok());
  int64_t taken = 0;
  while (exchange.HasNext()) {
    // The server takes what comes.
    v1::ForwardStreamResponse credit;
    credit.set_taken_bytes(taken);
    ASSERT_TRUE(Give(exchange, credit).ok());
    ASSERT_TRUE(exchange.MaySendNext());
    const StreamExchange::Message next = exchange.Next();
    EXPECT_EQ(next.is_last, !exchange.HasNext());
    ASSERT_TRUE(message.ParseFromString(StringOf(next)));
    EXPECT_FALSE(message.has_request());
    EXPECT_EQ(message.offset(),
              static_cast<int64_t>(got[message.tensor()].size()));
    EXPECT_LE(message.payload().size(), StreamExchange::kChunkBytes);
    got[message.tensor()] += message.payload();
    taken += static_cast<int64_t>(message.payload().size());
    order.push_back(message.tensor());
  }

  EXPECT_TRUE(got == payloads_);
  EXPECT_EQ(order, (std::vector<int>{1, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2}));
}

TEST_F(ExchangeTest, SendsNoMoreThanTheServerTakes) {
  StreamExchange exchange = Make({16 << 20});
  const auto num_sent = [&] {
    int count = 0;
    for (; exchange.MaySendNext(); ++count) exchange.Next();
    return count;
  };

  // The request, and a chunk before the first answer.
  EXPECT_EQ(num_sent(), 2);
  ASSERT_TRUE(Give(exchange, First(8)).ok());
  EXPECT_EQ(num_sent(), 3);
  v1::ForwardStreamResponse credit;
  credit.set_taken_bytes(2 << 20);
  ASSERT_TRUE(Give(exchange, credit).ok());
  EXPECT_EQ(num_sent(), 2);
  exchange.Restart();
  EXPECT_EQ(num_sent(), 2);
}

TEST_F(ExchangeTest, WritesResultsToTheirPlace) {
  StreamExchange exchange = Make({4});
  ASSERT_TRUE(Give(exchange, First(8)).ok());
  ASSERT_TRUE(Give(exchange, Chunk(0, 0, "abc")).ok());
  ASSERT_TRUE(Give(exchange, Chunk(0, 3, "defgh")).ok());
  v1::ForwardStreamResponse last = First(8);
  last.mutable_response()->set_device("cpu");
  ASSERT_TRUE(Give(exchange, last).ok());

  auto slices = exchange.TakeReply();

  ASSERT_TRUE(slices.ok()) << slices.status();
  const auto answer = Open<v1::ForwardResponse>(*std::move(slices));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->metadata.device(), "cpu");
  ASSERT_EQ(answer->payloads.size(), 1);
  ASSERT_EQ(answer->payloads[0].pieces.size(), 1);
  EXPECT_EQ(answer->payloads[0].pieces[0].data(), output_.data());
  EXPECT_EQ(std::string(reinterpret_cast<char*>(output_.data()), 8),
            "abcdefgh");
}

TEST_F(ExchangeTest, KeepsResultsThatDoNotFitTheirPlace) {
  StreamExchange exchange = Make({4});
  ASSERT_TRUE(Give(exchange, First(6)).ok());
  ASSERT_TRUE(Give(exchange, Chunk(0, 0, "abc")).ok());
  ASSERT_TRUE(Give(exchange, Chunk(0, 3, "def")).ok());
  ASSERT_TRUE(Give(exchange, First(6)).ok());

  const auto answer = Open<v1::ForwardResponse>(*exchange.TakeReply());

  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->payloads[0].size_bytes, 6);
  EXPECT_EQ(output_, std::vector<std::byte>(8));
}

// A call that breaks is sent again, and the rest of its input may not be sent
// yet: results that were written there gave wrong numbers.
TEST_F(ExchangeTest, KeepsResultsWhosePlaceIsPartOfTheRequest) {
  (void)Make({8});
  const absl::Span<std::byte> input(
      reinterpret_cast<std::byte*>(payloads_[0].data()), 8);
  StreamExchange exchange("Forward", *Split(envelope_->parts()), {input});
  const std::string before = payloads_[0];
  ASSERT_TRUE(Give(exchange, First(8)).ok());
  ASSERT_TRUE(Give(exchange, Chunk(0, 0, "01234567")).ok());
  ASSERT_TRUE(Give(exchange, First(8)).ok());

  const auto answer = Open<v1::ForwardResponse>(*exchange.TakeReply());

  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(payloads_[0], before);
  const ByteSpan result = answer->payloads[0].pieces.at(0);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(result.data()), 8),
            "01234567");
}

TEST_F(ExchangeTest, RefusesWhatMakesNoSense) {
  struct Case {
    std::string name;
    std::vector<v1::ForwardStreamResponse> messages;
    std::string error;
  };
  v1::ForwardStreamResponse huge = First(8);
  huge.mutable_response()->mutable_output()->add_shape(-1);
  const std::vector<Case> cases = {
      {"a chunk first", {Chunk(0, 0, "a")}, "a chunk of tensor 0 of 0"},
      {"another tensor", {First(8), Chunk(1, 0, "a")}, "tensor 1 of 1"},
      {"a negative tensor", {First(8), Chunk(-1, 0, "a")}, "tensor -1"},
      {"a gap", {First(8), Chunk(0, 1, "a")}, "offset 1, expected 0"},
      {"too much",
       {First(8), Chunk(0, 0, "abcdefghi")},
       "9 bytes at offset 0 of 8"},
      {"no end", {First(8)}, "it ended without a response"},
      {"too little",
       {First(8), Chunk(0, 0, "abcd"), First(8)},
       "it ended at byte 4 of tensor 0, which has 8"},
      {"more than there is memory",
       {huge, huge},
       "it ended at byte 0 of tensor 0"}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    StreamExchange exchange = Make({4});
    absl::Status status;
    for (const auto& message : each.messages) {
      if (status.ok()) status = Give(exchange, message);
    }
    if (status.ok()) status = exchange.TakeReply().status();

    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(each.error));
  }
}

}  // namespace
}  // namespace actserve
