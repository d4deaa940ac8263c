#include "server/kserve/datatype.h"

#include <array>

namespace actserve::kserve {
namespace {

struct Row {
  DType dtype;
  absl::string_view name;
  inference::DataType config;
};

constexpr std::array<Row, 4> kRows = {
    {{DType::kFloat16, "FP16", inference::TYPE_FP16},
     {DType::kBFloat16, "BF16", inference::TYPE_BF16},
     {DType::kFloat32, "FP32", inference::TYPE_FP32},
     {DType::kFloat64, "FP64", inference::TYPE_FP64}}};

const Row& RowOf(DType dtype) {
  for (const Row& row : kRows) {
    if (row.dtype == dtype) return row;
  }
  return kRows[0];
}

}  // namespace

absl::string_view DatatypeOf(DType dtype) { return RowOf(dtype).name; }

std::optional<DType> DTypeOf(absl::string_view datatype) {
  for (const Row& row : kRows) {
    if (row.name == datatype) return row.dtype;
  }
  return std::nullopt;
}

inference::DataType ConfigTypeOf(DType dtype) { return RowOf(dtype).config; }

}  // namespace actserve::kserve
