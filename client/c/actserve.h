/* actserve in C: activations and their gradients, computed in this process or
 * by a server.
 *
 *   actserve_client* client = NULL;
 *   actserve_status* status = actserve_connect("local", NULL, &client);
 *   actserve_tensor x = {data, ACTSERVE_FLOAT32, 2, shape}, y = ...;
 *   if (!status) status = actserve_forward(client, "gelu", &x, 1, &y, NULL);
 *   if (status) fputs(actserve_status_message(status), stderr);
 *   actserve_status_free(status);
 *   actserve_close(client);
 *
 * Every function is thread-safe, and calls on one client may run at once.
 * Functions that can fail return a status: NULL is success; any other is the
 * caller's to free. What a failed call would have written is undefined.
 *
 * The caller keeps every tensor, array and string that it passes, and may free
 * or change it when the call returns. Computed "local", tensors are read and
 * written where they lie, and nothing is copied.
 *
 * The library exports nothing but these functions. Those that it has keep their
 * meaning; a struct grows only at its end, and has a `size` for that.
 */
#ifndef ACTSERVE_CLIENT_C_ACTSERVE_H_
#define ACTSERVE_CLIENT_C_ACTSERVE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ACTSERVE_API __attribute__((visibility("default")))

/* "0.1.0". */
ACTSERVE_API const char* actserve_version(void);

/* Errors. */

typedef struct actserve_status actserve_status;

/* The code is one of gRPC's: 3 INVALID_ARGUMENT, 5 NOT_FOUND, and so on; 0 for
 * NULL. Strings live as long as the status. */
ACTSERVE_API int actserve_status_code(const actserve_status* status);
ACTSERVE_API const char* actserve_status_message(const actserve_status* status);
/* What a program can act on: "ACTIVATION_UNKNOWN", "RESIDUAL_GONE"; or "". */
ACTSERVE_API const char* actserve_status_reason(const actserve_status* status);

/* A remark on a text. */
typedef struct actserve_diagnostic {
  /* "error", "warning" or "note". */
  const char* severity;
  const char* message;
  /* From 1. */
  int32_t line;
  int32_t column;
} actserve_diagnostic;

/* Those of a text with errors; 0 of any other status. */
ACTSERVE_API size_t
actserve_status_num_diagnostics(const actserve_status* status);
ACTSERVE_API actserve_diagnostic
actserve_status_diagnostic(const actserve_status* status, size_t index);
/* NULL does nothing. */
ACTSERVE_API void actserve_status_free(actserve_status* status);

/* Clients. */

typedef struct actserve_client actserve_client;

typedef struct actserve_client_options {
  size_t size; /* sizeof(actserve_client_options) */
  /* Time limit of a call; 0: 60. */
  double timeout_seconds;
  /* Of "local": "cpu", "cuda:N" or "auto"; NULL: "cpu". */
  const char* device;
  /* Of "local" on the CPU: threads that share one large tensor; 0: all. */
  int32_t num_threads;
  /* Of "local": directory of compiled programs; NULL: that which a server
   * uses; "none": none. */
  const char* cache_directory;
  /* The rest is of servers. */
  /* How often a call is sent to each server at most; 0: 7. */
  int32_t max_attempts;
  /* TLS and a token, as docs/security.md explains them; NULL: none, or the
   * variable of the environment. Files are named by their paths. */
  const char* tls_ca;
  const char* client_cert;
  const char* client_key;
  const char* tls_server_name;
  const char* token;
  const char* token_file;
  /* 1: a token may go to another machine in plain text. */
  int32_t insecure;
} actserve_client_options;

/* `address` is "local", or that of a server: "host:port", "unix:PATH", or those
 * of several, separated by commas. "auto:" and such an address: each call goes
 * the way that is the shorter one for its size, here or there, as the first one
 * measures. Does not wait for a server. `options` may be NULL. */
ACTSERVE_API actserve_status* actserve_connect(
    const char* address, const actserve_client_options* options,
    actserve_client** client);
