#include "server/message/response.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "actserve/v1/service.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "proto/all_inputs_name.h"
#include "proto/grad_output_name.h"
#include "proto/payload_field.h"
#include "server/message/split_request.h"
#include "server/message/tensor_codec.h"

namespace actserve {
namespace {

// Payloads of at most so many bytes in all are copied into one piece: that is
// cheaper than one more piece for the transport to handle.
constexpr size_t kOnePieceBytes = 8 << 10;

using google::protobuf::io::CodedOutputStream;

// A field of type Duration; `value` is not negative.
void AppendDuration(int field, absl::Duration value, std::string* bytes) {
  constexpr int kSeconds = 1;
  constexpr int kNanos = 2;
  uint8_t buffer[32];
  uint8_t* end = buffer;
  const int64_t seconds = absl::IDivDuration(value, absl::Seconds(1), &value);
  if (seconds != 0) {
    end = CodedOutputStream::WriteVarint32ToArray(kSeconds << 3, end);
    end = CodedOutputStream::WriteVarint64ToArray(seconds, end);
  }
  if (const int64_t nanos = absl::ToInt64Nanoseconds(value); nanos != 0) {
    end = CodedOutputStream::WriteVarint32ToArray(kNanos << 3, end);
    end = CodedOutputStream::WriteVarint64ToArray(nanos, end);
  }
  AppendPrefix(field, end - buffer, bytes);
  bytes->append(reinterpret_cast<const char*>(buffer), end - buffer);
}

void AppendResidual(const std::string& handle, absl::Duration lease,
                    std::string* bytes) {
  using M = v1::Residual;
  std::string residual;
  AppendPrefix(M::kHandleFieldNumber, handle.size(), &residual);
  residual += handle;
  AppendDuration(M::kLeaseFieldNumber, lease, &residual);
  AppendPrefix(v1::ForwardResponse::kResidualFieldNumber, residual.size(),
               bytes);
  bytes->append(residual);
}

// True for what a Forward asks for.
bool HasOutput(const TensorRequest& request) {
  return request.program.direction == ProgramKey::Direction::kForward ||
         request.program.direction == ProgramKey::Direction::kTangent;
}

template <typename Response>
std::string Serialize(Response response, const TensorRequest& request,
                      const Program& program, const std::string& device) {
  response.set_activation_id(request.activation->id());
  response.set_program_id(program.lowered().program_id);
  response.set_device(device);
  return response.SerializeAsString();
}

v1::ForwardResponse DescribeOutputs(const TensorRequest& request) {
  v1::ForwardResponse response;
  *response.mutable_output() = EncodeTensor(request.type);
  if (request.program.direction == ProgramKey::Direction::kTangent) {
    *response.mutable_tangent() = response.output();
  }
  for (const int variable : request.variables) {
    *response.add_partials() = EncodeTensor(request.TypeOf(variable));
  }
  return response;
}

v1::BackwardResponse DescribeGradients(const TensorRequest& request,
                                       absl::Span<const double> sums) {
  const Activation& activation = request.activation->activation();
  v1::BackwardResponse response;
  for (int variable : request.variables) {
    v1::Gradient& gradient = *response.add_gradients();
    gradient.set_name(
        variable == request.grad_output() ? kGradOutputName
        : request.IsParameter(variable)
            ? activation.parameters()[variable - request.num_inputs()].name
        : request.split.has_value() ? kAllInputsName
                                    : activation.inputs()[variable]);
    if (request.IsNumber(variable)) {
      gradient.set_scalar(sums[RankOf(variable, request)]);
    } else {
      *gradient.mutable_tensor() = EncodeTensor(request.TypeOf(variable));
    }
  }
  return response;
}

}  // namespace

void AppendPrefix(int field, size_t size_bytes, std::string* bytes) {
  uint8_t buffer[16];
  uint8_t* end =
      CodedOutputStream::WriteVarint32ToArray(field << 3 | 2, buffer);
  end = CodedOutputStream::WriteVarint64ToArray(size_bytes, end);
  bytes->append(reinterpret_cast<const char*>(buffer), end - buffer);
}

size_t RankOf(int variable, const TensorRequest& request) {
  const auto below = [](int end) { return (uint64_t{1} << end) - 1; };
  const uint64_t tensors =
      below(request.num_inputs()) | request.program.broadcasts;
  const uint64_t same_kind = request.IsNumber(variable) ? ~tensors : tensors;
  return std::popcount(request.program.variables & same_kind & below(variable));
}

void AppendTimings(const TensorResult& result, std::string* bytes) {
  using M = v1::Timings;
  std::string timings;
  AppendDuration(M::kQueueFieldNumber, result.queue, &timings);
  AppendDuration(M::kCopyInFieldNumber, result.stages.copy_in, &timings);
  AppendDuration(M::kComputeFieldNumber, result.stages.compute, &timings);
  AppendDuration(M::kCopyOutFieldNumber, result.stages.copy_out, &timings);
  AppendDuration(M::kOtherFieldNumber, result.other, &timings);
  constexpr int kField = v1::ForwardResponse::kTimingsFieldNumber;
  static_assert(kField == v1::BackwardResponse::kTimingsFieldNumber);
  AppendPrefix(kField, timings.size(), bytes);
  bytes->append(timings);
}

std::string ResponseHead(const TensorRequest& request, const Program& program,
                         const std::string& device,
                         absl::Span<const double> sums) {
  return HasOutput(request)
             ? Serialize(DescribeOutputs(request), request, program, device)
             : Serialize(DescribeGradients(request, sums), request, program,
                         device);
}

std::string ConstantResponseHead(const TensorRequest& request,
                                 const Program& program,
                                 const std::string& device) {
  const bool has_numbers = std::ranges::any_of(
      program.lowered().graph.outputs,
      [](const Output& output) { return output.summed && output.like < 0; });
  return has_numbers ? "" : ResponseHead(request, program, device, /*sums=*/{});
}

std::vector<size_t> PayloadTensors(const TensorRequest& request) {
  std::vector<size_t> tensors;
  const bool has_output = HasOutput(request);
  if (has_output) tensors.push_back(0);
  if (request.program.direction == ProgramKey::Direction::kTangent) {
    tensors.push_back(1);
  }
  for (int variable : request.variables) {
    if (request.IsNumber(variable)) continue;
    tensors.push_back(RankOf(variable, request) + (has_output ? 1 : 0));
  }
  return tensors;
}

EncodedResponse Assemble(std::string head, int field,
                         std::vector<Buffer> payloads, bool may_copy) {
  size_t payload_bytes = 0;
  for (const Buffer& payload : payloads) payload_bytes += payload.size_bytes();
  EncodedResponse response;
  response.pieces.reserve(payloads.size() + 1);
  const bool copy = may_copy && payload_bytes <= kOnePieceBytes;
  std::vector<MemoryBudget::Charge> charges;
  for (Buffer& payload : payloads) {
    AppendPrefix(field, payload.size_bytes(), &head);
    if (copy) {
      head.append(reinterpret_cast<const char*>(payload.data()),
                  payload.size_bytes());
      charges.push_back(payload.ReleaseCharge());
    } else if (payload.size_bytes() > 0) {
      response.pieces.push_back(
          {std::exchange(head, std::string()), std::move(payload)});
    }
  }
  if (!head.empty()) {
    response.pieces.push_back({std::move(head), Buffer(), std::move(charges)});
  }
  return response;
}

EncodedResponse EncodeResponse(const TensorRequest& request, std::string head,
                               TensorResult result) {
  AppendTimings(result, &head);
  if (!result.residual_handle.empty()) {
    AppendResidual(result.residual_handle, *request.residual_lease, &head);
  }
  std::vector<Buffer> payloads;
  payloads.reserve(result.tensors.size());
  for (size_t tensor : PayloadTensors(request)) {
    payloads.push_back(std::move(result.tensors[tensor]));
  }
  return Assemble(std::move(head), kPayloadField, std::move(payloads),
                  /*may_copy=*/!result.in_device_memory);
}

}  // namespace actserve
