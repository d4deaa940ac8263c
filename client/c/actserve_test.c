/* The functions of actserve.h, called as a C program calls them. */

#include "client/c/actserve.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static int num_failures = 0;

#define EXPECT(condition)                                             \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      ++num_failures;                                                 \
    }                                                                 \
  } while (0)

/* Success, or says what went wrong. */
#define EXPECT_OK(call)                                                \
  do {                                                                 \
    actserve_status* status_ = (call);                                 \
    if (status_ != NULL) {                                             \
      fprintf(stderr, "%s:%d: %s: %d %s\n", __FILE__, __LINE__, #call, \
              actserve_status_code(status_),                           \
              actserve_status_message(status_));                       \
      ++num_failures;                                                  \
      actserve_status_free(status_);                                   \
    }                                                                  \
  } while (0)

/* The code of a call that fails, with `part` in its message. */
static int Fails(actserve_status* status, int code, const char* part) {
  const int fails = actserve_status_code(status) == code &&
                    strstr(actserve_status_message(status), part) != NULL;
  if (!fails) {
    fprintf(stderr, "got %d %s\n", actserve_status_code(status),
            actserve_status_message(status));
  }
  actserve_status_free(status);
  return fails;
}

enum {
  kCancelled = 1,
  kInvalidArgument = 3,
  kNotFound = 5,
  kFailedPrecondition = 9,
  kInternal = 13,
  kUnavailable = 14
};

static const int64_t kShape[] = {2, 3};

static actserve_tensor TensorOf(float* data) {
  const actserve_tensor tensor = {data, ACTSERVE_FLOAT32, 2, kShape};
  return tensor;
}

static void TestForward(actserve_client* client) {
  float x[6] = {-2, -1, 0, 0.5, 1, 3};
  float y[6];
  const actserve_tensor input = TensorOf(x);
  const actserve_tensor output = TensorOf(y);
  EXPECT_OK(actserve_forward(client, "silu", &input, 1, &output, NULL));
  for (int i = 0; i < 6; ++i) {
    EXPECT(fabs(y[i] - x[i] / (1 + exp(-x[i]))) < 1e-6);
  }
}

static void TestAText(actserve_client* client) {
  actserve_activation* swish = NULL;
  EXPECT_OK(actserve_register(client,
                              "def swish_b(x, beta=1.0):\n"
                              "    return x / (1 + exp(-beta * x))\n",
                              &swish));
  EXPECT(strncmp(actserve_activation_id(swish), "sha256:", 7) == 0);
  EXPECT(strcmp(actserve_activation_name(swish), "swish_b") == 0);
  EXPECT(actserve_activation_num_inputs(swish) == 1);
  EXPECT(strcmp(actserve_activation_input(swish, 0), "x") == 0);
  EXPECT(actserve_activation_num_parameters(swish) == 1);
  EXPECT(strcmp(actserve_activation_parameter(swish, 0), "beta") == 0);
  EXPECT(actserve_activation_default(swish, 0) == 1.0);
  EXPECT(actserve_activation_reads_rows(swish) == 0);

  /* One beta for each column; the gradients of all. */
  float x[6] = {-2, -1, 0, 0.5, 1, 3};
  float dy[6] = {1, 2, 3, 4, 5, 6};
  float beta[3] = {1, 2, 0.5};
  float dx[6];
  float dbeta[3];
  const int64_t columns[] = {3};
  const actserve_tensor beta_tensor = {beta, ACTSERVE_FLOAT32, 1, columns};
  const actserve_tensor dbeta_tensor = {dbeta, ACTSERVE_FLOAT32, 1, columns};
  const actserve_parameter parameter = {"beta", 0, &beta_tensor, -1};
  const actserve_tensor input = TensorOf(x);
  const actserve_tensor upstream = TensorOf(dy);
  const actserve_tensor dx_tensor = TensorOf(dx);
  actserve_gradient gradients[] = {{"x", &dx_tensor, 0},
                                   {"beta", &dbeta_tensor, 0}};
  actserve_backward_call call = {0};
  call.size = sizeof(call);
  call.inputs = &input;
  call.num_inputs = 1;
  call.grad_output = &upstream;
  call.gradients = gradients;
  call.num_gradients = 2;
  actserve_call_options options = {0};
  options.size = sizeof(options);
  options.parameters = &parameter;
  options.num_parameters = 1;
  EXPECT_OK(actserve_backward(client, actserve_activation_id(swish), &call,
                              &options));
  double want_dbeta[3] = {0, 0, 0};
  for (int i = 0; i < 6; ++i) {
    const double s = 1 / (1 + exp(-beta[i % 3] * (double)x[i]));
    const double slope = s * (1 + beta[i % 3] * x[i] * (1 - s));
    EXPECT(fabs(dx[i] - dy[i] * slope) < 1e-5);
    want_dbeta[i % 3] += dy[i] * x[i] * x[i] * s * (1 - s);
  }
  for (int c = 0; c < 3; ++c) EXPECT(fabs(dbeta[c] - want_dbeta[c]) < 1e-5);

  /* As a number, beta has a number for its gradient. */
  gradients[1].tensor = NULL;
  EXPECT_OK(
      actserve_backward(client, actserve_activation_id(swish), &call, NULL));
  double want = 0;
  for (int i = 0; i < 6; ++i) {
    const double s = 1 / (1 + exp(-(double)x[i]));
    want += dy[i] * x[i] * x[i] * s * (1 - s);
  }
  EXPECT(fabs(gradients[1].number - want) < 1e-5);
  actserve_activation_free(swish);
}

