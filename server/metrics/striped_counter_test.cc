#include "server/metrics/striped_counter.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace actserve {
namespace {

TEST(StripedCounter, StartsAtZero) { EXPECT_EQ(StripedCounter().Sum(), 0); }

// More threads than stripes, so that some share one.
TEST(StripedCounter, LosesNothing) {
  StripedCounter counter;
  std::vector<std::thread> threads;
  for (int i = 0; i < 40; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 1000; ++j) counter.Increment();
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(counter.Sum(), 40000);
}

}  // namespace
}  // namespace actserve
