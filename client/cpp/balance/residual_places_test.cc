#include "client/cpp/balance/residual_places.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "client/cpp/replicas.h"

namespace actserve {
namespace {

// Connects to nothing.
ReplicaPtr NewReplica() {
  return std::make_shared<Replica>("127.0.0.1:1", "", "");
}

TEST(ResidualPlaces, RemembersUntilErased) {
  ResidualPlaces places;
  const auto a = NewReplica(), b = NewReplica();
  places.Put("1", a);
  places.Put("2", b);

  EXPECT_EQ(places.Find("1"), a);
  EXPECT_EQ(places.Find("2"), b);
  EXPECT_EQ(places.Find("3"), nullptr);

  places.Erase("1");
  EXPECT_EQ(places.Find("1"), nullptr);
}

TEST(ResidualPlaces, ForgetsTheOldestOfTooMany) {
  ResidualPlaces places(3);
  const auto replica = NewReplica();
  for (int i = 0; i < 1000; ++i) {
    places.Put(std::to_string(i), replica);
    if (i % 2 == 0) places.Erase(std::to_string(i));
  }
  places.Put("last", replica);

  EXPECT_EQ(places.Find("last"), replica);
  EXPECT_EQ(places.Find("999"), replica);
  EXPECT_EQ(places.Find("995"), nullptr);
  EXPECT_LE(replica.use_count(), 4);
}

}  // namespace
}  // namespace actserve
