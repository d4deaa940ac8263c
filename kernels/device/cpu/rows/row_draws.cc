#include "kernels/device/cpu/rows/row_draws.h"

#include <algorithm>
#include <cstddef>
#include <memory>

#include "kernels/device/cpu/reduce/transpose.h"
#include "kernels/graph/draws.h"

namespace actserve {
namespace {

constexpr int64_t kElementsPerTask = 1 << 16;

}  // namespace

RowDraws::RowDraws(const Graph& draws, KernelFunction kernel,
                   const WorkItem& item, const void* parameters,
                   int64_t number_bytes)
    : kernel_(kernel),
      rows_(item.rows),
      parameters_(parameters),
      number_bytes_(number_bytes),
      words_(DrawWords(draws, item.parameters, item.element_offset)) {}

void RowDraws::Draw(int64_t first, int64_t count, absl::Span<void* const> to,
                    int64_t at) const {
  std::vector<uint64_t> words = words_;
  words[0] += first;
  const void* in[] = {words.data()};
  std::vector<void*> out;
  for (void* const numbers : to) {
    out.push_back(static_cast<std::byte*>(numbers) + at * number_bytes_);
  }
  kernel_(in, out.data(), parameters_, count);
}

void RowDraws::Fill(int64_t first, int64_t num_rows, absl::Span<void* const> to,
                    ThreadPool* threads) const {
  if (rows_.stride > 1) return FillStrided(first, num_rows, to);
  const int64_t count = num_rows * rows_.size;
  if (threads == nullptr || count < 2 * kElementsPerTask) {
    return Draw(first, count, to, 0);
  }
  const int64_t num_tasks = (count + kElementsPerTask - 1) / kElementsPerTask;
  threads->ParallelFor(num_tasks, [&](int64_t i) {
    const int64_t at = i * kElementsPerTask;
    Draw(first + at, std::min(kElementsPerTask, count - at), to, at);
  });
}

// Neighbours are elements of neighbouring rows.
void RowDraws::FillStrided(int64_t first, int64_t num_rows,
                           absl::Span<void* const> to) const {
  const int64_t size_bytes = num_rows * rows_.size * number_bytes_;
  std::vector<std::unique_ptr<std::byte[]>> drawn;
  std::vector<void*> out;
  for (size_t d = 0; d < to.size(); ++d) {
    drawn.push_back(std::make_unique_for_overwrite<std::byte[]>(size_bytes));
    out.push_back(drawn.back().get());
  }
  for (int64_t i = 0; i < rows_.size; ++i) {
    Draw(first + i * rows_.stride, num_rows, out, i * num_rows);
  }
  for (size_t d = 0; d < to.size(); ++d) {
    Transpose(drawn[d].get(), num_rows, rows_.size, num_rows, number_bytes_,
              static_cast<std::byte*>(to[d]), rows_.size);
  }
}

}  // namespace actserve
