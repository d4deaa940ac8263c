// Registers an activation of one's own and computes it and its gradient:
//   example [ADDRESS]

#include <cstdio>

#include "client/cpp/client.h"

int main(int argc, char** argv) {
  auto client = actserve::Client::Connect(argc > 1 ? argv[1] : "");
  if (!client.ok()) {
    std::fprintf(stderr, "%s\n", client.status().ToString().c_str());
    return 1;
  }

  const auto spiky = (*client)->RegisterActivation(R"(
def spiky(x):
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0
)");
  if (!spiky.ok()) {
    std::fprintf(stderr, "%s\n", spiky.status().ToString().c_str());
    return 1;
  }

  const std::vector<float> x = {0.2f, 0.7f, 1.2f, 1.7f};
  std::vector<float> y(4), dx(4);
  actserve::ForwardCall forward;
  forward.activation = spiky->activation().id();
  forward.inputs = {actserve::View(x)};
  forward.output = actserve::MutableBytes(y);
  forward.partials = {{"x", actserve::MutableBytes(dx)}};  // dy/dx as well
  const auto result = (*client)->ForwardWith(forward);
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    return 1;
  }
  for (int i = 0; i < 4; ++i) {
    std::printf("spiky(%.9g) = %.9g, derivative %g\n", x[i], y[i], dx[i]);
  }
  return 0;
}
