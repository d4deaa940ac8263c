// Splitting agrees with the generated parser: on which bytes are a message, and
// on every field of it.

#include <algorithm>
#include <string>
#include <vector>

#include "actserve/v1/service.pb.h"
#include "google/protobuf/stubs/logging.h"
#include "kernels/base/testing/fuzz_target.h"
#include "server/message/split_request.h"

namespace actserve {
namespace {

using testing::FuzzInput;

// Pieces of `piece_bytes`; 0: one piece.
std::vector<Fragment> Cut(std::string_view bytes, size_t piece_bytes) {
  std::vector<Fragment> fragments;
  while (!bytes.empty()) {
    const size_t run =
        piece_bytes == 0 ? bytes.size() : std::min(piece_bytes, bytes.size());
    fragments.push_back(
        {reinterpret_cast<const std::byte*>(bytes.data()), run});
    bytes.remove_prefix(run);
  }
  return fragments;
}

template <typename Message>
void CheckAgreement(std::string_view bytes, size_t piece_bytes) {
  constexpr SplitLimits kUnlimited = {.metadata_bytes = size_t{1} << 40,
                                      .payloads = size_t{1} << 40};
  const std::vector<Fragment> fragments = Cut(bytes, piece_bytes);
  Message want, got;
  const bool is_message = want.ParseFromArray(bytes.data(), bytes.size());
  SplitRequest split;
  const absl::Status status = Split(fragments, kUnlimited, &split);
  ACTSERVE_FUZZ_CHECK(status.ok() || absl::IsInvalidArgument(status));
  ACTSERVE_FUZZ_CHECK(is_message ==
                      (status.ok() && got.ParseFromString(split.metadata)));
  if (is_message) {
    for (const SplitRequest::Payload& payload : split.payloads) {
      std::string& copy = *got.add_payload();
      for (const Fragment& fragment : split.FragmentsOf(payload)) {
        copy.append(reinterpret_cast<const char*>(fragment.data),
                    fragment.size_bytes);
      }
      ACTSERVE_FUZZ_CHECK(copy.size() == payload.size_bytes);
    }
    ACTSERVE_FUZZ_CHECK(got.SerializeAsString() == want.SerializeAsString());
  }

  // Limits refuse, and change nothing else.
  SplitRequest limited;
  if (!Split(fragments, SplitLimits(), &limited).ok()) return;
  ACTSERVE_FUZZ_CHECK(status.ok());
  ACTSERVE_FUZZ_CHECK(limited.metadata == split.metadata);
  ACTSERVE_FUZZ_CHECK(limited.metadata.size() <= SplitLimits().metadata_bytes);
  ACTSERVE_FUZZ_CHECK(limited.payloads.size() <= SplitLimits().payloads);
}

// A byte that tells the message and how it is cut, and its encoding.
ACTSERVE_FUZZ_TARGET(split_request) {
  // It reports every string that is not UTF-8.
  static const google::protobuf::LogSilencer silencer;
  FuzzInput input(data, size);
  const auto choice = input.Get<uint8_t>();
  if (choice % 2 == 0) {
    CheckAgreement<v1::ForwardRequest>(input.Rest(), choice / 2);
  } else {
    CheckAgreement<v1::BackwardRequest>(input.Rest(), choice / 2);
  }
}

}  // namespace
}  // namespace actserve
