// Small programs and items for tests of devices.

#ifndef ACTSERVE_KERNELS_DEVICE_TESTING_PROGRAMS_H_
#define ACTSERVE_KERNELS_DEVICE_TESTING_PROGRAMS_H_

#include <string_view>
#include <vector>

#include "kernels/base/dtype.h"
#include "kernels/device/device.h"
#include "kernels/graph/graph.h"
#include "kernels/graph/lowered_program.h"

namespace actserve::testing {

// x + `addend`: as many programs as one wants.
LoweredProgram AddProgram(double addend, DType dtype = DType::kFloat32);

// x % 1 where that is at most a half, else 0; float32.
LoweredProgram SpikyProgram();

// slope * x, and the sum of x, the gradient of the slope for dy = 1; float32.
LoweredProgram SlopeProgram();

// One op applied to as many inputs as it has operands. Booleans come from
// comparisons, and become numbers; the operands of a draw are constants.
Graph OpGraph(Op op);

// Texts with random numbers: added, as a gate, and as a slope, from one or two
// seeds, of which one has more bits than a float.
inline constexpr std::string_view kDrawTexts[] = {
    R"(def noisy(x, sigma=0.125, seed=9007199254740985):
    return x + sigma * normal(seed, 3)
)",
    R"(def gate(x, keep=0.75, seed=4294967301, other=2):
    kept = x / keep if uniform(seed) < keep else 0
    return kept * normal(other, 4294967295) - uniform(9007199254740991, 1)
)",
    R"(def pair(x, z, seed=1):
    return x * normal(seed) + z * normal(seed, 1) + normal(seed)
)",
};

// An item of one float32 input and output, over vectors that live as long as
// it does.
struct FloatItem {
  explicit FloatItem(std::vector<float> x)
      : in(std::move(x)), out(in.size()), fragments(1) {
    fragments[0] = {reinterpret_cast<const std::byte*>(in.data()),
                    in.size() * sizeof(float)};
    item.inputs = {fragments};
    item.outputs = {reinterpret_cast<std::byte*>(out.data())};
    item.num_elements = in.size();
  }
  std::vector<float> in;
  std::vector<float> out;
  std::vector<Fragment> fragments;
  WorkItem item;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_DEVICE_TESTING_PROGRAMS_H_
