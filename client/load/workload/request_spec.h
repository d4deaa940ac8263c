// What a load is made of, as a scenario or the command line says it.

#ifndef ACTSERVE_CLIENT_LOAD_WORKLOAD_REQUEST_SPEC_H_
#define ACTSERVE_CLIENT_LOAD_WORKLOAD_REQUEST_SPEC_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actserve/v1/tensor.pb.h"

namespace actserve {

enum class RequestKind {
  kForward,
  // Forward of a tensor that goes as a stream of chunks.
  kStream,
  // Train steps, by each way to a gradient: Forward with partial derivatives;
  // Forward that keeps a residual, and Backward by its handle; Forward, and
  // Backward with the inputs.
  kPartials,
  kResidual,
  kStateless,
  // RegisterActivation of a text that is new each time.
  kRegister,
  // Malformed calls, one of a list after the other.
  kHostile,
  // The bytes of a Forward to a server that sends them back (echo_server).
  kEcho,
};

// The names of the kinds, such as "forward", in their order.
const std::vector<std::string>& RequestKindNames();
const std::string& RequestKindName(RequestKind kind);
// InvalidArgument  none of the names
absl::StatusOr<RequestKind> ParseRequestKind(const std::string& name);

// One of the shapes that a request may have.
struct WeightedShape {
  std::vector<int64_t> shape;
  double weight = 1;
};

// Sizes drawn from a distribution, as 16 shapes of one dimension of equal
// weight: those at the middle of each sixteenth.
std::vector<WeightedShape> LogNormalShapes(double median, double sigma);
std::vector<WeightedShape> UniformShapes(int64_t from, int64_t to);

// A request of a mix.
struct RequestSpec {
  // In reports and traces; without spaces.
  std::string name;
  double weight = 1;
  RequestKind kind = RequestKind::kForward;
  // A built-in's name, or a file with a text, which is registered first.
  std::string activation = "relu";
  // Or that text itself; empty: none.
  std::string text;
  v1::DType dtype = v1::DTYPE_FLOAT32;
  std::vector<WeightedShape> shapes;
  // The axis along which rows run, for an activation that reads rows; by
  // default the last one.
  std::optional<int> axis;
  std::map<std::string, double> parameters;
  // Of kResidual. Zero: the server's default.
  absl::Duration residual_lease;
  // The code of a good answer.
  std::string expect = "OK";
};

// A mix of requests, and how they reach a server.
struct WorkloadSpec {
  std::string name = "main";
  std::vector<RequestSpec> requests;
  // Empty: that of the command line.
  std::string address;
  std::string token_file;
  std::string tls_ca;
  int connections = 1;
  bool shared_memory = false;
  // With shared_memory: tensors lie in memory of the client.
  bool in_place = false;
  // 1: calls are not sent again.
  int max_attempts = 1;
  // Of a call.
  absl::Duration timeout = absl::Seconds(10);
  // Codes of errors that are no surprise, such as RESOURCE_EXHAUSTED under an
  // overload.
  std::vector<std::string> allow;
  // The share of the answers that are compared with those of this process.
  double verify = 0.01;
};

// "KIND:ACTIVATION:DTYPE:SHAPE[:WEIGHT]", as in
// "residual:gelu:float16:256x768"; what is left out at the end is relu,
// float32, 1024 and 1.
absl::StatusOr<RequestSpec> ParseRequestFlag(const std::string& text);

// "256x768".
absl::StatusOr<std::vector<int64_t>> ParseShape(const std::string& text);

// "float16", ...
absl::StatusOr<v1::DType> ParseRequestDType(const std::string& name);
std::string RequestDTypeName(v1::DType dtype);

// Checks what single fields do not tell: weights that are all 0, tensors beyond
// 2 GiB, streams of tensors that go as one message (`by_unix_socket`: over a
// unix socket).
absl::Status CheckRequest(const RequestSpec& request, bool by_unix_socket);

int64_t NumElementsOf(const std::vector<int64_t>& shape);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_WORKLOAD_REQUEST_SPEC_H_
