#include "kernels/device/cpu/reduce/transpose.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace actserve {
namespace {

// Item `index` of `bytes`, the first of which begins at an odd address.
std::string ItemAt(const std::string& bytes, int64_t index, int64_t item_size) {
  return bytes.substr(1 + index * item_size, item_size);
}

TEST(Transpose, ExchangesRowsAndColumnsAndNothingElse) {
  for (const int64_t item_size : {2, 4, 8}) {
    for (const int64_t rows : {1, 3, 8, 16, 37, 64, 70}) {
      for (const int64_t columns : {1, 2, 7, 8, 16, 33, 100}) {
        SCOPED_TRACE(absl::StrCat(item_size, " ", rows, " ", columns));
        const int64_t from_pitch = columns + 3, to_pitch = rows + 2;
        std::string from(1 + rows * from_pitch * item_size, '\0');
        for (size_t i = 0; i < from.size(); ++i) {
          from[i] = static_cast<char>(i * i / 7 + i);
        }
        std::string to(1 + columns * to_pitch * item_size, '?');

        Transpose(reinterpret_cast<const std::byte*>(from.data()) + 1,
                  from_pitch, rows, columns, item_size,
                  reinterpret_cast<std::byte*>(to.data()) + 1, to_pitch);

        for (int64_t c = 0; c < columns; ++c) {
          for (int64_t r = 0; r < to_pitch; ++r) {
            const std::string want =
                r < rows ? ItemAt(from, r * from_pitch + c, item_size)
                         : std::string(item_size, '?');
            ASSERT_EQ(ItemAt(to, c * to_pitch + r, item_size), want);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace actserve
