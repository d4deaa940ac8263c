// A client of actserve: activations and their gradients, computed remotely.
//
//   auto client = actserve::Client::Connect("127.0.0.1:50051");
//   std::vector<float> x = ..., y(x.size());
//   absl::Status status = (*client)->Forward(
//       "gelu", {actserve::View(x)}, actserve::MutableBytes(y));
//
// Tensors are sent from the caller's memory and received into it; only gRPC
// copies them. Every call blocks. The caller's memory must stay unchanged until
// the call returns, and no longer. An output may lie over inputs.
//
// Large calls go as streams of chunks by themselves; client/README.md tells
// which.
//
// Errors are the server's: its code, its message, and the details that
// error_details.h reads. In addition, any call may return:
//   InvalidArgument    the arguments do not fit together; nothing was sent
//   DeadlineExceeded   `timeout` passed, retries included
//   Cancelled          by CallOptions::cancellation
//   ResourceExhausted  the server is full, retries included; or the request is
//                      beyond 2 GiB and cannot be a stream of chunks
//   Unavailable        no server answered, retries included; where gRPC or a
//                      proxy lost the call, also Internal, Unknown or Cancelled
//   Internal           the reply makes no sense: a defect of the server

#ifndef ACTSERVE_CLIENT_CPP_CLIENT_H_
#define ACTSERVE_CLIENT_CPP_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "actserve/v1/service.pb.h"
#include "client/cpp/cancellation.h"
#include "client/cpp/connect/security.h"
#include "client/cpp/error_details.h"
#include "client/cpp/retry.h"
#include "grpcpp/support/slice.h"
#include "proto/all_inputs_name.h"
#include "proto/grad_output_name.h"

