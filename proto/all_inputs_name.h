#ifndef ACTSERVE_PROTO_ALL_INPUTS_NAME_H_
#define ACTSERVE_PROTO_ALL_INPUTS_NAME_H_

namespace actserve {

// With split_axis, stands for the tensor of all inputs where an input would be
// named; no text can contain it.
inline constexpr char kAllInputsName[] = "*";

}  // namespace actserve

#endif  // ACTSERVE_PROTO_ALL_INPUTS_NAME_H_
