#include "kernels/catalog/catalog.h"

#include <string>

#include "gtest/gtest.h"

namespace actserve {
namespace {

TEST(Catalog, IsSortedByNameWithoutRepetition) {
  const auto& catalog = Catalog();

  ASSERT_FALSE(catalog.empty());
  for (size_t i = 1; i < catalog.size(); ++i) {
    EXPECT_LT(catalog[i - 1].name, catalog[i].name);
  }
}

TEST(Catalog, DefinesInEachFileTheFunctionThatTheFileIsNamedFor) {
  for (const CatalogEntry& entry : Catalog()) {
    const std::string definition = "def " + std::string(entry.name) + "(";

    EXPECT_NE(entry.text.find(definition), entry.text.npos) << entry.name;
  }
}

TEST(Catalog, FindsEachEntryAndNothingElse) {
  for (const CatalogEntry& entry : Catalog()) {
    EXPECT_EQ(FindInCatalog(entry.name), &entry);
  }
  EXPECT_EQ(FindInCatalog("gel"), nullptr);
  EXPECT_EQ(FindInCatalog(""), nullptr);
  EXPECT_EQ(FindInCatalog("zzz"), nullptr);
}

}  // namespace
}  // namespace actserve
