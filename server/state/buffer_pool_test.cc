#include "server/state/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

namespace actserve {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(BufferPool, AlignsForTheProcessorAndForHugePages) {
  auto pool = BufferPool::Create(kMiB);
  for (size_t size_bytes : {size_t{1}, size_t{100}, 64 << 10 | size_t{1}}) {
    const Buffer buffer = pool->Get(size_bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0);
    EXPECT_EQ(buffer.size_bytes(), size_bytes);
  }
  const Buffer huge = pool->Get(3 * kMiB);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(huge.data()) % (2 * kMiB), 0);
}

TEST(BufferPool, GivesTheSameMemoryAgain) {
  auto pool = BufferPool::Create(64 * kMiB);
  const std::byte* first = pool->Get(5 * kMiB).data();

  EXPECT_EQ(pool->Get(5 * kMiB).data(), first);
}

TEST(BufferPool, KeepsNoMoreThanItsBudget) {
  auto pool = BufferPool::Create(6 * kMiB);
  {
    std::vector<Buffer> buffers;
    for (int i = 0; i < 4; ++i) buffers.push_back(pool->Get(4 * kMiB));
  }
  EXPECT_EQ(pool->idle_bytes(), 4 * kMiB);
}

TEST(BufferPool, KeepsNothingSmall) {
  auto pool = BufferPool::Create(kMiB);
  pool->Get(1000);
  EXPECT_EQ(pool->idle_bytes(), 0);
}

TEST(BufferPool, AnEmptyBufferHasNoMemory) {
  auto pool = BufferPool::Create(kMiB);
  Buffer buffer = pool->Get(0);
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_EQ(buffer.size_bytes(), 0);
}

TEST(BufferPool, LivesAsLongAsItsLastBuffer) {
  auto pool = BufferPool::Create(kMiB);
  Buffer buffer = pool->Get(64 << 10);

  pool.reset();

  buffer.data()[0] = std::byte{1};
  EXPECT_EQ(buffer.data()[0], std::byte{1});
}

TEST(BufferPool, ServesManyThreads) {
  auto pool = BufferPool::Create(8 * kMiB);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&pool, t] {
      for (int i = 0; i < 2000; ++i) {
        const Buffer buffer = pool->Get((32 << 10) * (1 + (i + t) % 8));
        buffer.data()[0] = std::byte{42};
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(pool->idle_bytes(), 8 * kMiB);
}

TEST(BufferPool, DropsItsLargestIdleBuffers) {
  auto pool = BufferPool::Create(64 * kMiB);
  {
    const Buffer large = pool->Get(4 * kMiB);
    const Buffer other = pool->Get(4 * kMiB);
    const Buffer small = pool->Get(kMiB);
  }
  ASSERT_EQ(pool->idle_bytes(), 9 * kMiB);

  pool->DropIdle(5 * kMiB);
  EXPECT_EQ(pool->idle_bytes(), 5 * kMiB);

  pool->DropIdle(4 * kMiB);
  EXPECT_EQ(pool->idle_bytes(), kMiB);
}

}  // namespace
}  // namespace actserve
