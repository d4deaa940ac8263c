#include "server/stream/slabs.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "kernels/base/status_macros.h"
#include "kernels/graph/broadcast.h"
#include "kernels/graph/summation.h"
#include "server/message/ones.h"

namespace actserve {
namespace {

// What a slab has of one tensor, if nothing asks for less.
constexpr int64_t kTensorBytes = int64_t{1} << 20;

int64_t PowerOfTwoWithin(int64_t number) {
  return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(number)));
}

// The elements of a slab that share one element, or one run of them, of a
// tensor that broadcasts: slabs hold whole ones.
int64_t BlockOf(const Broadcast& shape) {
  const auto dimensions = shape.dimensions();
  return dimensions.empty() ? 1 : shape.num_read() / dimensions[0].size;
}

// The tensors that the program writes, and whether it sums what.
struct Outputs {
  int64_t num_tensors = 0;
  bool sums_numbers = false;
  bool sums_tensors = false;

  explicit Outputs(const Graph& graph) {
    for (const Output& output : graph.outputs) {
      num_tensors += output.summed ? 0 : 1;
      sums_numbers |= output.summed && output.like < 0;
      sums_tensors |= output.summed && output.like >= 0;
    }
  }
};

// How large slabs may be, in elements, and why.
struct Grid {
  // Slabs are multiples of it.
  int64_t block = 1;
  std::string reason;
};

Grid GridOf(const TensorRequest& request, const Outputs& outputs) {
  const int64_t all = std::max<int64_t>(1, request.type.num_elements);
  if (request.split.has_value()) return {all, "split_axis"};
  if (outputs.sums_tensors) {
    return {all, "the gradient of a tensor that broadcasts"};
  }
  Grid grid;
  if (request.axis.has_value()) {
    const Rows rows = request.rows();
    grid = {std::max<int64_t>(1, rows.size * rows.stride),
            absl::StrCat("rows along axis ", *request.axis)};
  }
  for (const BroadcastTensor& tensor : request.broadcasts) {
    if (tensor.type.num_elements == request.type.num_elements) {
      return {all, "a tensor that broadcasts, and has as many elements"};
    }
    // All blocks are products of the last sizes of the shape, so that the
    // largest is a multiple of the others.
    if (const int64_t block = BlockOf(tensor.shape); block > grid.block) {
      grid = {block, "tensors that broadcast"};
    }
  }
  if (outputs.sums_numbers &&
      !std::has_single_bit(static_cast<uint64_t>(grid.block))) {
    return {all, absl::StrCat("the gradient of a number over blocks of ",
                              grid.block, " elements, no power of two")};
  }
  return grid;
}

}  // namespace

absl::StatusOr<Slabs> Slabs::Cut(StreamRequest stream,
                                 const LoweredProgram& program,
                                 int64_t max_slab_bytes) {
  Slabs slabs(std::move(stream));
  const TensorRequest& request = slabs.stream_.request;
  const size_t num_payloads = slabs.stream_.payload_bytes.size();
  const size_t num_whole = request.payloads.size() - request.broadcasts.size();
  slabs.kept_.resize(num_payloads);
  for (size_t b = 0; b < request.broadcasts.size(); ++b) {
    const int payload = request.payloads[num_whole + b];
    slabs.kept_[payload] = true;
    slabs.kept_bytes_ += slabs.stream_.payload_bytes[payload];
  }

  const Outputs outputs(program.graph);
  const int64_t num_elements = request.type.num_elements;
  const int64_t item_size = ItemSizeBytes(request.type.dtype);
  for (const bool kept : slabs.kept_) slabs.num_streamed_ += kept ? 0 : 1;
  // Half of the window for a slab, the other for what comes ahead of it.
  int64_t tensor_bytes = kTensorBytes;
  if (slabs.num_streamed_ > 0) {
    tensor_bytes =
        std::min(tensor_bytes, kMaxStreamWindowBytes / 2 / slabs.num_streamed_);
  }
  if (outputs.num_tensors > 0) {
    tensor_bytes = std::min(tensor_bytes,
                            slabs.stream_.window_bytes / outputs.num_tensors);
  }
  const int64_t wanted =
      std::max(kSumTileElements, PowerOfTwoWithin(tensor_bytes) / item_size);
  const Grid grid = GridOf(request, outputs);
  slabs.slab_elements_ = std::max<int64_t>(
      1, std::max(grid.block, wanted / grid.block * grid.block));
  if (slabs.slab_elements_ >= num_elements) {
    slabs.slab_elements_ = num_elements;
  } else {
    slabs.count_ =
        (num_elements + slabs.slab_elements_ - 1) / slabs.slab_elements_;
  }
  if (request.axis.has_value() && slabs.count_ > 1) {
    slabs.rows_ = request.rows();
  }

  for (size_t p = 0; p < num_payloads; ++p) {
    if (slabs.kept_[p]) continue;
    const Range bytes = slabs.BytesOf(0, p);
    slabs.input_bytes_ += bytes.end - bytes.begin;
  }
  slabs.output_bytes_ = outputs.num_tensors * slabs.slab_elements_ * item_size;
  if (outputs.sums_tensors) slabs.output_bytes_ += slabs.kept_bytes_;
  const int64_t most =
      std::max(slabs.input_bytes_ + slabs.kept_bytes_, slabs.output_bytes_);
  if ((slabs.slab_elements_ > wanted || slabs.kept_bytes_ > 0) &&
      most > max_slab_bytes) {
    return InvalidArgument(
        "stream: ", slabs.slab_elements_,
        " elements must be computed at once because of ",
        grid.reason.empty() ? "tensors that broadcast" : grid.reason,
        ": tensors of ", most, " bytes, limit ", max_slab_bytes,
        " (--max_message_bytes)");
  }
  return slabs;
}

