#include "server/message/control_request.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"
#include "kernels/lang/parser.h"
#include "server/message/activation_info.h"
#include "server/state/residuals.h"

namespace actserve {
namespace {

absl::Status CheckCount(absl::string_view what, int64_t count, int64_t limit) {
  if (count <= limit) return absl::OkStatus();
  return InvalidArgument(what, ": ", count, ", limit ", limit);
}

absl::Status CheckConstant(const std::string& name, double value) {
  if (!IsName(name)) {
    return InvalidArgument("constants: ", Quoted(name),
                           " is not a name that a text can use");
  }
  if (!std::isfinite(value)) {
    return InvalidArgument("constants: ", Quoted(name), " is ", value,
                           ", not a finite number");
  }
  return absl::OkStatus();
}

// A token names the registry, so that no other server takes it.
std::string TokenOf(int64_t position, const Registry& registry) {
  return absl::StrCat(absl::Hex(registry.id(), absl::kZeroPad16), "-",
                      position);
}

// The position that a token stands for; nullopt if TokenOf() made no such.
std::optional<int64_t> PositionOf(const std::string& page_token,
                                  const Registry& registry,
                                  const Tenant* tenant) {
  int64_t position = 0;
  if (page_token.empty()) return position;
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(page_token, absl::MaxSplits('-', 1));
  // No second spelling of one position.
  if (!absl::SimpleAtoi(parts.second, &position) || position < 0 ||
      position > registry.end(tenant) ||
      TokenOf(position, registry) != page_token) {
    return std::nullopt;
  }
  return position;
}

}  // namespace

int64_t MaxRegistrationBytes(const LanguageLimits& limits) {
  return 2 * limits.source_bytes + (64 << 10);
}

absl::Status Check(const v1::RegisterActivationRequest& request) {
  if (request.text().empty()) return InvalidArgument("text: not set");
  ACTSERVE_RETURN_IF_ERROR(
      CheckCount("constants", request.constants().size(), kMaxConstants));
  // In one order, so that the same request gets the same error.
  for (const auto& [name, value] : TextOf(request).constants) {
    ACTSERVE_RETURN_IF_ERROR(CheckConstant(name, value));
  }
  return absl::OkStatus();
}

absl::Status Check(const v1::GetActivationRequest& request) {
  if (request.activation().empty()) {
    return InvalidArgument("activation: not set");
  }
  return absl::OkStatus();
}

absl::Status Check(const v1::ListActivationsRequest& request) {
  if (request.page_size() < 0) {
    return InvalidArgument("page_size: ", request.page_size(), " is negative");
  }
  return absl::OkStatus();
}

absl::Status Check(const v1::ReleaseResidualsRequest& request) {
  ACTSERVE_RETURN_IF_ERROR(
      CheckCount("handles", request.handles_size(), kMaxReleasedHandles));
  for (int i = 0; i < request.handles_size(); ++i) {
    const size_t size_bytes = request.handles(i).size();
    if (size_bytes != Residuals::kHandleBytes) {
      return InvalidArgument("handles[", i, "]: handle of ", size_bytes,
                             " bytes, must be ", Residuals::kHandleBytes);
    }
  }
  return absl::OkStatus();
}

absl::Status Check(const v1::GetServerInfoRequest&) { return absl::OkStatus(); }

Registry::Text TextOf(const v1::RegisterActivationRequest& request) {
  Registry::Text text;
  text.text = request.text();
  text.derivative = request.derivative();
  text.constants.insert(request.constants().begin(), request.constants().end());
  text.exact = request.exact();
  return text;
}

absl::StatusOr<v1::ListActivationsResponse> ListPage(
    const v1::ListActivationsRequest& request, const Registry& registry,
    const Tenant* tenant) {
  const std::optional<int64_t> position =
      PositionOf(request.page_token(), registry, tenant);
  if (!position) {
    return InvalidArgument("page_token: ", Quoted(request.page_token()),
                           " is not from this server");
  }
  const int page_size = request.page_size() == 0
                            ? kDefaultPageSize
                            : std::min(request.page_size(), kMaxPageSize);
  v1::ListActivationsResponse page;
  size_t size_bytes = 0;
  // One more tells whether this page is the last.
  for (const Registry::Listed& listed :
       registry.List(*position, page_size + 1, tenant)) {
    if (page.activations_size() == page_size || size_bytes >= kMaxPageBytes) {
      page.set_next_page_token(TokenOf(listed.position, registry));
      break;
    }
    v1::Activation& activation = *page.add_activations();
    activation = Summary(*listed.activation, request.with_texts());
    size_bytes += activation.ByteSizeLong();
  }
  return page;
}

}  // namespace actserve
