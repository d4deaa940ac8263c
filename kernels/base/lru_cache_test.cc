#include "kernels/base/lru_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace actserve {
namespace {

std::string KeysOf(const LruCache<std::string, int>& cache) {
  std::string keys;
  for (const auto& [key, value] : cache.entries()) keys += key;
  return keys;
}

TEST(LruCache, ForgetsWhatWasNotUsedForTheLongest) {
  LruCache<std::string, int> cache(3);
  cache.Put("a", 1);
  cache.Put("b", 2);
  cache.Put("c", 3);
  EXPECT_EQ(*cache.Find("a"), 1);

  cache.Put("d", 4);

  EXPECT_EQ(cache.Find("b"), nullptr);
  EXPECT_EQ(KeysOf(cache), "dac");
}

TEST(LruCache, ReplacesInPlace) {
  LruCache<std::string, int> cache(2);
  cache.Put("a", 1);
  cache.Put("b", 2);

  cache.Put("a", 3);

  EXPECT_EQ(*cache.Find("a"), 3);
  EXPECT_EQ(KeysOf(cache), "ab");
}

TEST(LruCache, BoundsTheSumOfCharges) {
  LruCache<std::string, int> cache(9, /*max_charge=*/10);
  cache.Put("a", 1, 4);
  cache.Put("b", 2, 4);
  cache.Put("a", 3, 5);

  const auto dropped = cache.Put("c", 4, 5);

  EXPECT_EQ(KeysOf(cache), "ca");
  ASSERT_EQ(dropped.size(), 1u);
  EXPECT_EQ(dropped.front().first, "b");
}

TEST(LruCache, KeepsTheNewestWhateverItsCharge) {
  LruCache<std::string, int> cache(9, /*max_charge=*/10);
  cache.Put("a", 1, 4);
  cache.Put("b", 2, 11);
  EXPECT_EQ(KeysOf(cache), "b");

  cache.Put("c", 3, 10);

  EXPECT_EQ(KeysOf(cache), "c");
}

TEST(LruCache, OfNoEntriesKeepsNothing) {
  LruCache<std::string, int> cache(0);
  cache.Put("a", 1);
  EXPECT_EQ(cache.Find("a"), nullptr);
}

TEST(LruCache, GivesUpAnEntryWithItsCharge) {
  LruCache<std::string, int> cache(9, /*max_charge=*/10);
  cache.Put("a", 1, 4);
  cache.Put("b", 2, 5);

  const auto erased = cache.Erase("a");

  ASSERT_EQ(erased.size(), 1u);
  EXPECT_EQ(erased.front().second, 1);
  EXPECT_EQ(KeysOf(cache), "b");
  EXPECT_EQ(cache.charge(), 5);
  EXPECT_TRUE(cache.Erase("a").empty());
}

}  // namespace
}  // namespace actserve