namespace actserve {

// A tensor in the caller's memory: row-major, little-endian, any alignment.
struct TensorView {
  v1::DType dtype = v1::DTYPE_UNSPECIFIED;
  // Empty: a scalar, one element.
  std::vector<int64_t> shape;
  absl::Span<const std::byte> bytes;
};

// Views of typed memory; without `shape`, one dimension.
TensorView View(absl::Span<const float> elements);
TensorView View(absl::Span<const float> elements, std::vector<int64_t> shape);
TensorView View(absl::Span<const double> elements);
TensorView View(absl::Span<const double> elements, std::vector<int64_t> shape);

// The memory of `elements`, to receive a tensor.
template <typename T>
absl::Span<std::byte> MutableBytes(std::vector<T>& elements) {
  return {reinterpret_cast<std::byte*>(elements.data()),
          elements.size() * sizeof(T)};
}

// What belongs to one input or parameter.
struct NamedValue {
  std::string name;
  // For an input, and a parameter that is a tensor: of its dtype and shape.
  std::optional<TensorView> tensor;
  // For a parameter that is a number.
  double scalar = 0;
};

// One value of a parameter for each channel, or for each element of some axes
// of the inputs.
struct ParameterTensor {
  // dtype: that of the inputs. shape: their sizes along `axis` and the axes
  // that follow it.
  TensorView tensor;
  // The axis of the inputs on which its first dimension lies: 0 is the first
  // one, -1 the last.
  int axis = 0;
};

// Options of one call.
struct CallOptions {
  // Parameters that differ from their default.
  std::map<std::string, double> parameters;
  // Parameters that are no single number; none of `parameters`.
  std::map<std::string, ParameterTensor> parameter_tensors;
  // The axis along which rows run: 0 is the first one, -1 the last. For an
  // activation that reads rows, and for no other; the server answers
  // InvalidArgument if it is missing, superfluous, or not one of the inputs'.
  std::optional<int> axis;
  // For an activation of two or more inputs, such as a gate: `inputs` is one
  // tensor, and its equal parts along this axis are the inputs. kAllInputsName
  // then stands for all of them where an input is named, and what belongs to it
  // is as large as that tensor. `axis`, `element_offset` and the axes of
  // parameters are counted in a part.
  std::optional<int> split_axis;
  // The place of the first element in the tensor that the inputs are a piece
  // of: random numbers are then those of the whole.
  int64_t element_offset = 0;
  // DTYPE_BFLOAT16 or DTYPE_FLOAT16: the tensors of the call, which must be
  // float32, are sent and received in that type, half the bytes. Each element
  // is rounded to nearest on its way to the server, which computes as for
  // tensors of that type: a result is off by what a relative error of 2^-8
  // (bfloat16) or 2^-11 (float16) of each input makes of it, and by as much of
  // its own. Of float16, elements beyond 65504 become infinite, and those below
  // 2^-14 are off by up to 2^-25. Takes half of the tensors' memory while it
  // runs. Not with `keep_residual` or `residual`. DTYPE_UNSPECIFIED: tensors go
  // as they are.
  v1::DType wire_dtype = v1::DTYPE_UNSPECIFIED;
  // For tensors in memory of a GPU (Client::ShareDevice()), and no others: the
  // CUDA stream
  // that makes them, a cudaStream_t or CUstream of the GPU's default context.
  // The call begins when the work that is on it is done, or fails at its time
  // limit. Its results are there when it returns, for every stream. Null is the
  // default stream. Absent: the tensors are there already, and nothing uses the
  // outputs.
  std::optional<void*> device_stream;
  // Time limit of the call, retries included. Zero: the client's default.
  absl::Duration timeout = absl::ZeroDuration();
  // Cancels the call from another thread. Null: none.
  Cancellation* cancellation = nullptr;
  // The caller's place in a distributed trace, as W3C Trace Context writes it:
  // "00-<trace>-<span>-01". The server's spans then belong to it. Empty: none.
  std::string traceparent;
  std::string tracestate;
};

// A Forward with all of its options.
struct ForwardCall {
  // A built-in's name, or an id.
  std::string activation;
  // In the order of the activation's arguments; of one dtype. Their shapes
  // broadcast to that of the result by NumPy's rule, and one of them has it.
  std::vector<TensorView> inputs;
  // Receives y: as many bytes as the largest input; with split_axis, as a part.
  absl::Span<std::byte> output;
  struct Partial {
    std::string input;
    // Receives d(y)/d(input): as many bytes as an input.
    absl::Span<std::byte> output;
  };
  // None of an activation that reads rows.
  std::vector<Partial> partials;
  // Forward mode: the directions in which inputs and parameters move; empty:
  // none. With neither partials nor a residual.
  std::vector<NamedValue> tangents;
  // With `tangents`, receives that of y: as many bytes as `output`.
  absl::Span<std::byte> tangent;
  // True to keep the inputs on the server, for one Backward by handle.
  bool keep_residual = false;
  // How long to keep them. Zero: the server's default.
  absl::Duration residual_lease = absl::ZeroDuration();
  CallOptions options;
};

// The response to a Forward, without its tensors.
struct ForwardResult {
  // With keep_residual, unless the server had no room: then Backward takes
  // the inputs.
  std::optional<v1::Residual> residual;
  // The id, also where the call gave a name.
  std::string activation_id;
  // Equal ids, equal bits.
  std::string program_id;
  std::string device;
  v1::Timings timings;
};

// A Backward with all of its options.
struct BackwardCall {
  // A built-in's name, or an id.
  std::string activation;
  // From ForwardResult; empty: none. If given, the client tries it first, and
  // sends `inputs` and `options.parameters` only if the server has lost it. It
  // knows its axes and offset: those of `options` are for the inputs, and must
  // be the same. So it is with options.parameter_tensors.
  std::string residual;
  std::vector<TensorView> inputs;
  // dL/dy, like the result. Absent: ones.
  std::optional<TensorView> grad_output;
  struct Gradient {
    // An input or a parameter; with order 2 also kGradOutputName.
    std::string name;
    // Receives the gradient of an input, of grad_output, or of one of
    // options.parameter_tensors: as many bytes as that. Empty for a parameter
    // that is a number, whose gradient is in BackwardResult.
    absl::Span<std::byte> output;
  };
  // At least one.
  std::vector<Gradient> wrt;
  // 1: the gradient. 2: the gradient of the sum of `cotangents` times the
  // gradients of order 1.
  int order = 1;
  // Order 2: at least one, for the gradients that the loss contains.
  std::vector<NamedValue> cotangents;
  CallOptions options;
};

// The response to a Backward, without its tensors.
struct BackwardResult {
  // Gradients of parameters, by name: sums over all elements.
  std::map<std::string, double> parameter_gradients;
  // The same as in ForwardResult.
  std::string activation_id;
  std::string program_id;
  std::string device;
  v1::Timings timings;
};

// What computes the calls of Client::Local().
struct LocalOptions {
  // "cpu"; or a GPU of this machine, "cuda:N"; or "auto", which is the first
  // GPU if there is one.
  std::string device = "cpu";
  // Threads that share one large tensor on the CPU; 0: all.
  int num_threads = 0;
  // Directory of compiled programs, for the next process; empty: that which a
  // server uses; "none": none.
  std::string cache_directory = "";
  // Time limit of a call that sets none: work that has not started by then
  // never starts.
  absl::Duration timeout = absl::Seconds(60);
};

class InProcess;

// The health of one of several replicas.
struct ReplicaHealth {
  // As the client was given it, or "ipv4:ADDRESS:PORT" of a name.
  std::string address;
  // OK: it takes requests. Unavailable: it does not answer, or says that it is
  // not serving.
  absl::Status status;
  // True if it answered, whatever it said.
  bool answered = true;
};

// A response of the contract, as bytes.
struct EncodedReply {
  // Every field but the payloads.
  std::string header;
  // In the memory that the caller gave for them, or in `memory`.
  std::vector<absl::Span<const std::byte>> payloads;
  std::shared_ptr<const void> memory;
};

// Connections to a server, or to several replicas that share the calls.
// Thread-safe. Reconnects by itself, and sends a call again where that can
// help: client/README.md has the rules.
class Client {
 public:
  static constexpr int kMaxChannels = 64;
  struct Options {
    // Time limit of a call that sets none.
    absl::Duration timeout = absl::Seconds(60);
    // How often a call is sent to each replica at most, the first time
    // included, and how often an activation is registered again for it.
    int max_attempts = kMaxAttempts;
    // Connections to each server, 1 to kMaxChannels: a call goes over that with
    // the fewest calls. More than one helps where many threads send large
    // tensors over a network that one connection does not fill.
    int channels = 1;
    // TLS and a token.
    Security security = {};
    // True to share memory with the server, if `address` is one unix socket and
    // the server takes part: tensors are then copied in and out once, and not
    // at all where Allocate() made their memory.
    bool shared_memory = true;
    // Limit on the bytes that are shared; tensors beyond it are sent.
    size_t max_shared_memory_bytes = size_t{4} << 30;
  };