/* No call may be running. NULL does nothing. */
ACTSERVE_API void actserve_close(actserve_client* client);
/* Ends the calls that are running, and all later ones, with CANCELLED. */
ACTSERVE_API void actserve_cancel(actserve_client* client);
/* `serving` becomes 1 if a server takes calls, and 0 if those that answer do
 * not, as while they drain; "local": 1. Asks each server once. UNAVAILABLE:
 * none answers. timeout_seconds 0: the client's. */
ACTSERVE_API actserve_status* actserve_health(actserve_client* client,
                                              double timeout_seconds,
                                              int32_t* serving);

/* Memory for tensors. Where the client shares memory with its server, calls use
 * it in place; otherwise it is like any other. */

typedef struct actserve_memory actserve_memory;

/* `size` bytes, aligned to 64, with undefined contents. May outlive the client.
 * NULL: the system has none. */
ACTSERVE_API actserve_memory* actserve_allocate(actserve_client* client,
                                                size_t size);
ACTSERVE_API void* actserve_memory_data(const actserve_memory* memory);
/* No call may be using it. NULL does nothing. */
ACTSERVE_API void actserve_memory_free(actserve_memory* memory);

/* Memory of a GPU. */

/* Shares the allocation (of cudaMalloc, cuMemAlloc) on a GPU that `pointer`
 * lies in with the client's server, which must be on this host and compute on
 * this GPU; or lets "local" with this device use it, of whatever kind it is.
 * Tensors that lie in it are then read and written there by kernels: all
 * inputs, gradients of outputs and results of a call, or none. Parameters,
 * inputs that broadcast and their gradients lie in memory of the host. Such a
 * call has no other way to the server. Quick where that was done before: call
 * it for every such tensor before each call, so that an allocation that was
 * freed is found out. Errors, after which tensors can be copied to memory of
 * the host, at best to that of actserve_allocate():
 *
 *   UNIMPLEMENTED        there is no CUDA driver here
 *   INVALID_ARGUMENT     it is no memory of a GPU, or was freed, or the server
 *                        cannot open it
 *   FAILED_PRECONDITION  it cannot be shared, or not with this server, or the
 *                        client computes elsewhere
 *   RESOURCE_EXHAUSTED   too many allocations
 *   UNAVAILABLE          nobody answers at the server's socket for this */
ACTSERVE_API actserve_status* actserve_share_device(actserve_client* client,
                                                    const void* pointer);
/* The server no longer uses it. Call it before the allocation is freed, while
 * no call uses it. NULL: of all allocations. */
ACTSERVE_API void actserve_forget_device(actserve_client* client,
                                         const void* pointer);

/* Activations. */

typedef struct actserve_activation actserve_activation;

/* Registers a text, and compiles nothing yet. INVALID_ARGUMENT with diagnostics
 * if it has errors. */
ACTSERVE_API actserve_status* actserve_register(
    actserve_client* client, const char* text,
    actserve_activation** activation);
/* What is known of a built-in's name, or an id. */
ACTSERVE_API actserve_status* actserve_describe(
    actserve_client* client, const char* name,
    actserve_activation** activation);
/* Strings live as long as the activation. The id is what calls take. */
ACTSERVE_API const char* actserve_activation_id(
    const actserve_activation* activation);
ACTSERVE_API const char* actserve_activation_name(
    const actserve_activation* activation);
ACTSERVE_API size_t
actserve_activation_num_inputs(const actserve_activation* activation);
ACTSERVE_API const char* actserve_activation_input(
    const actserve_activation* activation, size_t index);
ACTSERVE_API size_t
actserve_activation_num_parameters(const actserve_activation* activation);
ACTSERVE_API const char* actserve_activation_parameter(
    const actserve_activation* activation, size_t index);
ACTSERVE_API double actserve_activation_default(
    const actserve_activation* activation, size_t index);
/* 1 if calls need an axis, otherwise 0. */
ACTSERVE_API int actserve_activation_reads_rows(
    const actserve_activation* activation);
/* Warnings and notes of its registration. */
ACTSERVE_API size_t
actserve_activation_num_diagnostics(const actserve_activation* activation);
ACTSERVE_API actserve_diagnostic actserve_activation_diagnostic(
    const actserve_activation* activation, size_t index);
/* NULL does nothing. */
ACTSERVE_API void actserve_activation_free(actserve_activation* activation);

