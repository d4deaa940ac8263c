#include "kernels/catalog/catalog.h"

#include <algorithm>

namespace actserve {

// Defined by the generated catalog_data.cc.
extern const CatalogEntry kCatalogData[];
extern const int kCatalogDataSize;

const std::vector<CatalogEntry>& Catalog() {
  static const auto* const catalog = [] {
    auto* entries = new std::vector<CatalogEntry>(
        kCatalogData, kCatalogData + kCatalogDataSize);
    std::sort(entries->begin(), entries->end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return entries;
  }();
  return *catalog;
}

const CatalogEntry* FindInCatalog(std::string_view name) {
  const auto& catalog = Catalog();
  auto it = std::lower_bound(
      catalog.begin(), catalog.end(), name,
      [](const CatalogEntry& entry, auto key) { return entry.name < key; });
  return it != catalog.end() && it->name == name ? &*it : nullptr;
}

}  // namespace actserve
