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

TEST(LruCache, OfNoEntriesKeepsNothing) {
  LruCache<std::string, int> cache(0);
  cache.Put("a", 1);
  EXPECT_EQ(cache.Find("a"), nullptr);
}

}  // namespace
}  // namespace actserve