/* d/dx (u * dy * cos(x)) = -u * dy * sin(x), and d/d(dy) of it is u * cos(x);
 * the tangent of sin is v * cos(x). */
static void TestHigherOrder(actserve_client* client) {
  actserve_activation* sine = NULL;
  EXPECT_OK(
      actserve_register(client, "def sine_of(x):\n    return sin(x)\n", &sine));
  const char* const id = actserve_activation_id(sine);
  float x[6] = {-2, -1, 0, 0.5, 1, 3};
  float dy[6] = {1, 2, 3, 4, 5, 6};
  float u[6] = {6, 5, 4, 3, 2, 1};
  float dx[6];
  float ddy[6];
  float y[6];
  const actserve_tensor input = TensorOf(x);
  const actserve_tensor upstream = TensorOf(dy);
  const actserve_tensor u_tensor = TensorOf(u);
  const actserve_tensor dx_tensor = TensorOf(dx);
  const actserve_tensor ddy_tensor = TensorOf(ddy);
  const actserve_tensor y_tensor = TensorOf(y);
  const actserve_value cotangent = {"x", &u_tensor, 0};
  actserve_gradient gradients[] = {{"x", &dx_tensor, 0},
                                   {"dL/dy", &ddy_tensor, 0}};
  actserve_backward_call call = {0};
  call.size = sizeof(call);
  call.inputs = &input;
  call.num_inputs = 1;
  call.grad_output = &upstream;
  call.gradients = gradients;
  call.num_gradients = 2;
  call.cotangents = &cotangent;
  call.num_cotangents = 1;
  EXPECT_OK(actserve_backward(client, id, &call, NULL));
  for (int i = 0; i < 6; ++i) {
    EXPECT(fabs(dx[i] + u[i] * dy[i] * sin(x[i])) < 1e-5);
    EXPECT(fabs(ddy[i] - u[i] * cos(x[i])) < 1e-5);
  }

  EXPECT_OK(actserve_jvp(client, id, &input, 1, &cotangent, 1, &y_tensor,
                         &dx_tensor, NULL));
  for (int i = 0; i < 6; ++i) {
    EXPECT(fabs(y[i] - sin(x[i])) < 1e-6);
    EXPECT(fabs(dx[i] - u[i] * cos(x[i])) < 1e-5);
  }
  actserve_activation_free(sine);
}

static void TestRows(actserve_client* client) {
  float x[6] = {-2, -1, 0, 0.5, 1, 3};
  float y[6];
  const actserve_tensor input = TensorOf(x);
  const actserve_tensor output = TensorOf(y);
  actserve_call_options options = {0};
  options.size = sizeof(options);
  EXPECT(Fails(actserve_forward(client, "softmax", &input, 1, &output, NULL),
               kInvalidArgument, "axis"));
  options.has_axis = 1;
  options.axis = -1;
  EXPECT_OK(actserve_forward(client, "softmax", &input, 1, &output, &options));
  EXPECT(fabs(y[0] + y[1] + y[2] - 1) < 1e-6);
  EXPECT(fabs(y[2] / y[1] - exp(1)) < 1e-5);
}

