// What an activation keeps. Only activation.cc, which makes it, and lower.cc,
// which derives programs from it, include this.

#ifndef ACTSERVE_KERNELS_ACTIVATION_ACTIVATION_STATE_H_
#define ACTSERVE_KERNELS_ACTIVATION_ACTIVATION_STATE_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "kernels/activation/activation.h"
#include "kernels/graph/build/build.h"
#include "kernels/graph/graph.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/limits.h"

namespace actserve {

struct Activation::State {
  std::string id;
  std::string name;
  std::string doc;
  std::string text;
  bool exact = false;
  LanguageLimits limits;
  std::vector<std::string> rewrites;
  // The graph after building and stabilizing; may hold kDeclared, which
  // differentiation reads.
  Graph source;
  // `source` without kDeclared: what is computed.
  Graph forward;
  // The gradient that the author declared; its inputs are the activation's and
  // then the upstream gradient.
  std::optional<Graph> gradient;
  // `gradient` for the upstream gradient 1; absent if it is not linear.
  std::optional<Graph> unit_gradient;
  // Of both; the parameters that are seeds.
  bool draws = false;
  std::set<int32_t> seeds;

  // The inputs for which tensors that broadcast are given. A parameter among
  // them is an input of all graphs.
  std::set<std::string> broadcasts;

  // nullptr after an error.
  static std::shared_ptr<const Activation> Create(std::string_view text,
                                                  const Options& options,
                                                  Diagnostics& diagnostics);
  void SetGraphs(const BuiltActivation& built);

  // Adds d(y)/d(name) to `graph`, which began as a copy of `source` and reads
  // no rows.
  NodeId Derivative(Graph& graph, std::string_view name) const;
  // Adds the products of `upstream` and the derivatives of y by `wrt`.
  std::vector<NodeId> Gradients(Graph& graph,
                                const std::vector<std::string>& wrt,
                                NodeId upstream) const;
  // The leaf of `graph` for an input or a parameter.
  NodeId Variable(Graph& graph, std::string_view name) const;
  bool IsDeclared(std::string_view name) const;
  // Where a gradient is declared, it is the only one: what it does not cover
  // has none.
  absl::Status CheckDeclared(std::string_view name,
                             std::string_view what) const;
  absl::Status CheckNames(const std::vector<std::string>& names,
                          std::string_view what, bool parameters) const;
  // At least one name, all known; of CheckWithGradient() all with a gradient.
  absl::Status CheckVariables(const std::vector<std::string>& names,
                              std::string_view what) const;
  absl::Status CheckWithGradient(const std::vector<std::string>& names,
                                 std::string_view what) const;
  std::vector<NodeId> AddCompanions(
      Graph& graph, const std::vector<std::string>& names) const;
  bool IsInput(std::string_view name) const {
    return std::find(source.inputs.begin(), source.inputs.end(), name) !=
           source.inputs.end();
  }
  // What the outputs of a graph are: gradients with respect to the variables
  // that they are called by, or the result with its tangent and its partials,
  // which a text may have called variables by, too.
  enum class Outputs : uint8_t { kResults, kGradients };
  // The program of `graph`, which `what` tells from others of the activation.
  absl::StatusOr<LoweredProgram> LowerGraph(const Graph& graph, DType dtype,
                                            LoweredProgram::Rule rule_16_bit,
                                            Outputs outputs,
                                            std::string_view what) const;
  // A copy of the output `name` of `from`, whose inputs begin like those of
  // `graph`, in `graph`.
  static NodeId CopyOutput(const Graph& from, std::string_view name,
                           Graph& graph);
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_ACTIVATION_ACTIVATION_STATE_H_
