// The random words of uniform and normal: Philox 4x32-10.
//
// Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3"
// (SC 2011), with the constants of the authors' library Random123. It is the
// generator of cuRAND, PyTorch (on CUDA) and TensorFlow, too. It keeps no
// state: four words are a function of a 128-bit counter and a 64-bit key, so an
// element's numbers depend on its place alone, and neither on the device nor on
// who computes it when.
//
// Which words belong to what is ours, and part of every program's results:
//
//   key      seed: low word, high word
//   counter  the element's place in its tensor: low word, high word;
//            the stream; 0 for uniform, 1 for normal

#ifndef ACTSERVE_KERNELS_MATH_PHILOX_H_
#define ACTSERVE_KERNELS_MATH_PHILOX_H_

#include "kernels/math/macros.h"

namespace actserve::philox {

using Bits32 = unsigned int;
using Bits64 = unsigned long long;

// The last word of a counter.
constexpr Bits32 kUniform = 0;
constexpr Bits32 kNormal = 1;

struct Words {
  Bits32 w0, w1, w2, w3;
};

ACTSERVE_MATH_INTERNAL Words Philox4x32(Words counter, Bits32 key0,
                                        Bits32 key1) {
  for (Bits32 round = 0; round < 10; ++round) {
    const Bits64 p0 = static_cast<Bits64>(counter.w0) * 0xD2511F53u;
    const Bits64 p1 = static_cast<Bits64>(counter.w2) * 0xCD9E8D57u;
    counter = {static_cast<Bits32>(p1 >> 32) ^ counter.w1 ^ key0,
               static_cast<Bits32>(p1),
               static_cast<Bits32>(p0 >> 32) ^ counter.w3 ^ key1,
               static_cast<Bits32>(p0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

ACTSERVE_MATH_INTERNAL Words Draw(Bits64 seed, Bits32 stream, Bits32 what,
                                  Bits64 element) {
  return Philox4x32({static_cast<Bits32>(element),
                     static_cast<Bits32>(element >> 32), stream, what},
                    static_cast<Bits32>(seed), static_cast<Bits32>(seed >> 32));
}

}  // namespace actserve::philox

#endif  // ACTSERVE_KERNELS_MATH_PHILOX_H_