/* ForwardRequest: field 1 is the activation, 2 an input of dtype 1 and shape 2,
 * 15 a payload. */
static void TestEncodedCalls(actserve_client* client) {
  float x[2] = {1, -1};
  float y[2] = {7, 7};
  const char head[] = {0x0a, 4, 'r',  'e', 'l', 'u',  0x12, 5,
                       0x08, 3, 0x12, 1,   2,   0x7a, 8};
  const actserve_bytes parts[] = {{(void*)head, sizeof(head)}, {x, sizeof(x)}};
  const actserve_bytes output = {y, sizeof(y)};
  actserve_encoded_call call = {0};
  call.size = sizeof(call);
  call.method = "Forward";
  call.parts = parts;
  call.num_parts = 2;
  call.outputs = &output;
  call.num_outputs = 1;
  actserve_reply* reply = NULL;
  EXPECT_OK(actserve_call(client, &call, &reply));
  EXPECT(actserve_reply_header(reply).size > 0);
  EXPECT(actserve_reply_num_payloads(reply) == 1);
  EXPECT(actserve_reply_payload(reply, 0).data == (void*)y);
  EXPECT(y[0] == 1 && y[1] == 0);
  actserve_reply_free(reply);

  /* The outputs alone, without a reply. */
  y[0] = y[1] = 7;
  EXPECT_OK(actserve_call(client, &call, NULL));
  EXPECT(y[0] == 1 && y[1] == 0);

  reply = NULL;
  y[0] = y[1] = 7;
  call.outputs = NULL;
  call.num_outputs = 0;
  EXPECT(Fails(actserve_call(client, &call, NULL), kInternal, "1 payloads"));
  EXPECT_OK(actserve_call(client, &call, &reply));
  EXPECT(((float*)actserve_reply_payload(reply, 0).data)[0] == 1);
  EXPECT(y[0] == 7);
  actserve_reply_free(reply);
  call.num_parts = 1;
  EXPECT(
      Fails(actserve_call(client, &call, &reply), kInvalidArgument, "payload"));
  call.method = "Fly";
  EXPECT(Fails(actserve_call(client, &call, &reply), 12, "Fly"));
  call.method = NULL;
  EXPECT(
      Fails(actserve_call(client, &call, &reply), kInvalidArgument, "method"));
}

static actserve_tensor VectorOf(float* data, const int64_t* size) {
  const actserve_tensor tensor = {data, ACTSERVE_FLOAT32, 1, size};
  return tensor;
}

/* glu(a, b) = a * sigmoid(b), of the halves of one tensor. */
static void TestSplitAxis(actserve_client* client) {
  float x[4] = {1, -2, 0, 3};
  float y[2];
  float dx[4];
  const int64_t whole[] = {4};
  const int64_t half[] = {2};
  const actserve_tensor input = VectorOf(x, whole);
  const actserve_tensor output = VectorOf(y, half);
  const actserve_tensor dx_tensor = VectorOf(dx, whole);
  actserve_call_options options = {0};
  options.size = sizeof(options);
  options.has_split_axis = 1;
  options.split_axis = -1;
  EXPECT_OK(actserve_forward(client, "glu", &input, 1, &output, &options));
  actserve_gradient gradient = {"*", &dx_tensor, 0};
  actserve_backward_call call = {0};
  call.size = sizeof(call);
  call.inputs = &input;
  call.num_inputs = 1;
  call.gradients = &gradient;
  call.num_gradients = 1;
  EXPECT_OK(actserve_backward(client, "glu", &call, &options));
  for (int i = 0; i < 2; ++i) {
    const double s = 1 / (1 + exp(-x[i + 2]));
    EXPECT(fabs(y[i] - x[i] * s) < 1e-6);
    EXPECT(fabs(dx[i] - s) < 1e-6);
    EXPECT(fabs(dx[i + 2] - x[i] * s * (1 - s)) < 1e-6);
  }
}

