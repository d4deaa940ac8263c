#include "server/message/split_request.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "actserve/v1/service.pb.h"
#include "google/protobuf/stubs/logging.h"

namespace actserve {
namespace {

Fragment FragmentOf(const std::string& bytes) {
  return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
}

std::string BytesOf(const SplitRequest& split,
                    const SplitRequest::Payload& payload) {
  std::string bytes;
  for (const Fragment& fragment : split.FragmentsOf(payload)) {
    bytes.append(reinterpret_cast<const char*>(fragment.data),
                 fragment.size_bytes);
  }
  return bytes;
}

// No limits but those of protobuf.
SplitLimits Unlimited() {
  SplitLimits limits;
  limits.metadata_bytes = size_t{1} << 40;
  limits.payloads = size_t{1} << 40;
  return limits;
}

absl::Status Split(const std::string& bytes, SplitRequest* out) {
  const Fragment fragment = FragmentOf(bytes);
  return Split({&fragment, 1}, Unlimited(), out);
}

v1::ForwardRequest SampleRequest() {
  v1::ForwardRequest request;
  request.set_activation("leaky_relu");
  v1::Tensor& tensor = *request.add_inputs();
  tensor.set_dtype(v1::DTYPE_FLOAT32);
  tensor.add_shape(2);
  tensor.add_shape(300);
  v1::ParameterValue& parameter = *request.add_parameters();
  parameter.set_name("slope");
  parameter.set_scalar(0.25);
  request.set_keep_residual(true);
  request.mutable_residual_lease()->set_seconds(7);
  request.add_partials("x");
  request.add_payload(std::string(2400, 'p'));
  return request;
}

TEST(Wire, SplitsPayloadsFromMetadata) {
  v1::ForwardRequest request = SampleRequest();
  request.add_payload("second");
  const std::string bytes = request.SerializeAsString();

  SplitRequest split;
  ASSERT_TRUE(Split(bytes, &split).ok());

  ASSERT_EQ(split.payloads.size(), 2);
  EXPECT_EQ(BytesOf(split, split.payloads[0]), std::string(2400, 'p'));
  EXPECT_EQ(BytesOf(split, split.payloads[1]), "second");
  request.clear_payload();
  EXPECT_EQ(split.metadata, request.SerializeAsString());
}

TEST(Wire, LeavesPayloadsWhereTheyLie) {
  const std::string bytes = SampleRequest().SerializeAsString();

  SplitRequest split;
  ASSERT_TRUE(Split(bytes, &split).ok());

  const Fragment& fragment = split.FragmentsOf(split.payloads[0])[0];
  EXPECT_GE(reinterpret_cast<const char*>(fragment.data), bytes.data());
  EXPECT_LT(reinterpret_cast<const char*>(fragment.data),
            bytes.data() + bytes.size());
}

TEST(Wire, ReadsTheSameAcrossAnyTwoSliceBoundaries) {
  v1::ForwardRequest request = SampleRequest();
  request.set_payload(0, "0123456789");
  const std::string bytes = request.SerializeAsString();
  SplitRequest whole;
  ASSERT_TRUE(Split(bytes, &whole).ok());

  for (size_t i = 0; i <= bytes.size(); ++i) {
    for (size_t j = i; j <= bytes.size(); ++j) {
      SCOPED_TRACE(testing::Message() << i << ", " << j);
      const std::string parts[] = {bytes.substr(0, i), bytes.substr(i, j - i),
                                   bytes.substr(j)};
      const Fragment fragments[] = {FragmentOf(parts[0]), FragmentOf(parts[1]),
                                    FragmentOf(parts[2])};

      SplitRequest split;
      ASSERT_TRUE(Split(fragments, Unlimited(), &split).ok());

      ASSERT_EQ(split.metadata, whole.metadata);
      ASSERT_EQ(BytesOf(split, split.payloads[0]), "0123456789");
    }
  }
}

TEST(Wire, AcceptsPayloadsBeforeMetadata) {
  v1::ForwardRequest payloads;
  payloads.add_payload("abcd");
  v1::ForwardRequest rest = SampleRequest();
  rest.clear_payload();
  const std::string bytes =
      payloads.SerializeAsString() + rest.SerializeAsString();

  SplitRequest split;
  ASSERT_TRUE(Split(bytes, &split).ok());

  EXPECT_EQ(BytesOf(split, split.payloads[0]), "abcd");
  EXPECT_EQ(split.metadata, rest.SerializeAsString());
}

TEST(Wire, TellsWhichFieldsAreRepeated) {
  v1::ForwardRequest request;
  request.set_activation("relu");
  const std::string bytes =
      request.SerializeAsString() + request.SerializeAsString();

  SplitRequest split;
  ASSERT_TRUE(Split(bytes, &split).ok());

  EXPECT_EQ(split.repeated_fields,
            1u << v1::ForwardRequest::kActivationFieldNumber);
}

TEST(Wire, RefusesMalformedBytes) {
  struct Case {
    std::string name;
    std::string bytes;
  };
  const std::string deep(101, '\x0b');
  std::string closed = deep;
  closed.append(101, '\x0c');
  const Case cases[] = {
      {"field number 0", std::string("\x00", 1)},
      {"tag that does not end", "\xff\xff\xff\xff\xff\x01"},
      {"tag cut off", "\x80"},
      {"varint that does not end", "\x20" + std::string(10, '\x80')},
      {"varint cut off", "\x20\x80"},
      {"length cut off", "\x7a"},
      {"length beyond the end",
       "\x7a\x05"
       "abcd"},
      {"length beyond the end, metadata",
       "\x0a\x05"
       "abcd"},
      {"length of 2 GiB", "\x7a\x80\x80\x80\x80\x08"},
      {"length in six bytes", "\x7a\x80\x80\x80\x80\x80\x01"},
      {"fixed64 cut off",
       "\x11"
       "1234567"},
      {"fixed32 cut off",
       "\x15"
       "123"},
      {"end of no group", "\x0c"},
      {"group without end", "\x0b"},
      {"group ended by another", "\x0b\x14"},
      {"groups too deep", closed},
      {"wire type 6", "\x0e"},
      {"wire type 7", "\x0f"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    SplitRequest split;
    EXPECT_EQ(Split(c.bytes, &split).code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(v1::ForwardRequest().ParseFromString(c.bytes));
  }
}

TEST(Wire, AcceptsOddButValidBytes) {
  struct Case {
    std::string name;
    std::string bytes;
  };
  const Case cases[] = {
      {"nothing", ""},
      {"empty payload", std::string("\x7a\x00", 2)},
      {"tag of five bytes", std::string("\xfa\x80\x80\x80\x00\x01z", 7)},
      {"length of five bytes", std::string("\x7a\x81\x80\x80\x80\x00z", 7)},
      {"payload field as a varint", "\x78\x05"},
      {"unknown group around a payload", "\xa3\x06\x7a\x01z\xa4\x06"},
      {"unpacked shape", "\x12\x04\x10\x02\x10\x03"},
      {"packed shape", "\x12\x04\x12\x02\x02\x03"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    SplitRequest split;
    EXPECT_TRUE(Split(c.bytes, &split).ok());
    EXPECT_TRUE(v1::ForwardRequest().ParseFromString(c.bytes));
  }
}

TEST(Wire, RefusesMoreMetadataThanTheLimit) {
  v1::ForwardRequest request;
  request.set_activation(std::string(1000, 'a'));
  const std::string bytes = request.SerializeAsString();
  const Fragment fragment = FragmentOf(bytes);
  SplitLimits limits;
  SplitRequest split;

  limits.metadata_bytes = bytes.size();
  EXPECT_TRUE(Split({&fragment, 1}, limits, &split).ok());
  limits.metadata_bytes = bytes.size() - 1;
  EXPECT_EQ(Split({&fragment, 1}, limits, &split).message(),
            "request has more than 1002 bytes beside its payloads");
}

TEST(Wire, RefusesMorePayloadsThanTheLimit) {
  v1::ForwardRequest request;
  for (int i = 0; i < 3; ++i) request.add_payload("");
  const std::string bytes = request.SerializeAsString();
  const Fragment fragment = FragmentOf(bytes);
  SplitLimits limits;
  limits.payloads = 2;
  SplitRequest split;

  EXPECT_EQ(Split({&fragment, 1}, limits, &split).message(),
            "request has more than 2 payloads");
}

// Differential property tests against the generated parser.

template <typename Message>
void ExpectAgreement(const std::string& bytes, std::mt19937_64& random) {
  Message want;
  const bool want_ok = want.ParseFromString(bytes);

  // The same bytes in up to four fragments.
  std::vector<Fragment> fragments;
  size_t at = 0;
  for (int i = 0; i < 3 && at < bytes.size(); ++i) {
    const size_t run = random() % (bytes.size() - at + 1);
    fragments.push_back(
        {reinterpret_cast<const std::byte*>(bytes.data()) + at, run});
    at += run;
  }
  fragments.push_back({reinterpret_cast<const std::byte*>(bytes.data()) + at,
                       bytes.size() - at});
  SplitRequest split;
  Message got;
  const bool got_ok = Split(fragments, Unlimited(), &split).ok() &&
                      got.ParseFromString(split.metadata);

  ASSERT_EQ(got_ok, want_ok);
  if (!want_ok) return;
  for (const SplitRequest::Payload& payload : split.payloads) {
    got.add_payload(BytesOf(split, payload));
  }
  ASSERT_EQ(got.SerializeAsString(), want.SerializeAsString());
}

std::string Mutate(std::string bytes, std::mt19937_64& random) {
  const int num_edits = 1 + static_cast<int>(random() % 4);
  for (int i = 0; i < num_edits && !bytes.empty(); ++i) {
    const size_t at = random() % bytes.size();
    const char value = static_cast<char>(random());
    switch (random() % 5) {
      case 0:
        bytes[at] = value;
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
        break;
      case 2:
        bytes.insert(at, 1, value);
        break;
      case 3:
        bytes.erase(at, 1 + random() % 3);
        break;
      default:
        bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 16));
    }
  }
  return bytes;
}

v1::BackwardRequest SampleBackward() {
  v1::BackwardRequest request;
  request.set_activation("gelu");
  request.set_residual("0123456789abcdef");
  *request.add_inputs() = SampleRequest().inputs(0);
  *request.mutable_grad_output() = SampleRequest().inputs(0);
  request.add_wrt("x");
  request.add_payload("payload1");
  request.add_payload("payload2");
  return request;
}

class WireAgreement : public testing::Test {
 protected:
  WireAgreement() : seed_(std::random_device()()), random_(seed_) {
    std::printf("seed %u\n", seed_);
  }
  // It reports every string that is not UTF-8.
  const google::protobuf::LogSilencer silencer_;
  const unsigned seed_;
  std::mt19937_64 random_;
};

TEST_F(WireAgreement, WithTheGeneratedParserOnMutatedRequests) {
  v1::ForwardRequest small = SampleRequest();
  small.set_payload(0, "0123456789abcdef");
  const std::string forward = small.SerializeAsString();
  const std::string backward = SampleBackward().SerializeAsString();
  for (int i = 0; i < 200'000; ++i) {
    ASSERT_NO_FATAL_FAILURE(
        ExpectAgreement<v1::ForwardRequest>(Mutate(forward, random_), random_));
    ASSERT_NO_FATAL_FAILURE(ExpectAgreement<v1::BackwardRequest>(
        Mutate(backward, random_), random_));
  }
}

TEST_F(WireAgreement, WithTheGeneratedParserOnRandomBytes) {
  // Bytes that mean something at the start of a field.
  const std::string alphabet(
      "\x00\x01\x02\x03\x08\x0a\x0b\x0c\x10\x12\x1a\x20\x2a\x32\x7a\x78\x7f"
      "\x80\x81\xff\xa3\x06\xa4z",
      24);
  for (int i = 0; i < 300'000; ++i) {
    std::string bytes(random_() % 24, '\0');
    for (char& byte : bytes) {
      byte = random_() % 4 == 0 ? static_cast<char>(random_())
                                : alphabet[random_() % alphabet.size()];
    }
    ASSERT_NO_FATAL_FAILURE(
        ExpectAgreement<v1::ForwardRequest>(bytes, random_));
  }
}

}  // namespace
}  // namespace actserve