int64_t Slabs::window_bytes() const {
  return std::max(kMaxStreamWindowBytes,
                  input_bytes_ + num_streamed_ * kMaxChunkBytes);
}

int64_t Slabs::MostInputBytes() const {
  int64_t all = 0;
  for (size_t p = 0; p < kept_.size(); ++p) {
    if (!kept_[p]) all += stream_.payload_bytes[p];
  }
  // The window, the chunk that fills it, and chunks that are needed in part.
  return kept_bytes_ +
         std::min(all, window_bytes() + (1 + num_streamed_) * kMaxChunkBytes);
}

int64_t Slabs::MostOutputBytes() const {
  return std::min(count_ * output_bytes_,
                  std::max(output_bytes_, result_window_bytes()));
}

Slabs::Range Slabs::ElementsOf(int64_t slab) const {
  const int64_t begin = slab * slab_elements_;
  return {begin, std::min(request().type.num_elements, begin + slab_elements_)};
}

Slabs::Range Slabs::BytesOf(int64_t slab, size_t p) const {
  const int64_t all = stream_.payload_bytes[p];
  if (kept_[p] || count_ == 1) return {0, all};
  const int64_t item_size = ItemSizeBytes(request().type.dtype);
  const Range elements = ElementsOf(slab);
  return {elements.begin * item_size, elements.end * item_size};
}

DecodedRequest Slabs::RequestOf(int64_t slab,
                                const TensorInputs& payloads) const {
  DecodedRequest decoded;
  decoded.request = request();
  TensorRequest& cut = decoded.request;
  const Range elements = ElementsOf(slab);
  const int64_t count = elements.end - elements.begin;
  if (count_ > 1) {
    cut.type.num_elements = count;
    cut.type.shape = {count};
    if (rows_.has_value()) {
      cut.type.shape = {count / (rows_->size * rows_->stride), rows_->size,
                        rows_->stride};
      cut.axis = 1;
    }
    cut.element_offset += elements.begin;
  }
  const size_t num_whole = cut.payloads.size() - cut.broadcasts.size();
  for (size_t i = 0; i < cut.payloads.size(); ++i) {
    const int p = cut.payloads[i];
    if (p == TensorRequest::kNoPayload) {
      decoded.inputs.push_back(OnesTensor(cut.type));
      continue;
    }
    std::vector<Fragment> bytes = payloads[p];
    if (i >= num_whole && count_ > 1) {
      BroadcastTensor& tensor = cut.broadcasts[i - num_whole];
      const auto given = tensor.shape.dimensions();
      std::vector<Broadcast::Dimension> dimensions(given.begin(), given.end());
      const int64_t block = BlockOf(tensor.shape);
      if (!dimensions[0].repeated) {
        const int64_t size_bytes =
            static_cast<int64_t>(bytes[0].size_bytes) / dimensions[0].size;
        bytes = {{bytes[0].data + elements.begin / block * size_bytes,
                  static_cast<size_t>(count / block * size_bytes)}};
      }
      dimensions[0].size = count / block;
      tensor.shape = Broadcast(dimensions);
      tensor.type.num_elements = tensor.shape.num_elements();
      tensor.type.shape = {tensor.type.num_elements};
    }
    decoded.inputs.push_back(std::move(bytes));
  }
  return decoded;
}

}  // namespace actserve
