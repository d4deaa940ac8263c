#ifndef ACTSERVE_KERNELS_DEVICE_CPU_READ_ROW_INPUTS_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_READ_ROW_INPUTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/base/dtype.h"
#include "kernels/device/device.h"

namespace actserve {

// The inputs of an item that reads rows, so that those of some rows that lie
// one after the other lie so, too: the tensors, then those that broadcast. What
// every row reads alike, as weights along it, lies there for one block of rows;
// the other tensors that broadcast are expanded. The item must outlive it.
class RowInputs {
 public:
  // No more than `rows_at_once` rows, which lie one after the other, will be
  // read together, or all, if there are fewer.
  RowInputs(const WorkItem& item, DType storage, int64_t rows_at_once);

  // Their first elements.
  const std::vector<const std::byte*>& data() const { return data_; }
  // If input `i` is the same for every row, and read from data()[i].
  bool IsOfEveryRow(size_t i) const { return is_of_every_row_[i]; }

  // Memory of its own.
  static int64_t SizeBytes(const WorkItem& item, DType storage,
                           int64_t rows_at_once);

 private:
  std::vector<const std::byte*> data_;
  std::vector<bool> is_of_every_row_;
  std::vector<std::vector<std::byte>> copies_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_READ_ROW_INPUTS_H_
