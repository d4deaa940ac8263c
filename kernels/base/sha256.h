#ifndef ACTSERVE_KERNELS_BASE_SHA256_H_
#define ACTSERVE_KERNELS_BASE_SHA256_H_

#include <array>
#include <string>
#include <string_view>

namespace actserve {

// The 32 bytes of a SHA-256 digest.
using Sha256Digest = std::array<unsigned char, 32>;

// Returns the SHA-256 digest of `bytes`.
Sha256Digest Sha256(std::string_view bytes);
// Returns the SHA-256 digest of `bytes` as 64 hexadecimal digits.
std::string Sha256Hex(std::string_view bytes);
// Returns the SHA-256 digest of `bytes` as "sha256:" and 64 hexadecimal digits.
std::string Sha256Id(std::string_view bytes);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_SHA256_H_
