#ifndef ACTSERVE_CLIENT_CPP_EXAMPLES_HIDDEN_H_
#define ACTSERVE_CLIENT_CPP_EXAMPLES_HIDDEN_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cpp/client.h"
#include "client/cpp/examples/digits.h"

namespace actserve::examples {

// An activation in a network, computed by a client, which must outlive it. It
// takes the cheapest way to a gradient: partial derivatives come with the value
// if there is nothing to learn, and otherwise the server keeps the inputs. Not
// thread-safe. Errors are those of the client.
class Hidden {
 public:
  // `name`: "spiky", which is registered here; "gelu", a built-in; or "swish",
  // a built-in whose beta is learned for each of `channels`, from 1 on.
  //   InvalidArgument  any other name
  static absl::StatusOr<Hidden> Create(Client& client, std::string_view name,
                                       int channels);

  // y = f(x), of any number of rows.
  absl::Status Evaluate(const Matrix& x, Matrix& y);
  // The same, and keeps what the next Backward() needs.
  absl::Status Forward(const Matrix& x, Matrix& y);
  // dx = dL/dx of the last Forward() by dy = dL/dy, and a step of gradient
  // descent for what is learned. `x` is that of Forward().
  absl::Status Backward(const Matrix& x, const Matrix& dy, float rate,
                        Matrix& dx);

  // One for each channel, or empty.
  const std::vector<float>& beta() const { return beta_; }

 private:
  Hidden(Client& client, std::string activation)
      : client_(&client), activation_(std::move(activation)) {}
  CallOptions Options() const;

  Client* client_;
  std::string activation_;
  std::vector<float> beta_;
  Matrix partial_;
  std::string residual_;
};

}  // namespace actserve::examples

#endif  // ACTSERVE_CLIENT_CPP_EXAMPLES_HIDDEN_H_
