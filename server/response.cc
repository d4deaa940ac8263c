#include "server/response.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "actserve/v1/service.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "server/wire.h"

namespace actserve {
namespace {

// Up to here a response is one slice with a copy of its payloads: cheaper
// than one more slice for the transport to handle.
constexpr size_t kOneSliceBytes = 8 << 10;

void SetDuration(absl::Duration value, google::protobuf::Duration* message) {
  message->set_seconds(absl::IDivDuration(value, absl::Seconds(1), &value));
  message->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(value)));
}

// copy_in and copy_out stay 0: this device computes from the bytes as they
// were received into those that are sent.
void SetTimings(const TensorResult& result, v1::Timings* timings) {
  SetDuration(result.queue, timings->mutable_queue());
  timings->mutable_copy_in();
  SetDuration(result.compute, timings->mutable_compute());
  timings->mutable_copy_out();
}

template <typename Response>
void SetCommon(const TensorRequest& request, const TensorResult& result,
               Response* response) {
  response->set_activation_id(request.activation->id());
  response->set_program_id(result.program.lowered().program_id);
  response->set_device(result.device);
  SetTimings(result, response->mutable_timings());
}

// Tag and length of a payload.
void AppendPayloadPrefix(size_t size_bytes, std::string* header) {
  using google::protobuf::io::CodedOutputStream;
  uint8_t buffer[16];
  uint8_t* end =
      CodedOutputStream::WriteVarint32ToArray(kPayloadField << 3 | 2, buffer);
  end = CodedOutputStream::WriteVarint64ToArray(size_bytes, end);
  header->append(reinterpret_cast<const char*>(buffer), end - buffer);
}

grpc::ByteBuffer Assemble(std::string header, std::vector<Buffer> payloads) {
  size_t payload_bytes = 0;
  for (const Buffer& payload : payloads) payload_bytes += payload.size_bytes();
  if (payload_bytes <= kOneSliceBytes) {
    for (const Buffer& payload : payloads) {
      AppendPayloadPrefix(payload.size_bytes(), &header);
      header.append(reinterpret_cast<const char*>(payload.data()),
                    payload.size_bytes());
    }
    const grpc::Slice slice(header);
    return grpc::ByteBuffer(&slice, 1);
  }
  std::vector<grpc::Slice> slices;
  for (Buffer& payload : payloads) {
    AppendPayloadPrefix(payload.size_bytes(), &header);
    if (payload.size_bytes() == 0) continue;
    slices.emplace_back(header);
    header.clear();
    slices.push_back(std::move(payload).ToSlice());
  }
  if (!header.empty()) slices.emplace_back(header);
  return grpc::ByteBuffer(slices.data(), slices.size());
}

// Where the output of the program for `name` is: names below it come first.
size_t RankOf(int name, const TensorRequest& request) {
  return std::count_if(request.names.begin(), request.names.end(),
                       [name](int other) { return other < name; });
}

}  // namespace

grpc::ByteBuffer EncodeForward(const TensorRequest& request,
                               TensorResult result) {
  v1::ForwardResponse response;
  SetCommon(request, result, &response);
  *response.mutable_output() = EncodeTensor(request.type);
  std::vector<Buffer> payloads;
  payloads.push_back(std::move(result.tensors[0]));
  for (int name : request.names) {
    *response.add_partials() = response.output();
    payloads.push_back(std::move(result.tensors[1 + RankOf(name, request)]));
  }
  if (!result.residual_handle.empty()) {
    response.mutable_residual()->set_handle(std::move(result.residual_handle));
    SetDuration(*request.residual_lease,
                response.mutable_residual()->mutable_lease());
  }
  return Assemble(response.SerializeAsString(), std::move(payloads));
}

grpc::ByteBuffer EncodeBackward(const TensorRequest& request,
                                TensorResult result) {
  const Activation& activation = request.activation->activation();
  const int num_tensors = static_cast<int>(result.tensors.size());
  v1::BackwardResponse response;
  SetCommon(request, result, &response);
  std::vector<Buffer> payloads;
  for (int name : request.names) {
    v1::Gradient& gradient = *response.add_gradients();
    const size_t rank = RankOf(name, request);
    if (request.IsParameter(name)) {
      gradient.set_name(
          activation.parameters()[name - request.num_inputs()].name);
      gradient.set_scalar(result.sums[rank - num_tensors]);
    } else {
      gradient.set_name(activation.inputs()[name]);
      *gradient.mutable_tensor() = EncodeTensor(request.type);
      payloads.push_back(std::move(result.tensors[rank]));
    }
  }
  return Assemble(response.SerializeAsString(), std::move(payloads));
}

}  // namespace actserve
