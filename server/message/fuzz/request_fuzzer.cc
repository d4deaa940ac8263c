// Decoding a request: bytes that a client sent become a request whose tensors
// lie in these bytes and fit their types, or an error of the client.

#include <memory>
#include <string>
#include <vector>

#include "actserve/v1/service.pb.h"
#include "kernels/base/testing/fuzz_target.h"
#include "server/message/request.h"
#include "server/testing/decoding.h"

namespace actserve {
namespace {

using testing::FuzzInput;

size_t SizeOf(absl::Span<const Fragment> fragments, std::string_view within) {
  size_t size_bytes = 0;
  for (const Fragment& fragment : fragments) {
    const auto* const begin = reinterpret_cast<const char*>(fragment.data);
    ACTSERVE_FUZZ_CHECK(begin >= within.data() &&
                        begin + fragment.size_bytes <=
                            within.data() + within.size());
    size_bytes += fragment.size_bytes;
  }
  return size_bytes;
}

void CheckRequest(const DecodedRequest& decoded, std::string_view bytes) {
  const TensorRequest& request = decoded.request;
  ACTSERVE_FUZZ_CHECK(request.activation != nullptr);
  ACTSERVE_FUZZ_CHECK(request.payloads.size() >= decoded.inputs.size());
  const size_t num_full = decoded.inputs.size() - request.broadcasts.size();
  const int64_t full_bytes = request.split.has_value()
                                 ? request.split->type.size_bytes()
                                 : request.type.size_bytes();
  for (size_t i = 0; i < decoded.inputs.size(); ++i) {
    // An upstream gradient of ones lies elsewhere.
    if (request.payloads[i] == TensorRequest::kNoPayload) continue;
    const size_t size_bytes = SizeOf(decoded.inputs[i], bytes);
    if (i < num_full && !request.split.has_value()) {
      ACTSERVE_FUZZ_CHECK(size_bytes == static_cast<size_t>(full_bytes));
    } else if (i >= num_full) {
      ACTSERVE_FUZZ_CHECK(
          size_bytes ==
          static_cast<size_t>(
              request.broadcasts[i - num_full].type.size_bytes()));
    }
  }
  for (const int variable : request.variables) {
    ACTSERVE_FUZZ_CHECK(variable >= 0 && variable <= request.grad_output());
  }
  ACTSERVE_FUZZ_CHECK(request.element_offset >= 0);
  if (request.axis.has_value()) {
    ACTSERVE_FUZZ_CHECK(*request.axis >= 0);
    ACTSERVE_FUZZ_CHECK(request.rows().size >= 0);
  }
}

// A byte that tells the method, and the encoding of the message.
ACTSERVE_FUZZ_TARGET(decode_request) {
  const auto& [registry, residuals, limits] = testing::SharedDecoding();
  FuzzInput input(data, size);
  const bool is_forward = input.Get<uint8_t>() % 2 == 0;
  const std::string_view bytes = input.Rest();
  const Fragment fragment = {reinterpret_cast<const std::byte*>(bytes.data()),
                             bytes.size()};
  SplitRequest split;
  if (!Split({&fragment, 1}, limits.split, &split).ok()) return;

  const absl::StatusOr<DecodedRequest> decoded =
      is_forward ? DecodeForward(split, limits, registry)
                 : DecodeBackward(split, limits, registry, residuals);

  if (decoded.ok()) return CheckRequest(*decoded, bytes);
  ACTSERVE_FUZZ_CHECK(absl::IsInvalidArgument(decoded.status()) ||
                      absl::IsNotFound(decoded.status()));
  ACTSERVE_FUZZ_CHECK(!decoded.status().message().empty());
}

}  // namespace
}  // namespace actserve
