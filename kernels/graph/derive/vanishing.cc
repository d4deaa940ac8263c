#include "kernels/graph/derive/vanishing.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace actserve {
namespace {

// A form with more terms becomes an atom.
constexpr size_t kMaxTerms = 64;
// Sums and products of smaller integers are exact.
constexpr double kMaxCoefficient = 0x1p50;

// Squares of squares have such exponents; two of them still add up.
constexpr int kMaxExponent = 1 << 20;

}  // namespace

bool Vanishing::IsZero(NodeId id) {
  SetForms(id);
  Polynomial form = forms_.at(id);
  // A divisor consists of atoms that were there before it.
  for (AtomId atom = static_cast<AtomId>(atoms_.size()) - 1; atom >= 0;
       --atom) {
    if (atoms_[atom].divisor.empty()) continue;
    const auto exponent = [&](const Monomial& monomial) {
      const auto it = monomial.find(atom);
      return it == monomial.end() ? 0 : it->second;
    };
    int lowest = 0;
    for (const auto& [monomial, coefficient] : form) {
      lowest = std::min(lowest, exponent(monomial));
    }
    Polynomial cleared;
    for (const auto& [monomial, coefficient] : form) {
      Monomial rest = monomial;
      rest.erase(atom);
      Polynomial term = {{rest, coefficient}};
      for (int i = lowest; i < exponent(monomial); ++i) {
        term = Product(term, atoms_[atom].divisor);
        if (budget_ < 0) return false;
      }
      cleared = Sum(cleared, term, 1);
    }
    form = std::move(cleared);
  }
  return budget_ >= 0 && form.empty();
}

void Vanishing::SetForms(NodeId id) {
  const auto is_known = [this](NodeId i) { return forms_.contains(i); };
  const std::vector<bool> needed = graph_.NodesFor({id}, is_known);
  for (NodeId i = 0; i <= id; ++i) {
    if (!needed[i] || is_known(i)) continue;
    std::optional<Polynomial> form;
    if (budget_ >= 0) form = Expanded(i);
    const bool fits = form && budget_ >= 0 && form->size() <= kMaxTerms;
    forms_[i] = fits ? *std::move(form) : OfNode(i);
  }
}

std::optional<Vanishing::Polynomial> Vanishing::Expanded(NodeId id) {
  const Node& node = graph_.node(id);
  const auto operand = [&](int i) -> const Polynomial& {
    return forms_.at(node.operands[i]);
  };
  const Polynomial one = {{{}, 1}};
  switch (node.op) {
    case Op::kConstant:
    case Op::kBool: {
      const double value = node.constant;
      if (value == 0) return Polynomial{};
      if (!(std::fabs(value) < 0x1p20) || value != std::trunc(value)) break;
      return Polynomial{{{}, value}};
    }
    case Op::kNeg:
      return Sum({}, operand(0), -1);
    case Op::kAdd:
      return Sum(operand(0), operand(1), 1);
    case Op::kSub:
      return Sum(operand(0), operand(1), -1);
    case Op::kMul:
    case Op::kAnd:
      return Product(operand(0), operand(1));
    case Op::kDiv: {
      const auto inverse = Inverse(operand(1));
      if (!inverse) break;
      return Product(operand(0), *inverse);
    }
    case Op::kNot:
      return Sum(one, operand(0), -1);
    case Op::kOr:
      return Sum(Sum(operand(0), operand(1), 1),
                 Product(operand(0), operand(1)), -1);
    case Op::kSelect:
      return Sum(operand(2),
                 Product(operand(0), Sum(operand(1), operand(2), -1)), 1);
    case Op::kDeclared:
      return operand(0);
    case Op::kRowSum:
      return RowSum(operand(0));
    case Op::kRowSize:
      return RowSum(one);
    default:
      break;
  }
  return std::nullopt;
}

