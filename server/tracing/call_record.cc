#include "server/tracing/call_record.h"

#include <algorithm>

namespace actserve {

void LayStages(absl::Time start, absl::Time end, absl::Duration copy_in,
               absl::Duration compute, absl::Duration copy_out, Steps* steps) {
  end = std::max(start, end);
  absl::Time next = start;
  const auto lay = [&](absl::Duration length) {
    length = std::min(length, end - start);
    const absl::Time begin = std::min(next, end - length);
    next = begin + length;
    return Step{begin, next};
  };
  if (copy_in > absl::ZeroDuration()) steps->copy_in = lay(copy_in);
  if (compute > absl::ZeroDuration()) steps->compute = lay(compute);
  if (copy_out > absl::ZeroDuration()) steps->copy_out = lay(copy_out);
}

}  // namespace actserve
