#ifndef ACTSERVE_CLIENT_CPP_MESSAGE_ITEM_SIZE_H_
#define ACTSERVE_CLIENT_CPP_MESSAGE_ITEM_SIZE_H_

#include <cstdint>

#include "actserve/v1/tensor.pb.h"

namespace actserve {

// Of one element; 0 for what is no dtype.
inline int64_t ItemSizeBytes(v1::DType dtype) {
  switch (dtype) {
    case v1::DTYPE_FLOAT16:
    case v1::DTYPE_BFLOAT16:
      return 2;
    case v1::DTYPE_FLOAT32:
      return 4;
    case v1::DTYPE_FLOAT64:
      return 8;
    default:
      return 0;
  }
}

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_MESSAGE_ITEM_SIZE_H_
