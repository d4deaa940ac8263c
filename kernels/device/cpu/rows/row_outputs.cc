#include "kernels/device/cpu/rows/row_outputs.h"

#include <algorithm>

#include "absl/types/span.h"
#include "kernels/base/dtype.h"
#include "kernels/device/cpu/reduce/reductions.h"
#include "kernels/graph/broadcast.h"
#include "kernels/graph/summation.h"

namespace actserve {

template <typename T>
bool RowOutputs<T>::SumsColumns(const Output& output) const {
  if (!output.summed || output.like < 0 || item_.rows.stride > 1) return false;
  const auto shape = item_.broadcasts[output.like].shape.dimensions();
  return shape.size() == 2 && shape[0].repeated &&
         shape[1].size == item_.rows.size;
}

template <typename T>
bool RowOutputs<T>::HasColumnSums() const {
  return std::ranges::any_of(lowered_.graph.outputs, [&](const Output& output) {
    return SumsColumns(output);
  });
}

template <typename T>
void RowOutputs<T>::Place(bool by_rows) {
  size_t tensor = 0;
  for (const Output& output : lowered_.graph.outputs) {
    terms_.emplace_back();
    columns_.emplace_back();
    parts_.emplace_back();
    item_sizes_.push_back(output.summed ? sizeof(T)
                                        : ItemSizeBytes(lowered_.storage));
    if (!output.summed) {
      if (!PartAt(item_.output_parts, tensor).is_whole()) {
        parts_.back() = std::make_unique_for_overwrite<std::byte[]>(
            item_.num_elements * item_sizes_.back());
      }
      data_.push_back(parts_.back() != nullptr ? parts_.back().get()
                                               : item_.outputs[tensor]);
      ++tensor;
    } else if (by_rows && SumsColumns(output)) {
      const int64_t width = item_.rows.size;
      columns_.back().emplace(item_.num_elements / width, width);
      data_.push_back(nullptr);
    } else {
      terms_.back() = std::make_unique_for_overwrite<T[]>(item_.num_elements);
      data_.push_back(reinterpret_cast<std::byte*>(terms_.back().get()));
    }
  }
}

template <typename T>
void RowOutputs<T>::AddRows(const std::vector<std::byte*>& terms, int64_t row,
                            int64_t count) {
  for (size_t o = 0; o < columns_.size(); ++o) {
    if (!ComesByRows(o)) continue;
    columns_[o]->Add(reinterpret_cast<const T*>(terms[o]), row, count);
  }
}

template <typename T>
void RowOutputs<T>::WriteParts() const {
  size_t tensor = 0;
  for (size_t o = 0; o < data_.size(); ++o) {
    if (lowered_.graph.outputs[o].summed) continue;
    if (parts_[o] != nullptr) {
      CopyIntoPart(data_[o], 0, item_.num_elements,
                   PartAt(item_.output_parts, tensor), item_sizes_[o],
                   item_.outputs[tensor]);
    }
    ++tensor;
  }
}

template <typename T>
double RowOutputs<T>::SumOf(const T* terms) const {
  std::vector<double> tiles;
  for (int64_t at = 0; at < item_.num_elements; at += kSumTileElements) {
    SumRuns(terms + at, lowered_.compute,
            std::min(kSumTileElements, item_.num_elements - at), 1,
            &tiles.emplace_back());
  }
  return SumTiles(absl::MakeSpan(tiles));
}

template <typename T>
void RowOutputs<T>::TakeSums() {
  item_.sums.clear();
  for (size_t o = 0; o < data_.size(); ++o) {
    const Output& output = lowered_.graph.outputs[o];
    if (!output.summed) continue;
    const absl::Span<const T> terms(terms_[o].get(), item_.num_elements);
    if (output.like < 0) {
      item_.sums.push_back(SumOf(terms.data()));
      continue;
    }
    const std::vector<double> sums =
        ComesByRows(o) ? columns_[o]->Take()
                       : SumLike(item_.broadcasts[output.like].shape, terms);
    item_.sums.insert(item_.sums.end(), sums.begin(), sums.end());
  }
}

template class RowOutputs<float>;
template class RowOutputs<double>;

}  // namespace actserve
