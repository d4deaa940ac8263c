// Shorter ways to make an absl::Status and to return early with one.

#ifndef ACTSERVE_KERNELS_BASE_STATUS_MACROS_H_
#define ACTSERVE_KERNELS_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace actserve {

// InvalidArgument with a message made of `parts`, as absl::StrCat() takes them.
template <typename... Parts>
absl::Status InvalidArgument(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

}  // namespace actserve

// Returns from the function the status of `expression`, an absl::Status, unless
// it is OK. The function may return a Status or a StatusOr.
#define ACTSERVE_RETURN_IF_ERROR(expression)                  \
  do {                                                        \
    if (absl::Status status_ = (expression); !status_.ok()) { \
      return status_;                                         \
    }                                                         \
  } while (false)

// Assigns the value of `expression`, an absl::StatusOr, to `target`, which may
// be a declaration; returns its status from the function if it has no value. A
// `target` with a comma outside parentheses needs a type alias.
#define ACTSERVE_ASSIGN_OR_RETURN(target, expression) \
  ACTSERVE_ASSIGN_OR_RETURN_(                         \
      ACTSERVE_STATUS_MACROS_JOIN_(statusor_, __LINE__), target, expression)

// A declaration cannot stand in parentheses.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define ACTSERVE_ASSIGN_OR_RETURN_(result, target, expression) \
  auto result = (expression);                                  \
  if (!result.ok()) return std::move(result).status();         \
  target = *std::move(result)
// NOLINTEND(bugprone-macro-parentheses)

#define ACTSERVE_STATUS_MACROS_JOIN_(a, b) ACTSERVE_STATUS_MACROS_JOIN2_(a, b)
#define ACTSERVE_STATUS_MACROS_JOIN2_(a, b) a##b

#endif  // ACTSERVE_KERNELS_BASE_STATUS_MACROS_H_
