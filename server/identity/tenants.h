#ifndef ACTSERVE_SERVER_IDENTITY_TENANTS_H_
#define ACTSERVE_SERVER_IDENTITY_TENANTS_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/identity/snapshot.h"
#include "server/identity/tenant.h"

namespace actserve {

// Tenants of a server, by name. One that was made stays, so that a reload
// of the tokens loses no residuals and no debts, and pointers stay valid.
// Thread-safe; Get() of a known name takes no lock (see Snapshot).
class Tenants {
 public:
  explicit Tenants(size_t max_tenants) : max_tenants_(max_tenants) {}

  // Returns the tenant of that name, made if it is new; nullptr if there are
  // too many.
  Tenant* Get(absl::string_view name);

 private:
  using Table = absl::flat_hash_map<std::string, std::shared_ptr<Tenant>>;

  const size_t max_tenants_;
  absl::Mutex mu_;  // of those who add
  Snapshot<Table> table_{std::make_shared<Table>()};
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_IDENTITY_TENANTS_H_
