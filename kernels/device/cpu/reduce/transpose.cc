#include "kernels/device/cpu/reduce/transpose.h"

#include <algorithm>
#include <cstring>

namespace actserve {
namespace {

constexpr int64_t kLineBytes = 64;

// As many items as 16 bytes hold, which every x86-64 shuffles in a register.
template <typename U>
struct Vector;
template <>
struct Vector<uint16_t> {
  using Type [[gnu::vector_size(16)]] = uint16_t;
  static Type Low(Type a, Type b) {
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  }
  static Type High(Type a, Type b) {
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  }
};
template <>
struct Vector<uint32_t> {
  using Type [[gnu::vector_size(16)]] = uint32_t;
  static Type Low(Type a, Type b) {
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
  }
  static Type High(Type a, Type b) {
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
  }
};
template <>
struct Vector<uint64_t> {
  using Type [[gnu::vector_size(16)]] = uint64_t;
  static Type Low(Type a, Type b) {
    return __builtin_shufflevector(a, b, 0, 2);
  }
  static Type High(Type a, Type b) {
    return __builtin_shufflevector(a, b, 1, 3);
  }
};

// A square of a vector's items each way.
template <typename U>
void TransposeSquare(const std::byte* from, int64_t from_bytes, std::byte* to,
                     int64_t to_bytes) {
  using V = Vector<U>;
  constexpr int kItems = 16 / sizeof(U);
  typename V::Type rows[kItems], mixed[kItems];
  for (int i = 0; i < kItems; ++i) {
    std::memcpy(&rows[i], from + i * from_bytes, sizeof(rows[i]));
  }
  for (int apart = kItems; apart > 1; apart /= 2) {
    for (int i = 0; i < kItems / 2; ++i) {
      mixed[2 * i] = V::Low(rows[i], rows[i + kItems / 2]);
      mixed[2 * i + 1] = V::High(rows[i], rows[i + kItems / 2]);
    }
    std::copy_n(mixed, kItems, rows);
  }
  for (int i = 0; i < kItems; ++i) {
    std::memcpy(to + i * to_bytes, &rows[i], sizeof(rows[i]));
  }
}

template <typename U>
void TransposeItems(const std::byte* from, int64_t from_pitch, int64_t num_rows,
                    int64_t num_columns, std::byte* to, int64_t to_pitch) {
  constexpr int64_t kSize = sizeof(U);
  constexpr int64_t kSquare = 16 / kSize;
  constexpr int64_t kBlock = kLineBytes / kSize;
  const auto item = [&](int64_t r, int64_t c) {
    std::memcpy(to + (c * to_pitch + r) * kSize,
                from + (r * from_pitch + c) * kSize, kSize);
  };
  // Rows outside, so that the lines of `from` are read in order; inside a block
  // a line of `to` is completed before the next.
  for (int64_t r0 = 0; r0 < num_rows; r0 += kBlock) {
    const int64_t rows = std::min(kBlock, num_rows - r0);
    const int64_t square_rows = rows / kSquare * kSquare;
    for (int64_t c0 = 0; c0 < num_columns; c0 += kSquare) {
      const int64_t columns = std::min(kSquare, num_columns - c0);
      int64_t r = r0;
      if (columns == kSquare) {
        for (; r < r0 + square_rows; r += kSquare) {
          TransposeSquare<U>(
              from + (r * from_pitch + c0) * kSize, from_pitch * kSize,
              to + (c0 * to_pitch + r) * kSize, to_pitch * kSize);
        }
      }
      for (; r < r0 + rows; ++r) {
        for (int64_t c = c0; c < c0 + columns; ++c) item(r, c);
      }
    }
  }
}

}  // namespace

void Transpose(const std::byte* from, int64_t from_pitch, int64_t num_rows,
               int64_t num_columns, int64_t item_size, std::byte* to,
               int64_t to_pitch) {
  const auto transpose = [&]<typename U>(U) {
    TransposeItems<U>(from, from_pitch, num_rows, num_columns, to, to_pitch);
  };
  switch (item_size) {
    case 2:
      return transpose(uint16_t{});
    case 4:
      return transpose(uint32_t{});
    default:
      return transpose(uint64_t{});
  }
}

}  // namespace actserve
