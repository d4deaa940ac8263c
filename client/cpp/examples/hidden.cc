#include "client/cpp/examples/hidden.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace actserve::examples {
namespace {

constexpr char kSpiky[] = R"(
def spiky(x):
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0
)";

TensorView ViewOf(const Matrix& matrix) {
  return View(matrix.elements, {matrix.rows, matrix.columns});
}

// Gives `matrix` the shape of `like`. Its memory is used again.
void Reshape(const Matrix& like, Matrix& matrix) {
  matrix.rows = like.rows;
  matrix.columns = like.columns;
  matrix.elements.resize(like.elements.size());
}

}  // namespace

absl::StatusOr<Hidden> Hidden::Create(Client& client, std::string_view name,
                                      int channels) {
  if (name == "gelu") return Hidden(client, "gelu");
  if (name == "swish") {
    Hidden hidden(client, "swish");
    hidden.beta_.assign(channels, 1);
    return hidden;
  }
  if (name == "spiky") {
    const auto spiky = client.RegisterActivation(kSpiky);
    if (!spiky.ok()) return spiky.status();
    return Hidden(client, spiky->activation().id());
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "activation ", std::string(name), ", must be spiky, gelu or swish"));
}

CallOptions Hidden::Options() const {
  CallOptions options;
  if (!beta_.empty()) {
    options.parameter_tensors = {{"beta", {.tensor = View(beta_), .axis = -1}}};
  }
  return options;
}

absl::Status Hidden::Evaluate(const Matrix& x, Matrix& y) {
  Reshape(x, y);
  return client_->Forward(activation_, {ViewOf(x)}, MutableBytes(y.elements),
                          Options());
}

absl::Status Hidden::Forward(const Matrix& x, Matrix& y) {
  Reshape(x, y);
  ForwardCall call;
  call.activation = activation_;
  call.inputs = {ViewOf(x)};
  call.output = MutableBytes(y.elements);
  call.options = Options();
  if (beta_.empty()) {
    Reshape(x, partial_);
    call.partials = {{"x", MutableBytes(partial_.elements)}};
  } else {
    call.keep_residual = true;
  }
  const auto result = client_->ForwardWith(call);
  if (!result.ok()) return result.status();
  residual_ = result->residual ? result->residual->handle() : "";
  return absl::OkStatus();
}

absl::Status Hidden::Backward(const Matrix& x, const Matrix& dy, float rate,
                              Matrix& dx) {
  Reshape(x, dx);
  if (beta_.empty()) {
    for (size_t i = 0; i < dx.elements.size(); ++i) {
      dx.elements[i] = dy.elements[i] * partial_.elements[i];
    }
    return absl::OkStatus();
  }
  std::vector<float> dbeta(beta_.size());
  BackwardCall call;
  call.activation = activation_;
  call.residual = residual_;
  call.inputs = {ViewOf(x)};  // sent only if the server has lost the residual
  call.grad_output = ViewOf(dy);
  call.wrt = {{"x", MutableBytes(dx.elements)}, {"beta", MutableBytes(dbeta)}};
  call.options = Options();
  const auto result = client_->Backward(call);
  if (!result.ok()) return result.status();
  for (size_t c = 0; c < beta_.size(); ++c) beta_[c] -= rate * dbeta[c];
  return absl::OkStatus();
}

}  // namespace actserve::examples
