#include "client/load/workload/mix.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_join.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"

namespace actserve {

Mix::Mix(const std::vector<RequestSpec>& requests, double verify, uint64_t seed)
    : random_(seed, /*stream=*/3), verify_(verify) {
  double sum = 0;
  for (const RequestSpec& request : requests) {
    sums_.push_back(sum += request.weight);
    double shapes = 0;
    std::vector<double>& sums = shape_sums_.emplace_back();
    for (const WeightedShape& shape : request.shapes) {
      sums.push_back(shapes += shape.weight);
    }
  }
}

int Mix::Draw(const std::vector<double>& sums, double uniform) {
  if (sums.empty()) return 0;
  const auto found =
      std::upper_bound(sums.begin(), sums.end(), uniform * sums.back());
  return static_cast<int>(
      std::min<size_t>(found - sums.begin(), sums.size() - 1));
}

Pick Mix::Next() { return NextOf(Draw(sums_, random_.Uniform())); }

Pick Mix::NextOf(int request) {
  Pick pick;
  pick.request = request;
  pick.shape = Draw(shape_sums_[request], random_.Uniform());
  pick.variant = static_cast<uint32_t>(random_.Bits() >> 32);
  pick.verify = random_.Uniform() < verify_;
  return pick;
}

absl::StatusOr<int> FindRequest(const std::vector<RequestSpec>& requests,
                                const std::string& name) {
  std::vector<std::string> names;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].name == name) return static_cast<int>(i);
    names.push_back(requests[i].name);
  }
  return InvalidArgument("request ", Quoted(name), " is none of ",
                         absl::StrJoin(names, ", "));
}

}  // namespace actserve