  // `address` is "host:port", "unix:PATH" or another target that CheckAddress()
  // of client/cpp/connect/address.h accepts, or several of them, separated by
  // commas; "dns:///host:port" stands for every address behind the name. Empty:
  // DefaultAddress() of proto/default_address.h. Does not wait for the server:
  // the first call does.
  // A proxy of the environment is not used for addresses of this machine.
  //   InvalidArgument     the address is not one, an option is out of its
  //   range,
  //                       or a file of `security` cannot be read
  //   FailedPrecondition  a token would go over the network in plain text
  //   Unavailable         `address` is empty, and there is no default
  static absl::StatusOr<std::unique_ptr<Client>> Connect(
      std::string_view address, const Options& options);
  static absl::StatusOr<std::unique_ptr<Client>> Connect(
      std::string_view address = "");

  // No server: calls are computed by this process, as a server would compute
  // them, and with the same bits. Tensors are read and written where the caller
  // has them. The address is "local". Programs that use it link client/local.
  //   InvalidArgument     an option is out of its range
  //   FailedPrecondition  the cache directory is not usable
  // and what the device's maker returns.
  static absl::StatusOr<std::unique_ptr<Client>> Local(
      const LocalOptions& options);
  static absl::StatusOr<std::unique_ptr<Client>> Local();
  // Each call goes the way that is the shorter one for its size: computed by
  // this process, or by the server at `address`. One measurement by the first
  // call with tensors, which it delays by some 0.3 s, decides. Where the server
  // does not answer, retries included, this process computes. Programs that use
  // it link client/local. Errors are those of Connect() and Local().
  static absl::StatusOr<std::unique_ptr<Client>> Auto(
      std::string_view address, const Options& options,
      const LocalOptions& local_options);
  // For client/local: calls are answered by `in_process`.
  static std::unique_ptr<Client> Over(std::unique_ptr<InProcess> in_process,
                                      const Options& options);
  ~Client();

  // Memory for tensors that the calls of this client use in place, if it shares
  // memory with its server; otherwise, or if the limit is reached, it is like
  // any other. Aligned to 64 bytes, with undefined contents; may outlive the
  // client. Null: the system has no such memory. A call that uses it in place
  // returns when the server is done with it, or gone, even if its time limit
  // has passed before: a server answers within that limit, unless it computes
  // just then, or was stopped.
  std::shared_ptr<std::byte[]> Allocate(size_t size_bytes);

