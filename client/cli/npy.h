#ifndef ACTSERVE_CLIENT_CLI_NPY_H_
#define ACTSERVE_CLIENT_CLI_NPY_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "actserve/v1/tensor.pb.h"
#include "client/cli/array.h"

namespace actserve {

// Reads `path`. `dtype` says what the file must hold; needed only for
// bfloat16, which NumPy stores as two raw bytes without a name.
//   NotFound         no such file
//   InvalidArgument  not a .npy file, in Fortran order, big-endian, of another
//                    dtype, or of another length than its shape
absl::StatusOr<Array> ReadNpy(const std::string& path,
                              std::optional<v1::DType> dtype);

// Writes `path` as NumPy does; bfloat16 as raw bytes, to be read with
// `numpy.load(path).view(ml_dtypes.bfloat16)`.
absl::Status WriteNpy(const std::string& path, const Array& array);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CLI_NPY_H_
