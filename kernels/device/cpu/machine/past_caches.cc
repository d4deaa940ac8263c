#include "kernels/device/cpu/machine/past_caches.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace actserve {

void StoreFence() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

}  // namespace actserve
