#ifndef ACTSERVE_KERNELS_BASE_SHA256_H_
#define ACTSERVE_KERNELS_BASE_SHA256_H_

#include <string>
#include <string_view>

namespace actserve {

// Returns the SHA-256 digest of `bytes` as "sha256:" and 64 hexadecimal digits.
std::string Sha256Id(std::string_view bytes);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_SHA256_H_
