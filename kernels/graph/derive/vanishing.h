// Decides whether a value is 0 by algebra alone, as the derivative of softmax
// by its subtracted maximum is.
//
// A value becomes a sum of products of powers of atoms. Atoms are the values
// that are no arithmetic; conditions, 1 or 0, whose square is itself; divisors
// that are sums; and the sums of products over a row, without the factors that
// are the same for the whole row. The value is 0 if nothing is left of the sum
// once it is multiplied by all divisors.

#ifndef ACTSERVE_KERNELS_GRAPH_DERIVE_VANISHING_H_
#define ACTSERVE_KERNELS_GRAPH_DERIVE_VANISHING_H_

#include <cstdint>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "kernels/graph/graph.h"

namespace actserve {

class Vanishing {
 public:
  // `graph` must outlive it, and may grow.
  explicit Vanishing(const Graph& graph) : graph_(graph) {}

  // True if `id`, a real, is 0 in exact arithmetic, for whatever inputs and
  // parameters it is defined. False also where that would take too long to
  // find.
  bool IsZero(NodeId id);

 private:
  using AtomId = int;
  // The exponents other than 0.
  using Monomial = std::map<AtomId, int>;
  // The coefficients other than 0: integers, exact.
  using Polynomial = std::map<Monomial, double>;
  // A node; a product to be summed over the row; a divisor.
  using Key = std::variant<NodeId, Monomial, Polynomial>;
  struct Atom {
    bool varies = false;  // along the row
    bool is_condition = false;
    Polynomial divisor = {};  // empty if it is none
  };

  // Sets the forms of the nodes that `id` needs.
  void SetForms(NodeId id);
  // nullopt: `id` must be an atom.
  std::optional<Polynomial> Expanded(NodeId id);
  std::optional<Polynomial> Inverse(const Polynomial& a);
  Polynomial RowSum(const Polynomial& a);
  Polynomial Product(const Polynomial& a, const Polynomial& b);
  void AddTo(Polynomial& sum, const Monomial& monomial, double coefficient);
  Polynomial Sum(const Polynomial& a, const Polynomial& b, double factor);

  bool Varies(NodeId id) const;
  bool Varies(const Polynomial& a) const;
  AtomId Intern(const Key& key, const Atom& atom);
  Polynomial OfNode(NodeId id);
  AtomId OfDivisor(const Polynomial& divisor);

  const Graph& graph_;
  std::vector<Atom> atoms_;
  std::map<Key, AtomId> interned_;
  std::map<NodeId, Polynomial> forms_;
  // Where it ends, everything is an atom.
  int64_t budget_ = 100'000;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_DERIVE_VANISHING_H_
