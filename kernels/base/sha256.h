#ifndef ACTSERVE_KERNELS_BASE_SHA256_H_
#define ACTSERVE_KERNELS_BASE_SHA256_H_

#include <string>
#include <string_view>

namespace actserve {

// "sha256:" and 64 hex digits.
std::string Sha256Id(std::string_view bytes);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_SHA256_H_
