#ifndef ACTSERVE_KERNELS_ACTIVATION_ACTIVATION_H_
#define ACTSERVE_KERNELS_ACTIVATION_ACTIVATION_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/base/dtype.h"
#include "kernels/graph/graph.h"
#include "kernels/graph/lowered_program.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/limits.h"

namespace actserve {

// An activation: its text, its identity, its graph and its gradient.
//
// Immutable once made, so any thread may use it.
class Activation {
 public:
  struct Options {
    LanguageLimits limits = {};
    // Keep the formula as written: no rewrites for numerical safety.
    bool exact = false;
    // A second text whose one function is the derivative (one tensor input),
    // used instead of the derived one. Empty: none.
    std::string derivative = {};
    // Numbers for names that the text does not define.
    std::map<std::string, double> constants = {};
  };

  // Compiles `text` up to its graph and gradient graphs; runs no compiler.
  // On error returns InvalidArgument whose message is diagnostics.Render();
  // the same, structured, are in `diagnostics` (errors, warnings and notes;
  // filled on success too). `diagnostics` may be null.
  static absl::StatusOr<std::shared_ptr<const Activation>> Create(
      std::string_view text, const Options& options,
      std::vector<Diagnostic>* diagnostics);

  // "sha256:" and 64 hex digits over the canonical tree; equal for texts that
  // differ only in names of locals, comments and spelling.
  const std::string& id() const;
  const std::string& name() const;  // of the `def`
  const std::string& doc() const;   // its docstring, "" if none
  const std::string& text() const;
  bool exact() const;
  // Tensor inputs and parameters, in the order of the text.
  const std::vector<std::string>& inputs() const;
  const std::vector<Parameter>& parameters() const;
  // One output, named "y".
  const Graph& forward() const;
  // True if the author wrote the gradient.
  bool has_declared_gradient() const;
  // True if a value depends on the whole row of its element, along an axis that
  // each request names.
  bool reads_rows() const;
  // True if the value or the declared gradient has a random number: a result
  // depends on the element's place in its tensor.
  bool draws() const;
  // True if the parameter is the seed of one, which takes only an integer from
  // 0 to 2^53.
  bool IsSeed(size_t parameter) const;
  static bool IsSeedValue(double value);
  // False for a parameter that the declared gradient leaves out: LowerBackward
  // refuses it.
  bool HasGradient(std::string_view name) const;
  // The rewrites for numerical safety, one line each: "1/(1+exp(-x)) ->
  // sigmoid(x)".
  const std::vector<std::string>& rewrites() const;

  // This activation for calls that give tensors which broadcast for some inputs
  // and parameters (kernels/graph/broadcast.h). A parameter among them counts
  // as an input, after the others. In its programs these tensors, and
  // cotangents and tangents of them, come last among the inputs; gradients with
  // respect to them have `like`. InvalidArgument: an unknown or repeated name,
  // or all inputs.
  absl::StatusOr<std::shared_ptr<const Activation>> WithBroadcasts(
      const std::vector<std::string>& names) const;

  // Outputs: y, then d(y)/d(name) for each name in `partials`. InvalidArgument:
  // a partial that is not an input, or any where rows are read.
  absl::StatusOr<LoweredProgram> LowerForward(
      DType dtype, const std::vector<std::string>& partials) const;

  // The vector-Jacobian product: tensor inputs are the activation's, then the
  // upstream gradient, "dL/dy"; one output per name of `wrt`, summed for
  // parameters. InvalidArgument: an unknown or repeated name, or none; a
  // parameter that the declared gradient leaves out.
  absl::StatusOr<LoweredProgram> LowerBackward(
      DType dtype, const std::vector<std::string>& wrt) const;

  // The vector-Jacobian product of LowerBackward(dtype, of): tensor inputs are
  // the activation's, dL/dy, then a cotangent for each input in `of`, in its
  // order; parameters are the activation's, then a cotangent for each parameter
  // in `of`. One output per name of `wrt`, summed for parameters, and then, if
  // `wrt_upstream`, the gradient with respect to dL/dy, which is called so. A
  // declared gradient is differentiated as it is written.
  // InvalidArgument: as LowerBackward(), for both lists.
  absl::StatusOr<LoweredProgram> LowerSecondOrder(
      DType dtype, const std::vector<std::string>& of,
      const std::vector<std::string>& wrt, bool wrt_upstream) const;

  // The Jacobian-vector product: tensor inputs are the activation's, then a
  // tangent for each input in `along`, in its order; parameters are the
  // activation's, then a tangent for each parameter in `along`. Outputs: y and
  // its tangent. InvalidArgument: an unknown or repeated name, or none; a
  // declared gradient that is not linear in the upstream gradient, or reads
  // rows, or leaves out a name.
  absl::StatusOr<LoweredProgram> LowerTangent(
      DType dtype, const std::vector<std::string>& along) const;

  // The graph of LowerBackward(float64) for one name with the upstream
  // gradient 1, as text that Parse() accepts. Longer than `max_bytes` it is
  // cut, as PrintGraph() does.
  absl::StatusOr<std::string> GradientText(
      std::string_view wrt, size_t max_bytes = std::string::npos) const;
  // The forward graph as straight-line text, one operation a line; cut
  // likewise.
  std::string CanonicalText(size_t max_bytes = std::string::npos) const;

  // About the memory that the activation keeps.
  int64_t size_bytes() const;

 private:
  struct State;
  explicit Activation(std::unique_ptr<State> state);

 public:
  ~Activation();

 private:
  std::unique_ptr<const State> state_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_ACTIVATION_ACTIVATION_H_
