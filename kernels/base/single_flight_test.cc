#include "kernels/base/single_flight.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace actserve {
namespace {

TEST(SingleFlight, ComputesOnceForAllThatAskMeanwhile) {
  SingleFlight<std::string, int> flights;
  absl::Notification started, finish;
  std::thread first([&] {
    const int result = flights.Do("key", [&] {
      started.Notify();
      finish.WaitForNotification();
      return 1;
    });
    EXPECT_EQ(result, 1);
  });
  started.WaitForNotification();
  std::atomic<int> num_asking = 0;
  std::vector<std::thread> others;
  for (int i = 0; i < 4; ++i) {
    others.emplace_back([&] {
      bool joined = false;
      ++num_asking;
      const int result = flights.Do(
          "key",
          [&] {
            // A thread that was slow to ask computes itself, afterwards.
            EXPECT_TRUE(finish.HasBeenNotified());
            return 2;
          },
          &joined);
      EXPECT_EQ(result, joined ? 1 : 2);
    });
  }
  while (num_asking < 4) std::this_thread::yield();

  // Another key does not wait.
  EXPECT_EQ(flights.Do("other", [] { return 3; }), 3);

  finish.Notify();
  first.join();
  for (std::thread& other : others) other.join();
}

TEST(SingleFlight, ComputesAgainAfterwards) {
  SingleFlight<std::string, int> flights;
  bool joined = true;
  flights.Do("key", [] { return 1; });

  EXPECT_EQ(flights.Do("key", [] { return 2; }, &joined), 2);
  EXPECT_FALSE(joined);
}

}  // namespace
}  // namespace actserve
