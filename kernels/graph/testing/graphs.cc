#include "kernels/graph/testing/graphs.h"

#include <gtest/gtest.h>

#include "kernels/graph/build/build.h"
#include "kernels/lang/parser.h"

namespace actserve::testing {

Graph GraphOf(std::string_view text) {
  const LanguageLimits limits;
  Diagnostics diagnostics(text);
  const auto module = Parse(text, {}, limits, diagnostics);
  if (module) {
    auto built = Build(*module, limits, diagnostics);
    if (built) return built->forward;
  }
  ADD_FAILURE() << text << diagnostics.Render();
  Graph empty;
  empty.inputs = {"x"};
  empty.outputs = {{"y", empty.Input(0)}};
  return empty;
}

Graph GraphOfExpression(std::string_view expression) {
  return GraphOf("def f(x):\n    return " + std::string(expression) + "\n");
}

}  // namespace actserve::testing
