#include "server/listen/refused_hosts.h"

#include <algorithm>

namespace actserve {

void RefusedHosts::Refuse(absl::string_view host, absl::Time now) {
  absl::erase_if(hosts_, [&](const auto& known) {
    return known.second.until + kLongestRefusal <= now;
  });
  Refusal& refusal = hosts_[host];
  if (now < refusal.until) return;
  refusal.duration =
      std::clamp(2 * refusal.duration, kRefusal, kLongestRefusal);
  refusal.until = now + refusal.duration;
}

bool RefusedHosts::IsRefused(absl::string_view host, absl::Time now) const {
  const auto known = hosts_.find(host);
  return known != hosts_.end() && now < known->second.until;
}

}  // namespace actserve
