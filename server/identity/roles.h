#ifndef ACTSERVE_SERVER_IDENTITY_ROLES_H_
#define ACTSERVE_SERVER_IDENTITY_ROLES_H_

#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/string_view.h"

namespace actserve {

// What a caller may do.
enum class Role : uint8_t {
  // Forward, Backward, ReleaseResiduals, GetActivation, ListActivations,
  // GetServerInfo; KServe's methods.
  kCompute = 1,
  // RegisterActivation.
  kRegister = 2,
  // Every method that is not of the activation or the health service, or of
  // KServe's: reflection. And those of KServe's that would change the server.
  kAdmin = 4,
};

// The names in a file of tokens.
inline constexpr std::array<std::pair<absl::string_view, Role>, 3> kRoleNames =
    {{{"compute", Role::kCompute},
      {"register", Role::kRegister},
      {"admin", Role::kAdmin}}};

constexpr absl::string_view NameOf(Role role) {
  for (const auto& [name, known] : kRoleNames) {
    if (known == role) return name;
  }
  return "";
}

// A set of roles.
class Roles {
 public:
  constexpr Roles() = default;
  static constexpr Roles All() {
    Roles roles;
    for (const auto& [name, role] : kRoleNames) roles.Add(role);
    return roles;
  }
  constexpr void Add(Role role) { bits_ |= static_cast<uint8_t>(role); }
  constexpr bool Has(Role role) const {
    return (bits_ & static_cast<uint8_t>(role)) != 0;
  }
  constexpr bool empty() const { return bits_ == 0; }

 private:
  uint8_t bits_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_IDENTITY_ROLES_H_
