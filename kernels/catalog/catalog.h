#ifndef ACTSERVE_KERNELS_CATALOG_CATALOG_H_
#define ACTSERVE_KERNELS_CATALOG_CATALOG_H_

#include <string_view>
#include <vector>

namespace actserve {

// One built-in activation: a file `<name>.py` of this folder, embedded. Its
// text is in the language that users write.
struct CatalogEntry {
  std::string_view name;
  std::string_view text;
};

// Returns all built-ins, sorted by name.
const std::vector<CatalogEntry>& Catalog();

// The entry called `name`, or nullptr.
const CatalogEntry* FindInCatalog(std::string_view name);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CATALOG_CATALOG_H_
