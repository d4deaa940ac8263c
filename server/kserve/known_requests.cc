#include "server/kserve/known_requests.h"

#include <algorithm>
#include <utility>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "inference/grpc_service.pb.h"

namespace actserve::kserve {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

std::shared_ptr<const KnownRequest> KnownRequests::Find(
    const SplitRequest& raw) {
  // What occurs twice is refused.
  constexpr uint32_t kOnce =
      uint32_t{1} << inference::ModelInferRequest::kModelNameFieldNumber |
      uint32_t{1} << inference::ModelInferRequest::kModelVersionFieldNumber |
      uint32_t{1} << inference::ModelInferRequest::kIdFieldNumber;
  if (raw.metadata.size() > kMaxMetadataBytes ||
      (raw.repeated_fields & kOnce) != 0) {
    return nullptr;
  }
  absl::MutexLock lock(&mu_);
  const auto* const found = requests_.Find(raw.metadata);
  if (found == nullptr || (*found)->raw_places.size() != raw.payloads.size()) {
    return nullptr;
  }
  return *found;
}

void KnownRequests::Put(const SplitRequest& raw,
                        std::shared_ptr<const KnownRequest> known) {
  if (raw.metadata.size() > kMaxMetadataBytes) return;
  Requests::Entries dropped;  // destroyed after the lock is released
  absl::MutexLock lock(&mu_);
  dropped = requests_.Put(raw.metadata, std::move(known));
}

std::string TakeId(std::string* metadata) {
  constexpr uint32_t kIdTag =
      WireFormatLite::MakeTag(inference::ModelInferRequest::kIdFieldNumber,
                              WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  CodedInputStream in(reinterpret_cast<const uint8_t*>(metadata->data()),
                      static_cast<int>(metadata->size()));
  std::string id;
  while (true) {
    const int begin = in.CurrentPosition();
    const uint32_t tag = in.ReadTag();
    if (tag == 0) return "";
    if (tag != kIdTag) {
      if (!WireFormatLite::SkipField(&in, tag)) return "";
      continue;
    }
    if (!WireFormatLite::ReadBytes(&in, &id)) return "";
    if (!std::ranges::all_of(
            id, [](unsigned char c) { return c > 0x20 && c < 0x7F; })) {
      return "";
    }
    metadata->erase(begin, in.CurrentPosition() - begin);
    return id;
  }
}

SplitRequest NativeRequest(const KnownRequest& known, const SplitRequest& raw) {
  SplitRequest split;
  split.metadata = known.native_metadata;
  split.fragments.reserve(raw.fragments.size());
  split.payloads.reserve(known.raw_places.size());
  for (const int place : known.raw_places) {
    const SplitRequest::Payload& payload = raw.payloads[place];
    split.payloads.push_back(
        {split.fragments.size(), payload.count, payload.size_bytes});
    const auto fragments = raw.FragmentsOf(payload);
    split.fragments.insert(split.fragments.end(), fragments.begin(),
                           fragments.end());
  }
  return split;
}

}  // namespace actserve::kserve
