// What a server answers: bytes that are refused, or split as the generated
// parser reads them.

#include <string>
#include <vector>

#include "actserve/v1/service.pb.h"
#include "client/cpp/message/split_response.h"
#include "google/protobuf/stubs/logging.h"
#include "kernels/base/testing/fuzz_target.h"

namespace actserve {
namespace {

template <typename Message>
void CheckAgreement(absl::Span<const ByteSpan> slices, std::string_view bytes) {
  const absl::StatusOr<SplitResponse> split = Split(slices);
  if (!split.ok()) {
    ACTSERVE_FUZZ_CHECK(absl::IsInternal(split.status()));
    return;
  }
  Message want, got;
  const bool is_message = want.ParseFromArray(bytes.data(), bytes.size());
  ACTSERVE_FUZZ_CHECK(got.ParseFromString(split->metadata) == is_message);
  if (!is_message) return;
  for (const SplitResponse::Payload& payload : split->payloads) {
    std::string& copy = *got.add_payload();
    copy.resize(payload.size_bytes);
    CopyPayload(
        payload,
        absl::MakeSpan(reinterpret_cast<std::byte*>(copy.data()), copy.size()));
  }
  ACTSERVE_FUZZ_CHECK(got.SerializeAsString() == want.SerializeAsString());
}

// A byte that tells the message and how it is cut, and its encoding.
ACTSERVE_FUZZ_TARGET(split_response) {
  // It reports every string that is not UTF-8.
  static const google::protobuf::LogSilencer silencer;
  testing::FuzzInput input(data, size);
  const auto choice = input.Get<uint8_t>();
  const size_t slice_bytes = choice / 2;
  const std::string_view bytes = input.Rest();
  std::vector<ByteSpan> slices;
  for (size_t at = 0; at < bytes.size();) {
    const std::string_view slice =
        bytes.substr(at, slice_bytes == 0 ? bytes.npos : slice_bytes);
    slices.emplace_back(reinterpret_cast<const std::byte*>(slice.data()),
                        slice.size());
    // gRPC may hand over empty ones.
    if (choice % 3 == 0) slices.emplace_back();
    at += slice.size();
  }
  if (choice % 2 == 0) {
    CheckAgreement<v1::ForwardResponse>(slices, bytes);
  } else {
    CheckAgreement<v1::BackwardResponse>(slices, bytes);
  }
}

}  // namespace
}  // namespace actserve
