#ifndef ACTSERVE_KERNELS_BASE_EDIT_DISTANCE_H_
#define ACTSERVE_KERNELS_BASE_EDIT_DISTANCE_H_

#include <string_view>

namespace actserve {

// The least number of edits that make `a` into `b`: a byte is inserted, removed
// or replaced, or two neighbors are swapped, none of which is edited again.
// Takes time in proportion to the product of the sizes.
int EditDistance(std::string_view a, std::string_view b);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_EDIT_DISTANCE_H_
