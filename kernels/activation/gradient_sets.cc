#include "kernels/activation/gradient_sets.h"

#include <bit>
#include <initializer_list>

namespace actserve {
namespace {

// The weight of a program does not depend on its type.
constexpr DType kAnyType = DType::kFloat32;

// The first of `larger` that contains `wanted`, which is itself if it has a
// program of its own or no other program will do.
uint64_t Cover(uint64_t wanted, std::initializer_list<uint64_t> larger) {
  if (std::popcount(wanted) <= 1) return wanted;
  for (uint64_t set : larger) {
    if ((wanted & ~set) == 0) return set;
  }
  return wanted;
}

void AddSingles(uint64_t set, std::vector<uint64_t>* sets) {
  for (; set != 0; set &= set - 1) sets->push_back(set & -set);
}

void AddLarger(uint64_t set, std::vector<uint64_t>* sets) {
  if (std::popcount(set) > 1 && sets->back() != set) sets->push_back(set);
}

}  // namespace

GradientSets::GradientSets(const Activation& activation) {
  const size_t num_inputs = activation.inputs().size();
  for (size_t i = 0; i < num_inputs; ++i) inputs_ |= uint64_t{1} << i;
  singles_ = inputs_;
  for (size_t i = 0; i < activation.parameters().size(); ++i) {
    if (!activation.HasGradient(activation.parameters()[i].name)) continue;
    singles_ |= uint64_t{1} << (num_inputs + i);
  }
  single_partials_ = partials_ = inputs_;
  all_ = singles_;
  const auto names = [&](uint64_t set) { return NamesOf(activation, set); };
  if (!activation.LowerForward(kAnyType, names(partials_)).ok()) partials_ = 0;
  if (!activation.LowerBackward(kAnyType, names(inputs_)).ok()) inputs_ = 0;
  if (!activation.LowerBackward(kAnyType, names(all_)).ok()) all_ = 0;
}

uint64_t GradientSets::ForForward(uint64_t wanted) const {
  return Cover(wanted, {partials_});
}

uint64_t GradientSets::ForBackward(uint64_t wanted) const {
  return Cover(wanted, {inputs_, all_});
}

std::vector<uint64_t> GradientSets::forward() const {
  std::vector<uint64_t> sets = {0};
  AddSingles(single_partials_, &sets);
  AddLarger(partials_, &sets);
  return sets;
}

std::vector<uint64_t> GradientSets::backward() const {
  std::vector<uint64_t> sets;
  AddSingles(singles_, &sets);
  AddLarger(inputs_, &sets);
  AddLarger(all_, &sets);
  return sets;
}

std::vector<std::string> NamesOf(const Activation& activation, uint64_t set) {
  std::vector<std::string> names;
  const auto& inputs = activation.inputs();
  const auto& parameters = activation.parameters();
  for (size_t i = 0; i < inputs.size() + parameters.size(); ++i) {
    if ((set >> i & 1) == 0) continue;
    names.push_back(i < inputs.size() ? inputs[i]
                                      : parameters[i - inputs.size()].name);
  }
  return names;
}

}  // namespace actserve
