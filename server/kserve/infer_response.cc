#include "server/kserve/infer_response.h"

#include <cstring>
#include <utility>

#include "inference/grpc_service.pb.h"
#include "server/kserve/datatype.h"
#include "server/kserve/model.h"

namespace actserve::kserve {

std::vector<InferOutput> OutputsOf(const TensorRequest& request,
                                   TensorResult result, BufferPool& buffers) {
  std::vector<InferOutput> outputs;
  const std::vector<size_t> tensors = PayloadTensors(request);
  if (request.program.direction == ProgramKey::Direction::kForward) {
    outputs.push_back({kOutputName, request.type.dtype, request.type.shape,
                       std::move(result.tensors[tensors[0]])});
    return outputs;
  }
  auto tensor = tensors.begin();
  for (const int variable : request.variables) {
    InferOutput& output = outputs.emplace_back();
    output.name = GradientNameOf(request, variable);
    if (!request.IsNumber(variable)) {
      const TensorType& type = request.TypeOf(variable);
      output.dtype = type.dtype;
      output.shape = type.shape;
      output.elements = std::move(result.tensors[*tensor++]);
      continue;
    }
    const double number = result.sums[RankOf(variable, request)];
    output.dtype = DType::kFloat64;
    output.shape = {1};
    output.elements = buffers.Get(sizeof(number));
    std::memcpy(output.elements.data(), &number, sizeof(number));
  }
  return outputs;
}

std::string InferResponseHead(const std::string& model_name,
                              const std::vector<InferOutput>& outputs,
                              bool is_final) {
  inference::ModelInferResponse response;
  response.set_model_name(model_name);
  response.set_model_version(kModelVersion);
  if (is_final) {
    (*response.mutable_parameters())["triton_final_response"].set_bool_param(
        true);
  }
  for (const InferOutput& output : outputs) {
    auto& tensor = *response.add_outputs();
    tensor.set_name(output.name);
    tensor.set_datatype(std::string(DatatypeOf(output.dtype)));
    tensor.mutable_shape()->Assign(output.shape.begin(), output.shape.end());
  }
  return response.SerializeAsString();
}

EncodedResponse EncodeInferResponse(const std::string& head,
                                    const std::string& id,
                                    std::vector<InferOutput> outputs) {
  using M = inference::ModelInferResponse;
  std::string bytes = head;
  if (!id.empty()) {
    AppendPrefix(M::kIdFieldNumber, id.size(), &bytes);
    bytes += id;
  }
  std::vector<Buffer> elements;
  elements.reserve(outputs.size());
  for (InferOutput& output : outputs) {
    elements.push_back(std::move(output.elements));
  }
  return Assemble(std::move(bytes), M::kRawOutputContentsFieldNumber,
                  std::move(elements), /*may_copy=*/true);
}

}  // namespace actserve::kserve
