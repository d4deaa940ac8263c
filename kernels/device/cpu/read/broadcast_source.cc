#include "kernels/device/cpu/read/broadcast_source.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/device/fragment_cursor.h"
#include "kernels/math/half.h"

namespace actserve {
namespace {

// From so many elements on a call of a kernel costs less than spreading a
// value.
constexpr int64_t kLongRun = 256;

// Elements from the first repeated dimension inwards after which the large
// shape repeats; the whole shape if it does not.
int64_t PeriodOf(const Broadcast& shape) {
  int64_t period = shape.num_read();
  const auto dimensions = shape.dimensions();
  if (!dimensions.empty() && dimensions.front().repeated) {
    period /= std::max<int64_t>(1, dimensions.front().size);
  }
  return period;
}

// Fills `count` elements with the one at `from`.
void Repeat(const std::byte* from, int64_t item_size, int64_t count,
            std::byte* to) {
  const auto fill = [&]<typename T>(T value) {
    std::memcpy(&value, from, sizeof(T));
    for (int64_t i = 0; i < count; ++i) {
      std::memcpy(to + i * sizeof(T), &value, sizeof(T));
    }
  };
  switch (item_size) {
    case 2:
      return fill(uint16_t{});
    case 4:
      return fill(uint32_t{});
    default:
      return fill(uint64_t{});
  }
}

}  // namespace

BroadcastSource::Layout BroadcastSource::LayoutOf(const Broadcast& shape) {
  if (PeriodOf(shape) <= kMaxRun) return Layout::kPeriod;
  const Broadcast::Dimension& last = shape.dimensions().back();
  if (last.size < kMaxRun) return Layout::kAny;
  return last.repeated ? Layout::kOneEach : Layout::kLies;
}

int64_t BroadcastSource::SizeBytes(const BroadcastInput& input,
                                   int64_t item_size_bytes) {
  int64_t elements = 0;
  if (input.data.size() != 1) elements += input.shape.num_elements();
  if (LayoutOf(input.shape) == Layout::kPeriod) {
    elements += PeriodOf(input.shape) + kMaxRun;
  }
  return elements * item_size_bytes;
}

BroadcastSource::BroadcastSource(const BroadcastInput& input, DType dtype)
    : shape_(input.shape),
      dtype_(dtype),
      item_size_bytes_(ItemSizeBytes(dtype)),
      layout_(LayoutOf(input.shape)) {
  std::vector<std::byte> together;
  if (input.data.size() == 1) {
    values_ = input.data[0].data;
  } else {
    together.resize(shape_.num_elements() * item_size_bytes_);
    FragmentCursor(input.data).Copy(together.data(), together.size());
    values_ = together.data();
  }
  if (layout_ == Layout::kPeriod && shape_.num_read() > 0) {
    period_ = PeriodOf(shape_);
    // Several periods one after the other, so that a run from anywhere in the
    // first has its full length.
    copy_.resize((period_ + kMaxRun) * item_size_bytes_);
    const int64_t first = std::min(period_, shape_.num_read());
    Fill(0, first, copy_.data());
    const size_t period_bytes = period_ * item_size_bytes_;
    for (size_t at = period_bytes; at < copy_.size(); at += period_bytes) {
      std::memcpy(copy_.data() + at, copy_.data(),
                  std::min(period_bytes, copy_.size() - at));
    }
  } else {
    copy_ = std::move(together);
    if (input.data.size() != 1) values_ = copy_.data();
  }
}

int64_t BroadcastSource::LongRun() const {
  const auto dimensions = shape_.dimensions();
  if (dimensions.empty()) return std::numeric_limits<int64_t>::max();
  const Broadcast::Dimension& last = dimensions.back();
  return last.repeated && last.size >= kLongRun ? last.size : 0;
}

template <typename T>
T BroadcastSource::Value(int64_t element, int64_t* run) const {
  const auto dimensions = shape_.dimensions();
  *run = 1;
  if (!dimensions.empty()) {
    const int64_t size = dimensions.back().size;
    *run = size - element % size;
  }
  const std::byte* value =
      layout_ == Layout::kPeriod
          ? copy_.data() + element % period_ * item_size_bytes_
          : values_ + shape_.IndexOf(element) * item_size_bytes_;
  const auto load = [&]<typename U>(U bits) {
    std::memcpy(&bits, value, sizeof(bits));
    return bits;
  };
  switch (dtype_) {
    case DType::kFloat16:
      return actserve_f16_bits_to_f32(load(uint16_t{}));
    case DType::kBFloat16:
      return actserve_bf16_bits_to_f32(load(uint16_t{}));
    case DType::kFloat32:
      return load(float{});
    case DType::kFloat64:
      break;
  }
  return static_cast<T>(load(double{}));
}

template float BroadcastSource::Value(int64_t, int64_t*) const;
template double BroadcastSource::Value(int64_t, int64_t*) const;

int64_t BroadcastSource::RunLength(int64_t element) const {
  switch (layout_) {
    case Layout::kPeriod:
    case Layout::kAny:
      return kMaxRun;
    case Layout::kLies:
    case Layout::kOneEach:
      break;
  }
  const int64_t size = shape_.dimensions().back().size;
  const int64_t left = size - element % size;
  return layout_ == Layout::kLies ? left : std::min(left, kMaxRun);
}

const void* BroadcastSource::Read(int64_t element, int64_t count,
                                  Buffer& buffer) const {
  if (layout_ == Layout::kPeriod) {
    return copy_.data() + element % period_ * item_size_bytes_;
  }
  if (layout_ == Layout::kLies) {
    return values_ + shape_.IndexOf(element) * item_size_bytes_;
  }
  buffer.bytes.resize(kMaxRun * item_size_bytes_);
  if (layout_ == Layout::kOneEach) {
    const int64_t index = shape_.IndexOf(element);
    if (index != buffer.index) {
      Repeat(values_ + index * item_size_bytes_, item_size_bytes_, kMaxRun,
             buffer.bytes.data());
      buffer.index = index;
    }
  } else {
    Fill(element, count, buffer.bytes.data());
  }
  return buffer.bytes.data();
}

void BroadcastSource::Fill(int64_t element, int64_t count,
                           std::byte* to) const {
  const auto dimensions = shape_.dimensions();
  if (dimensions.empty()) {
    return Repeat(values_, item_size_bytes_, count, to);
  }
  const Broadcast::Dimension& last = dimensions.back();
  // Elements in which those that are read follow each other.
  int64_t block = last.size;
  if (last.repeated && dimensions.size() > 1) {
    block *= dimensions[dimensions.size() - 2].size;
  }
  for (int64_t done = 0; done < count;) {
    const int64_t at = element + done;
    const int64_t end = done + std::min(count - done, block - at % block);
    const std::byte* from = values_ + shape_.IndexOf(at) * item_size_bytes_;
    if (!last.repeated) {
      std::memcpy(to + done * item_size_bytes_, from,
                  (end - done) * item_size_bytes_);
      done = end;
      continue;
    }
    int64_t run = std::min(end - done, last.size - at % last.size);
    while (done < end) {
      Repeat(from, item_size_bytes_, run, to + done * item_size_bytes_);
      from += item_size_bytes_;
      done += run;
      run = std::min(end - done, last.size);
    }
  }
}

std::vector<std::byte> BroadcastSource::Expand() const {
  std::vector<std::byte> expanded(shape_.num_read() * item_size_bytes_);
  Buffer buffer;
  for (int64_t element = 0; element < shape_.num_read();) {
    const int64_t run =
        std::min(RunLength(element), shape_.num_read() - element);
    std::memcpy(expanded.data() + element * item_size_bytes_,
                Read(element, run, buffer), run * item_size_bytes_);
    element += run;
  }
  return expanded;
}

}  // namespace actserve