// A condition may be 0, so it cannot divide.
std::optional<Vanishing::Polynomial> Vanishing::Inverse(const Polynomial& a) {
  for (const auto& [monomial, coefficient] : a) {
    for (const auto& [atom, exponent] : monomial) {
      if (atoms_[atom].is_condition) return std::nullopt;
    }
  }
  if (a.empty()) return std::nullopt;
  if (a.size() > 1) return Polynomial{{{{OfDivisor(a), -1}}, 1}};
  const auto& [monomial, coefficient] = *a.begin();
  Monomial inverse;
  for (const auto& [atom, exponent] : monomial) inverse[atom] = -exponent;
  if (std::fabs(coefficient) == 1) return Polynomial{{inverse, coefficient}};
  inverse[OfDivisor({{{}, coefficient}})] = -1;
  return Polynomial{{inverse, 1}};
}

Vanishing::Polynomial Vanishing::RowSum(const Polynomial& a) {
  Polynomial sum;
  for (const auto& [monomial, coefficient] : a) {
    Monomial same, varying;
    for (const auto& factor : monomial) {
      (atoms_[factor.first].varies ? varying : same).insert(factor);
    }
    const Polynomial reduced = {{{{Intern(varying, Atom{}), 1}}, 1}};
    // One term; its factors may cancel.
    for (const auto& term : Product({{same, coefficient}}, reduced)) {
      AddTo(sum, term.first, term.second);
    }
  }
  return sum;
}

Vanishing::Polynomial Vanishing::Product(const Polynomial& a,
                                         const Polynomial& b) {
  Polynomial product;
  for (const auto& [left, left_coefficient] : a) {
    for (const auto& [right, right_coefficient] : b) {
      if (budget_ < 0) return product;
      Monomial both = left;
      for (const auto& [atom, exponent] : right) {
        int& sum = both[atom];
        sum += exponent;
        if (std::abs(sum) > kMaxExponent) budget_ = -1;
        if (atoms_[atom].is_condition) sum = 1;
        if (sum == 0) both.erase(atom);
      }
      AddTo(product, both, left_coefficient * right_coefficient);
    }
  }
  return product;
}

void Vanishing::AddTo(Polynomial& sum, const Monomial& monomial,
                      double coefficient) {
  budget_ -= 1 + static_cast<int64_t>(monomial.size());
  const auto at = sum.try_emplace(monomial, 0).first;
  at->second += coefficient;
  if (std::fabs(at->second) > kMaxCoefficient) budget_ = -1;
  if (at->second == 0) sum.erase(at);
}

Vanishing::Polynomial Vanishing::Sum(const Polynomial& a, const Polynomial& b,
                                     double factor) {
  Polynomial sum;
  for (const auto& [monomial, coefficient] : a) {
    AddTo(sum, monomial, coefficient);
  }
  for (const auto& [monomial, coefficient] : b) {
    AddTo(sum, monomial, factor * coefficient);
  }
  return sum;
}

bool Vanishing::Varies(NodeId id) const {
  const Node& node = graph_.node(id);
  if (node.op == Op::kInput || IsDraw(node.op) || IsByElement(node.op)) {
    return true;
  }
  if (Info(node.op).reads_row) return false;
  return std::any_of(node.operands.begin(), node.operands.end(),
                     [this](NodeId operand) {
                       return operand != kNoNode && Varies(forms_.at(operand));
                     });
}

bool Vanishing::Varies(const Polynomial& a) const {
  for (const auto& [monomial, coefficient] : a) {
    for (const auto& [atom, exponent] : monomial) {
      if (atoms_[atom].varies) return true;
    }
  }
  return false;
}

Vanishing::AtomId Vanishing::Intern(const Key& key, const Atom& atom) {
  const auto [at, is_new] =
      interned_.try_emplace(key, static_cast<AtomId>(atoms_.size()));
  if (is_new) atoms_.push_back(atom);
  return at->second;
}

Vanishing::Polynomial Vanishing::OfNode(NodeId id) {
  const AtomId atom =
      Intern(id, {.varies = Varies(id), .is_condition = graph_.is_bool(id)});
  return {{{{atom, 1}}, 1}};
}

Vanishing::AtomId Vanishing::OfDivisor(const Polynomial& divisor) {
  return Intern(divisor, {.varies = Varies(divisor), .divisor = divisor});
}

}  // namespace actserve