  // Shares the allocation (cudaMalloc, cuMemAlloc; PyTorch's by default) on a
  // GPU that `pointer` lies in with a server that computes on this GPU, or lets
  // Local() with this device use it, of whatever kind it is. Inputs,
  // grad_output, outputs, partials and gradients that lie in it are then used
  // there by the server's kernels, and nothing of them is copied: all of a
  // call's tensors, or none; not with split_axis, nor what broadcasts. Their
  // bytes are spans of addresses of the GPU. Such a call has no other way to
  // the server: what the server cannot do is an error, and the tensors are to
  // be copied to host memory then. The allocation must not be freed before
  // ForgetDevice(), and calls that use it must be over by then. Quick where
  // that was done before; so it may be called before each call, and then also
  // finds out that an allocation was freed, and another one is in its place.
  //   Unimplemented       there is no CUDA driver here
  //   InvalidArgument     `pointer` is no memory of a GPU, or was freed, or the
  //                       server cannot open it: its container shares no IPC
  //                       namespace
  //   FailedPrecondition  memory that cannot be shared, a server on another GPU
  //                       or on none, or one that takes no device memory; or
  //                       this client shares no memory with its server
  //   ResourceExhausted   too many allocations
  //   Unavailable         there is no control socket, or nobody answers on it
  absl::Status ShareDevice(const void* pointer);
  // The server no longer uses it; no effect if it was not shared. Null: all.
  void ForgetDevice(const void* pointer);

  // The address as it was given, or the default.
  const std::string& address() const;

  // y = f(inputs), and of ForwardWith() the Jacobian-vector product with
  // `tangents`. `output` receives y: as many bytes as an input.
  //   NotFound  neither the server nor this client knows the activation
  absl::Status Forward(std::string_view activation,
                       absl::Span<const TensorView> inputs,
                       absl::Span<std::byte> output,
                       const CallOptions& options = {});
  absl::StatusOr<ForwardResult> ForwardWith(const ForwardCall& call);

  // The vector-Jacobian product, and with order 2 that of it.
  //   NotFound  as above; or the residual is lost and `inputs` is empty
  absl::StatusOr<BackwardResult> Backward(const BackwardCall& call);

  // Registers a text with the server, and keeps it: a server that forgets the
  // activation is sent the text again.
  //   InvalidArgument  the text has errors: see ErrorDiagnostics()
  absl::StatusOr<v1::RegisterActivationResponse> RegisterActivation(
      std::string_view text);
  absl::StatusOr<v1::RegisterActivationResponse> RegisterActivation(
      const v1::RegisterActivationRequest& request);

  // Everything that the server knows of an activation, gradients included.
  //   NotFound  no such activation
  absl::StatusOr<v1::Activation> GetActivation(std::string_view activation);
  // The built-ins, then what was registered with this server, page by page:
  // without gradients, program and gradient check, and without text unless
  // `with_texts`.
  struct ListOptions {
    bool with_texts = false;
  };
  absl::StatusOr<std::vector<v1::Activation>> ListActivations(
      const ListOptions& options);
  absl::StatusOr<std::vector<v1::Activation>> ListActivations();
  // Returns how many of `handles` the server still held. Sends as many calls as
  // they need.
  absl::StatusOr<int> ReleaseResiduals(absl::Span<const std::string> handles);
  absl::StatusOr<v1::ServerInfo> GetServerInfo();
  // A call of the contract, `method` "Forward", for bindings of other
  // languages: its request is the concatenation of `parts`. Payloads of the
  // response are written to `outputs` if there are as many and their sizes are
  // equal. Does not register an activation again. `place`, unless null, is the
  // replica to ask first, 0 for any, and becomes that which answered last, with
  // a reply or an error.
  absl::StatusOr<EncodedReply> CallEncoded(
      std::string_view method,
      absl::Span<const absl::Span<const std::byte>> parts,
      absl::Span<const absl::Span<std::byte>> outputs,
      const CallOptions& options = {}, uint64_t* place = nullptr);
  // The same, of a call of which nothing is wanted but `outputs`: all payloads
  // of the response.
  //   Internal  the response has others
  absl::Status CallInto(std::string_view method,
                        absl::Span<const absl::Span<const std::byte>> parts,
                        absl::Span<const absl::Span<std::byte>> outputs,
                        const CallOptions& options = {},
                        uint64_t* place = nullptr);
  // For client/local: the same, and the response as it came.
  absl::StatusOr<std::vector<grpc::Slice>> CallUnread(
      std::string_view method,
      absl::Span<const absl::Span<const std::byte>> parts,
      absl::Span<const absl::Span<std::byte>> outputs,
      const CallOptions& options);
  // OK if the server takes requests: of several replicas, if one does. Asks
  // each only once.
  //   Unavailable  it does not answer, or says that it is not serving
  absl::Status Health();
  // Asks each replica only once; the client's timeout bounds each answer, or
  // `timeout`, unless it is zero, all of them. A name that is not resolved
  // counts as one that does not answer.
  //   Unavailable  no name is resolved, and no address is given
  absl::StatusOr<std::vector<ReplicaHealth>> HealthOfReplicas(
      absl::Duration timeout = absl::ZeroDuration());

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_CLIENT_H_