/* Calls. */

typedef enum actserve_dtype {
  ACTSERVE_FLOAT16 = 1,
  ACTSERVE_BFLOAT16 = 2,
  ACTSERVE_FLOAT32 = 3,
  ACTSERVE_FLOAT64 = 4
} actserve_dtype;

/* Row-major, little-endian, any alignment. rank 0: one element. `data` is an
 * address of this process, or of a GPU: see actserve_share_device(). */
typedef struct actserve_tensor {
  void* data;
  int32_t dtype;
  int32_t rank;
  const int64_t* shape;
} actserve_tensor;

/* A parameter that differs from its default. */
typedef struct actserve_parameter {
  const char* name;
  double value;
  /* Not NULL: one value for each channel, instead of `value`; its first
   * dimension lies on `axis` of the inputs. */
  const actserve_tensor* tensor;
  int32_t axis;
} actserve_parameter;

/* What belongs to an input or a parameter: a tensor of the inputs' shape, or if
 * that is NULL, a number. */
typedef struct actserve_value {
  const char* name;
  const actserve_tensor* tensor;
  double number;
} actserve_value;

typedef struct actserve_call_options {
  size_t size; /* sizeof(actserve_call_options) */
  const actserve_parameter* parameters;
  size_t num_parameters;
  /* For an activation that reads rows: has_axis 1, and the axis along which
   * they run; -1 is the last. */
  int32_t has_axis;
  int32_t axis;
  /* The place of the first element in the tensor that the inputs are a piece
   * of, for random numbers. */
  int64_t element_offset;
  /* 0: the client's. */
  double timeout_seconds;
  /* has_split_axis 1: one input holds all of them, which are its equal parts
   * along split_axis; "*" then names all inputs. */
  int32_t has_split_axis;
  int32_t split_axis;
  /* The caller's place in a distributed trace, as W3C Trace Context writes it;
   * NULL: none. */
  const char* traceparent;
  const char* tracestate;
  /* has_device_stream 1: the tensors are in memory of a GPU, and
   * `device_stream` is the CUDA stream that makes them, a cudaStream_t of the
   * GPU's default context; NULL is its default stream. The call begins when the
   * work on it is done, and its results are there, for every stream, when it
   * returns. 0: the tensors are there already, and nothing uses the results. */
  int32_t has_device_stream;
  void* device_stream;
} actserve_call_options;

/* y = f(inputs). `output` receives y: of the dtype of the inputs, and of the
 * shape that they broadcast to. `options` may be NULL. */
ACTSERVE_API actserve_status* actserve_forward(
    actserve_client* client, const char* activation,
    const actserve_tensor* inputs, size_t num_inputs,
    const actserve_tensor* output, const actserve_call_options* options);

/* Forward mode: also the directional derivative of y, to `tangent`, where
 * inputs and parameters move along `tangents`. */
ACTSERVE_API actserve_status* actserve_jvp(
    actserve_client* client, const char* activation,
    const actserve_tensor* inputs, size_t num_inputs,
    const actserve_value* tangents, size_t num_tangents,
    const actserve_tensor* output, const actserve_tensor* tangent,
    const actserve_call_options* options);

/* The inputs of a Forward, kept for one Backward. */
typedef struct actserve_residual actserve_residual;

/* How long they were kept from their Forward on, at most. */
ACTSERVE_API double actserve_residual_lease_seconds(
    const actserve_residual* residual);
/* Does not ask the server to forget them. NULL does nothing. */
ACTSERVE_API void actserve_residual_free(actserve_residual* residual);
/* Asks the servers to forget them; `num_released`, unless NULL, becomes the
 * number of those that were still held. */
ACTSERVE_API actserve_status* actserve_release(
    actserve_client* client, const actserve_residual* const* residuals,
    size_t num_residuals, size_t* num_released);

/* A partial derivative that is asked for. */
typedef struct actserve_partial {
  /* An input. */
  const char* name;
  /* Receives d(y)/d(input): like that input. */
  const actserve_tensor* tensor;
} actserve_partial;

