#ifndef ACTSERVE_SERVER_LISTEN_REFUSED_HOSTS_H_
#define ACTSERVE_SERVER_LISTEN_REFUSED_HOSTS_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace actserve {

// The hosts whose connections are not accepted for a while: kRefusal at first,
// and twice as long as before, up to kLongestRefusal, for those that are
// refused again within kLongestRefusal of the end. Not thread-safe.
class RefusedHosts {
 public:
  // What a host that is refused has opened takes about as long to tear down.
  static constexpr absl::Duration kRefusal = absl::Seconds(3);
  static constexpr absl::Duration kLongestRefusal = absl::Minutes(1);

  // Of one that is refused already it changes nothing.
  void Refuse(absl::string_view host, absl::Time now);
  bool IsRefused(absl::string_view host, absl::Time now) const;

 private:
  struct Refusal {
    absl::Time until = absl::InfinitePast();
    absl::Duration duration;
  };
  absl::flat_hash_map<std::string, Refusal> hosts_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_LISTEN_REFUSED_HOSTS_H_
