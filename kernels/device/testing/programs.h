// Small programs and items for tests of devices.

#ifndef ACTSERVE_KERNELS_DEVICE_TESTING_PROGRAMS_H_
#define ACTSERVE_KERNELS_DEVICE_TESTING_PROGRAMS_H_

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
// comparisons, and become numbers.
Graph OpGraph(Op op);

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