typedef struct actserve_forward_call {
  size_t size; /* sizeof(actserve_forward_call) */
  const actserve_tensor* inputs;
  size_t num_inputs;
  /* Receives y. */
  const actserve_tensor* output;
  const actserve_partial* partials;
  size_t num_partials;
  /* Forward mode, with neither partials nor a residual: `tangent` receives that
   * of y. */
  const actserve_value* tangents;
  size_t num_tangents;
  const actserve_tensor* tangent;
  /* Not NULL: keep the inputs. It receives the caller's residual; NULL if there
   * was no room, and Backward takes the inputs. */
  actserve_residual** residual;
  /* How long; 0: the server's default. */
  double residual_lease_seconds;
} actserve_forward_call;

/* A forward with all that it can bring. `options` may be NULL. */
ACTSERVE_API actserve_status* actserve_forward_with(
    actserve_client* client, const char* activation,
    const actserve_forward_call* call, const actserve_call_options* options);

/* A gradient that is asked for. */
typedef struct actserve_gradient {
  /* An input or a parameter; of order 2 also "dL/dy". */
  const char* name;
  /* Receives that of a tensor; NULL for a parameter that is a number. */
  const actserve_tensor* tensor;
  /* Receives that of a number: the sum over all elements. */
  double number;
} actserve_gradient;

typedef struct actserve_backward_call {
  size_t size; /* sizeof(actserve_backward_call) */
  const actserve_tensor* inputs;
  size_t num_inputs;
  /* dL/dy; NULL: ones. */
  const actserve_tensor* grad_output;
  actserve_gradient* gradients;
  size_t num_gradients;
  /* Order 2: the gradient of the sum of `cotangents` times the gradients of
   * order 1. None: order 1. */
  const actserve_value* cotangents;
  size_t num_cotangents;
  /* Not NULL: what is tried first. If the server has lost it, the inputs are
   * sent; without inputs that is NOT_FOUND, reason "RESIDUAL_GONE". */
  const actserve_residual* residual;
} actserve_backward_call;

/* The vector-Jacobian product, or that of it. `options` may be NULL. */
ACTSERVE_API actserve_status* actserve_backward(
    actserve_client* client, const char* activation,
    const actserve_backward_call* call, const actserve_call_options* options);

/* Bindings of other languages. */

typedef struct actserve_bytes {
  void* data;
  size_t size;
} actserve_bytes;

typedef struct actserve_reply actserve_reply;

/* A call of actserve.v1.ActivationService, as protobuf encodes it. */
typedef struct actserve_encoded_call {
  size_t size; /* sizeof(actserve_encoded_call) */
  /* "Forward". */
  const char* method;
  /* The request is their concatenation. */
  const actserve_bytes* parts;
  size_t num_parts;
  /* Payloads of the response are written there if there are as many and their
   * sizes are equal. */
  const actserve_bytes* outputs;
  size_t num_outputs;
  /* 0: the client's. */
  double timeout_seconds;
  /* As in actserve_call_options. */
  const char* traceparent;
  const char* tracestate;
  /* Of several servers, the number of that which is asked first; 0: any. It
   * becomes that of the one that answered last, with a response or an error. */
  uint64_t place;
  /* As in actserve_call_options. */
  int32_t has_device_stream;
  void* device_stream;
} actserve_encoded_call;

/* Makes the call. Does not register an activation again that a server has
 * forgotten. `reply` may be NULL where only `outputs` are wanted; a response
 * that does not fit there is then INTERNAL. */
ACTSERVE_API actserve_status* actserve_call(actserve_client* client,
                                            actserve_encoded_call* call,
                                            actserve_reply** reply);
/* Every field of the response but its payloads, encoded. Like the payloads it
 * lives as long as the reply. */
ACTSERVE_API actserve_bytes actserve_reply_header(const actserve_reply* reply);
ACTSERVE_API size_t actserve_reply_num_payloads(const actserve_reply* reply);
/* The output itself, if it was written there. */
ACTSERVE_API actserve_bytes actserve_reply_payload(const actserve_reply* reply,
                                                   size_t index);
/* NULL does nothing. */
ACTSERVE_API void actserve_reply_free(actserve_reply* reply);

#ifdef __cplusplus
}
#endif

#endif /* ACTSERVE_CLIENT_C_ACTSERVE_H_ */
