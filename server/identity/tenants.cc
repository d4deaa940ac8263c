#include "server/identity/tenants.h"

#include <atomic>
#include <cstdint>
#include <utility>

namespace actserve {

Tenant* Tenants::Get(absl::string_view name) {
  const auto find = [&]() -> Tenant* {
    const Table& table = table_.Get();
    const auto found = table.find(name);
    return found != table.end() ? found->second.get() : nullptr;
  };
  if (Tenant* const known = find()) return known;
  absl::MutexLock lock(&mu_);
  if (Tenant* const known = find()) return known;
  auto table = std::make_shared<Table>(table_.Get());
  if (table->size() >= max_tenants_) return nullptr;
  static std::atomic<uint64_t> last_number = 0;
  auto made = std::make_shared<Tenant>(std::string(name), ++last_number);
  Tenant* const tenant = made.get();
  table->emplace(std::string(name), std::move(made));
  table_.Set(std::move(table));
  return tenant;
}

}  // namespace actserve