static void TestResidualsAndPartials(actserve_client* client) {
  float x[6] = {-2, -1, 0, 0.5, 1, 3};
  float y[6];
  float partial[6];
  float dx[6];
  const actserve_tensor input = TensorOf(x);
  const actserve_tensor output = TensorOf(y);
  const actserve_tensor partial_tensor = TensorOf(partial);
  const actserve_tensor dx_tensor = TensorOf(dx);
  const actserve_partial wanted = {"x", &partial_tensor};
  actserve_residual* residual = NULL;
  actserve_forward_call forward = {0};
  forward.size = sizeof(forward);
  forward.inputs = &input;
  forward.num_inputs = 1;
  forward.output = &output;
  forward.partials = &wanted;
  forward.num_partials = 1;
  forward.residual = &residual;
  forward.residual_lease_seconds = 20;
  EXPECT_OK(actserve_forward_with(client, "tanh", &forward, NULL));
  EXPECT(residual != NULL);
  EXPECT(actserve_residual_lease_seconds(residual) == 20);

  actserve_gradient gradient = {"x", &dx_tensor, 0};
  actserve_backward_call backward = {0};
  backward.size = sizeof(backward);
  backward.gradients = &gradient;
  backward.num_gradients = 1;
  backward.residual = residual;
  EXPECT_OK(actserve_backward(client, "tanh", &backward, NULL));
  for (int i = 0; i < 6; ++i) {
    const double slope = 1 - tanh(x[i]) * tanh(x[i]);
    EXPECT(fabs(y[i] - tanh(x[i])) < 1e-6);
    EXPECT(fabs(partial[i] - slope) < 1e-6);
    EXPECT(fabs(dx[i] - slope) < 1e-6);
  }

  const actserve_residual* const held[] = {residual};
  size_t num_released = 7;
  EXPECT_OK(actserve_release(client, held, 1, &num_released));
  EXPECT(num_released == 1);
  actserve_status* status = actserve_backward(client, "tanh", &backward, NULL);
  EXPECT(strcmp(actserve_status_reason(status), "RESIDUAL_GONE") == 0);
  EXPECT(Fails(status, kNotFound, ""));
  backward.inputs = &input;
  backward.num_inputs = 1;
  EXPECT_OK(actserve_backward(client, "tanh", &backward, NULL));
  actserve_residual_free(residual);
  EXPECT(Fails(actserve_release(client, NULL, 1, NULL), kInvalidArgument,
               "residuals is NULL"));
}

static void TestServers(void) {
  actserve_client_options options = {0};
  options.size = sizeof(options);
  options.max_attempts = 1;
  actserve_client* client = NULL;
  EXPECT_OK(actserve_connect("unix:/nowhere/a.sock,unix:/nowhere/b.sock",
                             &options, &client));
  int32_t serving = 7;
  EXPECT(Fails(actserve_health(client, 5, &serving), kUnavailable, ""));
  EXPECT(serving == 0);
  actserve_cancel(client);
  float x[6] = {0};
  const actserve_tensor input = TensorOf(x);
  EXPECT(Fails(actserve_forward(client, "relu", &input, 1, &input, NULL),
               kCancelled, ""));
  actserve_close(client);

  client = NULL;
  options.token = "secret";
  EXPECT(Fails(actserve_connect("example.com:1", &options, &client), 9,
               "plain text"));
  options.max_attempts = -3;
  options.token = NULL;
  EXPECT(Fails(actserve_connect("localhost:1", &options, &client),
               kInvalidArgument, "max_attempts -3"));
  EXPECT(client == NULL);
}

