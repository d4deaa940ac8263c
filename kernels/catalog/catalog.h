#ifndef ACTSERVE_KERNELS_CATALOG_CATALOG_H_
#define ACTSERVE_KERNELS_CATALOG_CATALOG_H_

#include <string_view>
#include <vector>

namespace actserve {

// One built-in activation: a file `<name>.py` of this folder, embedded.
struct CatalogEntry {
  std::string_view name;
  std::string_view text;
};

// All of them, sorted by name. The text is in the language users write.
const std::vector<CatalogEntry>& Catalog();

// The entry called `name`, or nullptr.
const CatalogEntry* FindInCatalog(std::string_view name);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CATALOG_CATALOG_H_
