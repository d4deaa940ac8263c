// What is known of a request that came before. kserve_test repeats requests.

#include "server/kserve/known_requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "inference/grpc_service.pb.h"

namespace actserve::kserve {
namespace {

using inference::ModelInferRequest;
using ::testing::ElementsAre;

ModelInferRequest Request(const std::string& id) {
  ModelInferRequest request;
  request.set_model_name("gelu");
  request.set_id(id);
  (*request.mutable_parameters())["axis"].set_int64_param(-1);
  request.add_inputs()->set_name("x");
  return request;
}

TEST(TakeId, CutsNothingElse) {
  const std::string without = Request("").SerializeAsString();
  for (const std::string id : {"1", "request-17", "~!@#$%^&*()"}) {
    std::string metadata = Request(id).SerializeAsString();
    EXPECT_EQ(TakeId(&metadata), id);
    EXPECT_EQ(metadata, without);
  }
  std::string metadata = without;
  EXPECT_EQ(TakeId(&metadata), "");
  EXPECT_EQ(metadata, without);
}

TEST(TakeId, LeavesWhatTheParserMustSee) {
  for (const std::string id : {"a b", "\x7F", "\xC3\xA9", "\xFF", "\n"}) {
    const std::string before = Request(id).SerializeAsString();
    std::string metadata = before;
    EXPECT_EQ(TakeId(&metadata), "");
    EXPECT_EQ(metadata, before);
  }
  const std::string whole = Request("17").SerializeAsString();
  for (size_t length = 0; length < whole.size(); ++length) {
    std::string metadata = whole.substr(0, length);
    static_cast<void>(TakeId(&metadata));
    EXPECT_LE(metadata.size(), length);
  }
}

SplitRequest Raw(const std::string& metadata, size_t num_payloads) {
  static const std::byte bytes[3] = {};
  SplitRequest raw;
  raw.metadata = metadata;
  for (size_t p = 0; p < num_payloads; ++p) {
    raw.payloads.push_back({p, 1, 1});
    raw.fragments.push_back({bytes + p, 1});
  }
  return raw;
}

TEST(KnownRequests, AreFoundByMetadataAndNumberOfPayloads) {
  KnownRequests known;
  auto entry = std::make_shared<KnownRequest>();
  entry->raw_places = {1, 0};
  known.Put(Raw("m", 2), entry);

  EXPECT_EQ(known.Find(Raw("m", 2)), entry);
  EXPECT_EQ(known.Find(Raw("m", 1)), nullptr);
  EXPECT_EQ(known.Find(Raw("m", 3)), nullptr);
  EXPECT_EQ(known.Find(Raw("n", 2)), nullptr);
  SplitRequest twice = Raw("m", 2);
  twice.repeated_fields = uint32_t{1}
                          << ModelInferRequest::kModelNameFieldNumber;
  EXPECT_EQ(known.Find(twice), nullptr);
  const std::string large(KnownRequests::kMaxMetadataBytes + 1, 'm');
  known.Put(Raw(large, 2), entry);
  EXPECT_EQ(known.Find(Raw(large, 2)), nullptr);
}

TEST(KnownRequests, PayloadsGoWhereTheNativeRequestHasThem) {
  KnownRequest entry;
  entry.native_metadata = "native";
  entry.raw_places = {2, 0, 1};
  const SplitRequest raw = Raw("m", 3);
  const SplitRequest native = NativeRequest(entry, raw);

  EXPECT_EQ(native.metadata, "native");
  std::vector<const std::byte*> places;
  for (const SplitRequest::Payload& payload : native.payloads) {
    places.push_back(native.FragmentsOf(payload)[0].data);
  }
  EXPECT_THAT(places, ElementsAre(raw.fragments[2].data, raw.fragments[0].data,
                                  raw.fragments[1].data));
}

}  // namespace
}  // namespace actserve::kserve
