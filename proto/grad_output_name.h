#ifndef ACTSERVE_PROTO_GRAD_OUTPUT_NAME_H_
#define ACTSERVE_PROTO_GRAD_OUTPUT_NAME_H_

namespace actserve {

// Stands for grad_output among the names of `wrt`; no text can contain it.
inline constexpr char kGradOutputName[] = "dL/dy";

}  // namespace actserve

#endif  // ACTSERVE_PROTO_GRAD_OUTPUT_NAME_H_
