#include "server/connections/open_streams.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "server/connections/stalled_bodies.h"

namespace actserve {

OpenStreams::Stream::~Stream() {
  absl::MutexLock lock(&streams_.mutex_);
  streams_.streams_.erase(this);
}

void OpenStreams::Stream::CountMessage(int64_t bytes) {
  moved_bytes_ += bytes;
  if (num_messages_.fetch_add(1) == 0 || peer_.address.empty()) return;
  absl::MutexLock lock(&streams_.mutex_);
  ++streams_.later_messages_[peer_];
}

std::unique_ptr<OpenStreams::Stream> OpenStreams::Open(
    Peer peer, std::function<void()> end) {
  auto stream =
      absl::WrapUnique(new Stream(this, std::move(peer), std::move(end)));
  absl::MutexLock lock(&mutex_);
  streams_.insert(stream.get());
  return stream;
}

int OpenStreams::EndStalled(absl::Time now) {
  int num_ended = 0;
  absl::MutexLock lock(&mutex_);
  for (Stream* const each : streams_) {
    const int64_t moved_bytes = each->moved_bytes_;
    const bool goes_on =
        moved_bytes - each->period_start_bytes_ >= StalledBodies::kMinBytes;
    if (each->period_start_ > now || goes_on || !each->waits_for_client_) {
      each->period_start_ = now;
      each->period_start_bytes_ = moved_bytes;
    } else if (now - each->period_start_ >= timeout_) {
      each->period_start_ = absl::InfiniteFuture();
      each->end_();
      ++num_ended;
    }
  }
  return num_ended;
}

void OpenStreams::Discount(std::vector<OpenConnection>& connections) {
  absl::flat_hash_map<Peer, int64_t> living;
  absl::MutexLock lock(&mutex_);
  for (OpenConnection& each : connections) {
    const auto found = later_messages_.find(each.peer);
    if (found == later_messages_.end()) continue;
    each.messages_received -= found->second;
    living.insert(*found);
  }
  later_messages_ = std::move(living);
}

Peer PeerOfUri(absl::string_view uri) {
  const size_t colon = uri.rfind(':');
  if (colon == absl::string_view::npos) return {};
  Peer peer;
  if (!absl::SimpleAtoi(uri.substr(colon + 1), &peer.port)) return {};
  uri.remove_suffix(uri.size() - colon);
  if (absl::ConsumePrefix(&uri, "ipv4:")) {
    in_addr bytes;
    if (inet_pton(AF_INET, std::string(uri).c_str(), &bytes) != 1) return {};
    peer.address.assign(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
    return peer;
  }
  if (!absl::ConsumePrefix(&uri, "ipv6:")) return {};
  std::string text = absl::StrReplaceAll(
      uri, {{"%5B", ""}, {"%5D", ""}, {"[", ""}, {"]", ""}});
  text.resize(std::min(text.size(), text.find('%')));  // the interface
  in6_addr bytes;
  if (inet_pton(AF_INET6, text.c_str(), &bytes) != 1) return {};
  peer.address.assign(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
  return peer;
}

}  // namespace actserve
