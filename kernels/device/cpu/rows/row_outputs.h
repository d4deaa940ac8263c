#ifndef ACTSERVE_KERNELS_DEVICE_CPU_ROWS_ROW_OUTPUTS_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_ROWS_ROW_OUTPUTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/device/cpu/reduce/column_sums.h"
#include "kernels/device/device.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

// Where the outputs of a program that reads rows go: into tensors, those that
// are parts of tensors into arrays of their own first, and the terms of sums
// into arrays as large, or, of sums of columns, into an array for some rows at
// a time. T is the compute type.
template <typename T>
class RowOutputs {
 public:
  // Both must outlive it.
  RowOutputs(const LoweredProgram& lowered, WorkItem& item)
      : lowered_(lowered), item_(item) {}

  // If an output is a sum over the rows for each place along them, and they lie
  // one after the other.
  bool HasColumnSums() const;

  // Before all that follows. `by_rows`: the terms of sums of columns come with
  // AddRows(), each kSumGroup rows from one thread.
  void Place(bool by_rows);

  // By output of the program: the first element and the bytes of one.
  const std::vector<std::byte*>& data() const { return data_; }
  const std::vector<int64_t>& item_sizes() const { return item_sizes_; }
  // If it has no place for all elements.
  bool ComesByRows(size_t o) const { return columns_[o].has_value(); }
  // The terms of rows [row, row + count) of each output that comes by rows.
  void AddRows(const std::vector<std::byte*>& terms, int64_t row,
               int64_t count);

  // Copies the parts of tensors to where they belong.
  void WriteParts() const;

  // Sets the sums of the item.
  void TakeSums();

 private:
  bool SumsColumns(const Output& output) const;
  double SumOf(const T* terms) const;

  const LoweredProgram& lowered_;
  WorkItem& item_;
  std::vector<std::byte*> data_;
  std::vector<int64_t> item_sizes_;
  // By output, if it is a part of a tensor.
  std::vector<std::unique_ptr<std::byte[]>> parts_;
  // By output, if it is a sum: all its terms, or what adds up some at a time.
  std::vector<std::unique_ptr<T[]>> terms_;
  std::vector<std::optional<ColumnSums>> columns_;
};

extern template class RowOutputs<float>;
extern template class RowOutputs<double>;

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_ROWS_ROW_OUTPUTS_H_
