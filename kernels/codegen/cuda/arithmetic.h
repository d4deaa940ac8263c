#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_ARITHMETIC_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_ARITHMETIC_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "kernels/base/dtype.h"
#include "kernels/graph/graph.h"

namespace actserve {

// Prints graphs without row ops as lines of C++: node i is constant `v<i>`.
class ArithmeticPrinter {
 public:
  explicit ArithmeticPrinter(DType compute)
      : is_double_(compute == DType::kFloat64) {}

  // The nodes that an output of `graph` needs. `input` names the number of an
  // input; parameters are in the array `parameters`, DrawWords() of the first
  // element in `draws`, and the element's distance from it is `element`.
  std::string Print(const Graph& graph,
                    absl::FunctionRef<std::string(int)> input);

  // A random number of `graph` as an expression, likewise. `program` is the
  // graph whose DrawWords() are in `draws`.
  std::string PrintDraw(const Graph& program, const Graph& graph, NodeId id);

  // The functions of kernels/math that the printed lines call.
  const std::vector<std::string>& symbols() const { return symbols_; }

 private:
  std::string Constant(double value) const;
  std::string Builtin(const char* name, const std::string& x) const;
  std::string Expression(const Graph& graph, const Node& node,
                         absl::FunctionRef<std::string(int)> input);
  std::string Draw(const Graph& program, const Graph& graph,
                   const Node& node) const;
  std::string Symbol(Op op) const;

  const bool is_double_;
  std::vector<std::string> symbols_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_ARITHMETIC_H_
