// The functions of the core language, to which every synonym leads.

#ifndef ACTSERVE_KERNELS_LANG_VOCABULARY_H_
#define ACTSERVE_KERNELS_LANG_VOCABULARY_H_

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace actserve {

// The arguments that a function takes.
struct FunctionSignature {
  std::string name;
  std::vector<std::string> arguments;
  // One for each argument; nullopt: it must be given.
  std::vector<std::optional<double>> defaults;
  // The arguments whose default is a truth value, 1 or 0 in `defaults`.
  std::set<std::string, std::less<>> flags;
};

// The primitive called `name`: an op of the graph that users can call, or
// one of the others of ast.h. nullptr if there is none.
const FunctionSignature* FindPrimitive(std::string_view name);

// The signature of a built-in activation, read from its text; nullptr if there
// is none. Where a primitive has the same name, both mean the same function.
const FunctionSignature* FindCatalogSignature(std::string_view name);

// The value of pi, e, inf, nan or tau.
std::optional<double> FindConstant(std::string_view name);

// Every name that the three above know.
const std::vector<std::string>& CoreNames();

// Returns what Python returns for `a op b` on floats, where `op` is one of
// + - * / // % **. Where Python raises, IEEE 754 decides. The bits are those of
// the same expression in a float64 program. Returns nullopt for an unknown
// operator.
std::optional<double> EvaluateBinary(std::string_view op, double a, double b);

// Returns the value of a primitive on as many numbers as it takes, with the
// bits of the same call in a float64 program. Returns nullopt if constant
// expressions may not call it.
std::optional<double> EvaluatePrimitive(std::string_view name,
                                        const std::vector<double>& arguments);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_VOCABULARY_H_
