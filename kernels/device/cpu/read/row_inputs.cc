#include "kernels/device/cpu/read/row_inputs.h"

#include <algorithm>
#include <utility>

#include "absl/types/span.h"
#include "kernels/device/cpu/read/broadcast_source.h"
#include "kernels/device/fragment_cursor.h"
#include "kernels/graph/broadcast.h"

namespace actserve {
namespace {

// If every row of `item` reads the same elements of a tensor of `shape`.
bool ReadsAlike(const WorkItem& item, const Broadcast& shape) {
  if (item.rows.stride != 1) return false;
  const auto dimensions = shape.dimensions();
  int64_t period = shape.num_read();
  if (!dimensions.empty() && dimensions[0].repeated) {
    period /= dimensions[0].size;
  }
  return item.rows.size % period == 0;
}

// `shape`, which ReadsAlike() accepts, for so many of its elements.
Broadcast FirstOf(const Broadcast& shape, int64_t num_elements) {
  std::vector<Broadcast::Dimension> dimensions(shape.dimensions().begin(),
                                               shape.dimensions().end());
  if (!dimensions.empty() && dimensions[0].repeated) {
    dimensions[0].size = num_elements / (shape.num_read() / dimensions[0].size);
  }
  return Broadcast(dimensions);
}

int64_t BlockElements(const WorkItem& item, int64_t rows_at_once) {
  return std::min(item.num_elements, rows_at_once * item.rows.size);
}

// What the rows read of an input that broadcasts.
Broadcast ReadShape(const WorkItem& item, const Broadcast& shape,
                    int64_t rows_at_once) {
  return ReadsAlike(item, shape)
             ? FirstOf(shape, BlockElements(item, rows_at_once))
             : shape;
}

bool LiesAsItIs(const BroadcastInput& input, const Broadcast& read) {
  return input.data.size() == 1 && read.num_elements() == read.num_read();
}

}  // namespace

RowInputs::RowInputs(const WorkItem& item, DType storage,
                     int64_t rows_at_once) {
  const auto own = [&](std::vector<std::byte> bytes) {
    copies_.push_back(std::move(bytes));
    return copies_.back().data();
  };
  const size_t size_bytes = item.num_elements * ItemSizeBytes(storage);
  for (size_t i = 0; i < item.inputs.size(); ++i) {
    is_of_every_row_.push_back(false);
    FragmentCursor cursor(item.inputs[i], PartAt(item.input_parts, i),
                          ItemSizeBytes(storage));
    if (cursor.contiguous_bytes() >= size_bytes) {
      data_.push_back(cursor.data());
      continue;
    }
    std::vector<std::byte> together(size_bytes);
    cursor.Copy(together.data(), size_bytes);
    data_.push_back(own(std::move(together)));
  }
  for (const BroadcastInput& input : item.broadcasts) {
    is_of_every_row_.push_back(ReadsAlike(item, input.shape));
    const BroadcastInput read = {input.data,
                                 ReadShape(item, input.shape, rows_at_once)};
    data_.push_back(LiesAsItIs(input, read.shape)
                        ? input.data[0].data
                        : own(BroadcastSource(read, storage).Expand()));
  }
}

int64_t RowInputs::SizeBytes(const WorkItem& item, DType storage,
                             int64_t rows_at_once) {
  int64_t elements = 0;
  for (size_t i = 0; i < item.inputs.size(); ++i) {
    const bool lies_as_it_is =
        item.inputs[i].size() == 1 && PartAt(item.input_parts, i).is_whole();
    if (!lies_as_it_is) elements += item.num_elements;
  }
  for (const BroadcastInput& input : item.broadcasts) {
    const Broadcast read = ReadShape(item, input.shape, rows_at_once);
    if (!LiesAsItIs(input, read)) elements += read.num_read();
  }
  return elements * ItemSizeBytes(storage);
}

}  // namespace actserve