static void TestMemory(actserve_client* client) {
  actserve_memory* memory = actserve_allocate(client, 24);
  const actserve_tensor tensor = TensorOf(actserve_memory_data(memory));
  for (int i = 0; i < 6; ++i) ((float*)tensor.data)[i] = (float)(i - 3);
  EXPECT_OK(actserve_forward(client, "relu", &tensor, 1, &tensor, NULL));
  EXPECT(((float*)tensor.data)[0] == 0);
  EXPECT(((float*)tensor.data)[5] == 2);
  actserve_memory_free(memory);
  /* More than there is; the sanitizers end a program that asks for it. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT(actserve_allocate(client, (size_t)1 << 60) == NULL);
  EXPECT(actserve_allocate(client, (size_t)-1) == NULL);
#endif
}

/* What has nothing to do with a GPU; client/python/tests/gpu has the rest. */
static void TestDeviceMemory(actserve_client* client) {
  float x[6] = {1, 2, 3, 4, 5, 6};
  const actserve_tensor tensor = TensorOf(x);
  EXPECT(Fails(actserve_share_device(client, x), kFailedPrecondition,
               "copy the tensors to memory of the host"));
  actserve_forget_device(client, x);
  actserve_forget_device(client, NULL);
  actserve_call_options options = {0};
  options.size = sizeof(options);
  options.has_device_stream = 1;
  EXPECT(Fails(actserve_forward(client, "relu", &tensor, 1, &tensor, &options),
               kInvalidArgument, "a CUDA stream is named"));
  /* A caller of the version before has no stream. */
  options.size = offsetof(actserve_call_options, has_device_stream);
  EXPECT_OK(actserve_forward(client, "relu", &tensor, 1, &tensor, &options));
}

static void TestBadInput(actserve_client* client) {
  float x[6] = {0};
  actserve_tensor input = TensorOf(x);
  const actserve_tensor output = TensorOf(x);
  actserve_activation* none = NULL;
  actserve_status* status =
      actserve_register(client, "def f(x):\n    return x + \n", &none);
  EXPECT(actserve_status_code(status) == kInvalidArgument);
  EXPECT(actserve_status_num_diagnostics(status) >= 1);
  const actserve_diagnostic first = actserve_status_diagnostic(status, 0);
  EXPECT(first.line == 2);
  EXPECT(strcmp(first.severity, "error") == 0);
  EXPECT(first.message[0] != '\0');
  EXPECT(none == NULL);
  actserve_status_free(status);

  status = actserve_forward(client, "no_such", &input, 1, &output, NULL);
  EXPECT(strcmp(actserve_status_reason(status), "ACTIVATION_UNKNOWN") == 0);
  EXPECT(Fails(status, kNotFound, "no_such"));
  input.dtype = 9;
  EXPECT(Fails(actserve_forward(client, "relu", &input, 1, &output, NULL),
               kInvalidArgument, "dtype 9"));
  input = TensorOf(NULL);
  EXPECT(Fails(actserve_forward(client, "relu", &input, 1, &output, NULL),
               kInvalidArgument, "24 bytes"));
  EXPECT(Fails(actserve_forward(client, "relu", NULL, 1, &output, NULL),
               kInvalidArgument, "inputs is NULL"));
  EXPECT(Fails(actserve_forward(client, NULL, &output, 1, &output, NULL),
               kInvalidArgument, "activation is NULL"));
  actserve_call_options options = {0};
  EXPECT(Fails(actserve_forward(client, "relu", &output, 1, &output, &options),
               kInvalidArgument, "size 0"));
  actserve_client* never = NULL;
  EXPECT(Fails(actserve_connect(NULL, NULL, &never), kInvalidArgument,
               "address is NULL"));
  EXPECT(Fails(actserve_connect("nonsense", NULL, &never), kInvalidArgument,
               "nonsense"));
  EXPECT(never == NULL);
}

int main(void) {
  actserve_client_options options = {0};
  options.size = sizeof(options);
  options.cache_directory = "none";
  actserve_client* client = NULL;
  EXPECT_OK(actserve_connect("local", &options, &client));
  if (client == NULL) return 1;
  EXPECT(actserve_version()[0] >= '0');
  TestForward(client);
  TestAText(client);
  TestHigherOrder(client);
  TestRows(client);
  TestEncodedCalls(client);
  TestSplitAxis(client);
  TestMemory(client);
  TestDeviceMemory(client);
  TestResidualsAndPartials(client);
  TestServers();
  int32_t serving = 0;
  EXPECT_OK(actserve_health(client, 0, &serving));
  EXPECT(serving == 1);
  TestBadInput(client);
  actserve_close(client);
  actserve_close(NULL);
  return num_failures == 0 ? 0 : 1;
}
