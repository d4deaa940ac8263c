#include "kernels/codegen/cuda/testing/catalog_programs.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"

namespace actserve::testing {
namespace {

template <typename T>
T ValueOrDie(absl::StatusOr<T> value, std::string_view activation) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s: %s\n", std::string(activation).c_str(),
                 value.status().ToString().c_str());
    std::abort();
  }
  return *std::move(value);
}

}  // namespace

std::string CatalogProgram::name() const {
  return absl::StrCat(activation, " ", direction, " ",
                      std::string(DTypeName(program.storage)));
}

std::vector<CatalogProgram> CatalogPrograms(DType dtype) {
  std::vector<CatalogProgram> programs;
  for (const CatalogEntry& entry : Catalog()) {
    const auto activation =
        ValueOrDie(Activation::Create(entry.text, {}, nullptr), entry.name);
    std::vector<double> parameters;
    for (const Parameter& parameter : activation->parameters()) {
      parameters.push_back(parameter.default_value);
    }
    const auto add = [&](const char* direction,
                         absl::StatusOr<LoweredProgram> program) {
      programs.push_back({std::string(entry.name), direction,
                          ValueOrDie(std::move(program), entry.name),
                          parameters});
    };
    const std::vector<std::string>& inputs = activation->inputs();
    add("forward", activation->LowerForward(dtype, {}));
    if (!activation->reads_rows()) {
      add("partials", activation->LowerForward(dtype, inputs));
    }
    add("backward", activation->LowerBackward(dtype, inputs));
    if (!parameters.empty()) {
      std::vector<std::string> all = inputs;
      for (const Parameter& parameter : activation->parameters()) {
        all.push_back(parameter.name);
      }
      add("backward with parameters", activation->LowerBackward(dtype, all));
    }
  }
  return programs;
}

}  // namespace actserve::testing
