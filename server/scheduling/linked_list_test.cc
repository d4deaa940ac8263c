#include "server/scheduling/linked_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <random>
#include <vector>

namespace actserve {
namespace {

using ::testing::ElementsAre;

struct Item {
  explicit Item(int value = 0) : value(value) {}

  int value;
  Link<Item> first_link;
  Link<Item> second_link;
};
using FirstList = LinkedList<Item, &Item::first_link>;
using SecondList = LinkedList<Item, &Item::second_link>;

std::vector<int> ValuesOf(const FirstList& list) {
  std::vector<int> values;
  for (Item* item = list.front(); item != nullptr; item = list.After(item)) {
    values.push_back(item->value);
  }
  return values;
}

TEST(LinkedList, HoldsItemsInTheirOrder) {
  Item a{1}, b{2}, c{3};
  FirstList list;
  EXPECT_TRUE(list.empty());
  for (Item* item : {&a, &b, &c}) list.PushBack(item);

  EXPECT_THAT(ValuesOf(list), ElementsAre(1, 2, 3));
  EXPECT_EQ(list.back(), &c);
  EXPECT_EQ(list.Before(&b), &a);
  list.MoveToBack(&a);
  EXPECT_THAT(ValuesOf(list), ElementsAre(2, 3, 1));
  list.Remove(&c);
  EXPECT_THAT(ValuesOf(list), ElementsAre(2, 1));
}

TEST(LinkedList, AnItemIsInOneListPerLink) {
  Item a{1}, b{2};
  FirstList first;
  SecondList second;
  for (Item* item : {&a, &b}) first.PushBack(item);
  for (Item* item : {&b, &a}) second.PushBack(item);

  first.Remove(&a);

  EXPECT_EQ(second.front(), &b);
  EXPECT_EQ(second.back(), &a);
}

TEST(LinkedList, FindsTheFirstOfTheLargest) {
  Item a{1}, b{3}, c{3};
  FirstList list;
  const auto less = [](const Item* x, const Item* y) {
    return x->value < y->value;
  };
  EXPECT_EQ(list.Largest(less), nullptr);
  for (Item* item : {&a, &b, &c}) list.PushBack(item);
  EXPECT_EQ(list.Largest(less), &b);
}

TEST(LinkedList, EqualsAStdListUnderRandomChanges) {
  std::vector<Item> items(10);
  FirstList list;
  std::list<int> want;
  std::mt19937 random(1);
  for (int i = 0; i < 10; ++i) items[i].value = i;
  for (int step = 0; step < 10'000; ++step) {
    Item& item = items[random() % items.size()];
    const size_t size = want.size();
    want.remove(item.value);
    if (want.size() == size) {
      list.PushBack(&item);
      want.push_back(item.value);
    } else if (random() % 2 == 0) {
      list.MoveToBack(&item);
      want.push_back(item.value);
    } else {
      list.Remove(&item);
    }
    ASSERT_EQ(ValuesOf(list), std::vector<int>(want.begin(), want.end()));
  }
}

}  // namespace
}  // namespace actserve
