#include "server/identity/snapshot.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace actserve {
namespace {

TEST(Snapshot, HasTheValueThatWasSetLast) {
  Snapshot<int> one(std::make_shared<int>(1));
  Snapshot<int> two(std::make_shared<int>(2));

  EXPECT_EQ(one.Get(), 1);
  EXPECT_EQ(two.Get(), 2);
  one.Set(std::make_shared<int>(3));
  EXPECT_EQ(one.Get(), 3);
  EXPECT_EQ(two.Get(), 2);
}

TEST(Snapshot, ASuccessorInTheSamePlaceIsAnotherOne) {
  for (int i = 0; i < 3; ++i) {
    auto snapshot = std::make_unique<Snapshot<int>>(std::make_shared<int>(i));
    EXPECT_EQ(snapshot->Get(), i);
  }
}

// Under ThreadSanitizer this also shows that no reader sees a value that is
// written or gone.
TEST(Snapshot, ReadersSeeWholeValuesWhichOnlyGrow) {
  Snapshot<std::vector<int>> snapshot(
      std::make_shared<std::vector<int>>(100, 0));
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      int last = 0;
      while (!done) {
        const std::vector<int>& value = snapshot.Get();
        ASSERT_EQ(value.front(), value.back());
        ASSERT_GE(value.front(), last);
        last = value.front();
      }
    });
  }
  for (int i = 1; i <= 1000; ++i) {
    snapshot.Set(std::make_shared<std::vector<int>>(100, i));
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(snapshot.Get().front(), 1000);
}

}  // namespace
}  // namespace actserve
