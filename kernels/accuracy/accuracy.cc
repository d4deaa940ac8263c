#include "kernels/accuracy/accuracy.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"
#include "kernels/graph/interpret.h"
#include "kernels/graph/reference/real_ops.h"
#include "kernels/math/half.h"
#include "kernels/math/reference/real.h"

namespace actserve {
namespace {

using testing::Real;

// The format of a `dtype`; values are held exactly, as doubles.
struct Format {
  DType dtype;
  int mantissa_bits;  // without the hidden one
  int min_exponent;   // of the smallest normal number
  double max_finite;
};

Format FormatOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
      return {dtype, 10, -14, 65504};
    case DType::kBFloat16:
      return {dtype, 7, -126, 0x1.fep127};
    case DType::kFloat32:
      return {dtype, 23, -126, std::numeric_limits<float>::max()};
    case DType::kFloat64:
      break;
  }
  return {DType::kFloat64, 52, -1022, std::numeric_limits<double>::max()};
}

double FromBits(DType dtype, uint64_t bits) {
  switch (dtype) {
    case DType::kFloat16:
      return actserve_f16_bits_to_f32(static_cast<unsigned short>(bits));
    case DType::kBFloat16:
      return actserve_bf16_bits_to_f32(static_cast<unsigned short>(bits));
    case DType::kFloat32:
      return std::bit_cast<float>(static_cast<uint32_t>(bits));
    case DType::kFloat64:
      break;
  }
  return std::bit_cast<double>(bits);
}

// `value` is a number of `dtype`.
uint64_t ToBits(DType dtype, double value) {
  switch (dtype) {
    case DType::kFloat16:
      return actserve_f64_to_f16_bits(value);
    case DType::kBFloat16:
      return actserve_f64_to_bf16_bits(value);
    case DType::kFloat32:
      return std::bit_cast<uint32_t>(static_cast<float>(value));
    case DType::kFloat64:
      break;
  }
  return std::bit_cast<uint64_t>(value);
}

// The unit in the last place of numbers of the size of `value`.
double Ulp(const Format& format, double value) {
  int exponent = format.min_exponent;
  if (value != 0) {
    exponent = std::max(exponent, std::ilogb(value));
  }
  return std::ldexp(1.0, exponent - format.mantissa_bits);
}

// The next number of the format away from (`away`) or towards zero. Beyond
// the largest finite one it is the power of two that would follow.
Real Neighbour(const Format& format, double value, bool away) {
  const double magnitude = std::fabs(value);
  if (magnitude == format.max_finite && away) {
    return Real(magnitude) + Real(Ulp(format, magnitude));
  }
  const uint64_t bits = ToBits(format.dtype, magnitude);
  return FromBits(format.dtype, away ? bits + 1 : bits - 1);
}

bool IsMisrounded(const Format& format, double computed, const Real& exact) {
  const Real magnitude = Abs(exact);
  if (std::isinf(computed)) {
    const double ulp = Ulp(format, format.max_finite);
    return magnitude < Real(format.max_finite) + Real(ulp / 2);
  }
  const Real error = Abs(Real(computed) - exact);
  const bool odd = (ToBits(format.dtype, std::fabs(computed)) & 1) != 0;
  // Neighbours are magnitudes: the exact result along computed's sign.
  const Real along =
      computed != 0 && (computed < 0) != (exact < 0) ? -magnitude : magnitude;
  auto nearer = [&](const Real& neighbor) {
    const Real other = Abs(neighbor - along);
    return other < error || (odd && !(other > error));
  };
  if (nearer(Neighbour(format, computed, /*away=*/true))) return true;
  return computed != 0 && nearer(Neighbour(format, computed, /*away=*/false));
}

// True where errors in ulp say nothing: NaN and infinities on either side.
// `*mismatch` tells whether the two disagree.
bool IsSpecial(const Format& format, double computed, const Real& exact,
               bool* mismatch) {
  const double rounded = exact.ToDouble();
  if (std::isnan(computed) || exact.IsNaN()) {
    *mismatch = std::isnan(computed) != exact.IsNaN();
    return true;
  }
  const bool overflows =
      !(Abs(exact) <
        Real(format.max_finite) + Real(Ulp(format, format.max_finite) / 2));
  if (std::isinf(computed) || overflows) {
    // Next to the threshold a rounding error may fall on either side.
    *mismatch = std::signbit(computed) != std::signbit(rounded) ||
                std::fabs(computed) < format.max_finite ||
                std::fabs(rounded) < format.max_finite * (1 - 1e-6);
    return true;
  }
  return false;
}

// True if `computed` is the number of a 16-bit type nearest to every number
// within 2^-44 of `exact`, so whatever the error of that may be.
bool IsClearlyRounded(DType dtype, double computed, double exact) {
  const uint64_t low = ToBits(dtype, exact * (1 - 0x1p-44));
  const uint64_t high = ToBits(dtype, exact * (1 + 0x1p-44));
  return std::isfinite(exact) && low == high && ToBits(dtype, computed) == low;
}

std::vector<std::byte> Encode(DType dtype, const std::vector<double>& values) {
  std::vector<std::byte> bytes(values.size() * ItemSizeBytes(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint64_t bits = ToBits(dtype, values[i]);
    std::memcpy(&bytes[i * ItemSizeBytes(dtype)], &bits, ItemSizeBytes(dtype));
  }
  return bytes;
}

std::vector<double> Decode(DType dtype, const std::vector<std::byte>& bytes) {
  std::vector<double> values(bytes.size() / ItemSizeBytes(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    uint64_t bits = 0;
    std::memcpy(&bits, &bytes[i * ItemSizeBytes(dtype)], ItemSizeBytes(dtype));
    values[i] = FromBits(dtype, bits);
  }
  return values;
}

std::vector<double> DefaultsOf(const Activation& activation) {
  std::vector<double> defaults;
  for (const Parameter& parameter : activation.parameters()) {
    defaults.push_back(parameter.default_value);
  }
  return defaults;
}

// The derivative is the gradient for an upstream gradient of 1.
absl::StatusOr<std::vector<double>> RunOnDevice(
    Device& device, const Activation& activation, DType dtype, bool derivative,
    const std::vector<double>& inputs) {
  ACTSERVE_ASSIGN_OR_RETURN(
      auto lowered, derivative
                        ? activation.LowerBackward(dtype, activation.inputs())
                        : activation.LowerForward(dtype, {}));
  ACTSERVE_ASSIGN_OR_RETURN(auto program, device.Compile(lowered));
  const std::vector<std::byte> x = Encode(dtype, inputs);
  const std::vector<std::byte> ones =
      Encode(dtype, std::vector<double>(inputs.size(), 1.0));
  std::vector<std::byte> y(x.size());
  const Fragment fragments[] = {{x.data(), x.size()},
                                {ones.data(), ones.size()}};
  WorkItem item;
  for (int i = 0; i < lowered.num_tensor_inputs(); ++i) {
    item.inputs.emplace_back(&fragments[i], 1);
  }
  item.parameters = DefaultsOf(activation);
  item.num_elements = static_cast<int64_t>(inputs.size());
  item.outputs = {y.data()};
  ACTSERVE_RETURN_IF_ERROR(device.Run(*program, absl::MakeSpan(&item, 1)));
  return Decode(dtype, y);
}

// The type in which a program of `dtype` sees its parameters.
double RoundedParameter(DType dtype, double value) {
  return dtype == DType::kFloat32 ? static_cast<float>(value) : value;
}

// Evaluates exactly: the graphs of the activation in 320 bits.
class Reference {
 public:
  static absl::StatusOr<Reference> Create(const Activation& activation,
                                          DType dtype, bool derivative) {
    Reference reference;
    reference.forward_ = activation.forward();
    for (double value : DefaultsOf(activation)) {
      reference.parameters_.push_back(RoundedParameter(dtype, value));
    }
    if (derivative) {
      ACTSERVE_ASSIGN_OR_RETURN(
          auto lowered,
          activation.LowerBackward(DType::kFloat64, {activation.inputs()[0]}));
      reference.gradient_ = lowered.graph;
    }
    return reference;
  }

  Real Value(double x) const {
    return Evaluate<Real>(forward_, {Real(x)}, parameters_)[0];
  }
  Real Derivative(double x) const {
    return Evaluate<Real>(gradient_, {Real(x), Real(1)}, parameters_)[0];
  }

 private:
  Graph forward_;
  Graph gradient_;
  std::vector<Real> parameters_;
};

void Count(const Format& format, double x, double computed, const Real& exact,
           double term, Accuracy& accuracy) {
  ++accuracy.num_points;
  if (std::isinf(x) && exact.IsNaN()) return;
  bool mismatch = false;
  if (IsSpecial(format, computed, exact, &mismatch)) {
    if (mismatch) {
      ++accuracy.num_special_mismatches;
      accuracy.special_mismatch_input = x;
    }
    return;
  }
  const double rounded = exact.ToDouble();
  const double error = Abs(Real(computed) - exact).ToDouble();
  const double ulps = error / Ulp(format, rounded);
  if (IsMisrounded(format, computed, exact)) {
    ++accuracy.num_misrounded;
    if (ulps < 0.5 + 0x1p-30) ++accuracy.num_near_ties;
  }
  if (std::fabs(rounded) < std::ldexp(1.0, format.min_exponent)) {
    accuracy.max_subnormal_ulp = std::max(accuracy.max_subnormal_ulp, ulps);
    return;
  }
  if (ulps > accuracy.max_ulp) {
    accuracy.max_ulp = ulps;
    accuracy.worst_input = x;
  }
  const double scale = std::max(std::fabs(rounded), std::fabs(term));
  accuracy.max_term_ulp =
      std::max(accuracy.max_term_ulp, error / Ulp(format, scale));
}

}  // namespace

std::vector<double> AccuracyInputs(DType dtype, int64_t num_points) {
  std::vector<double> inputs;
  if (Is16Bit(dtype)) {
    for (uint64_t bits = 0; bits < 65536; ++bits) {
      inputs.push_back(FromBits(dtype, bits));
    }
    return inputs;
  }
  // An odd step visits all low bits; 2^w / num_points of them in order.
  const int width = static_cast<int>(ItemSizeBytes(dtype)) * 8;
  const uint64_t step =
      (std::ldexp(1.0, width) / static_cast<double>(num_points)) + 1;
  for (int64_t i = 0; i < num_points; ++i) {
    inputs.push_back(FromBits(dtype, static_cast<uint64_t>(i) * (step | 1)));
  }
  for (int64_t i = 0; i < num_points; ++i) {
    const double x = -100 + 200 * (static_cast<double>(i) + 0.37) /
                                static_cast<double>(num_points);
    inputs.push_back(FromBits(dtype, ToBits(dtype, x)));
  }
  return inputs;
}

absl::StatusOr<Accuracy> MeasureAccuracy(Device& device,
                                         const Activation& activation,
                                         DType dtype, bool derivative,
                                         int64_t num_points,
                                         bool trust_float64) {
  if (activation.inputs().size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(activation.name(), " has ", activation.inputs().size(),
                     " tensor inputs; accuracy is measured for one"));
  }
  if (activation.reads_rows()) {
    return absl::InvalidArgumentError(absl::StrCat(
        activation.name(),
        " reads rows; accuracy is measured for functions of one element"));
  }
  if (activation.draws()) {
    return absl::InvalidArgumentError(absl::StrCat(
        activation.name(), " draws random numbers; kernels/math has theirs"));
  }
  ACTSERVE_ASSIGN_OR_RETURN(auto reference,
                            Reference::Create(activation, dtype, derivative));
  const std::vector<double> inputs = AccuracyInputs(dtype, num_points);
  ACTSERVE_ASSIGN_OR_RETURN(
      auto computed,
      RunOnDevice(device, activation, dtype, derivative, inputs));
  std::vector<double> trusted;
  if (trust_float64 && Is16Bit(dtype)) {
    ACTSERVE_ASSIGN_OR_RETURN(
        trusted,
        RunOnDevice(device, activation, DType::kFloat64, derivative, inputs));
  }

  const Format format = FormatOf(dtype);
  Accuracy accuracy;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const double x = inputs[i];
    if (!trusted.empty() && i % 61 != 0 &&
        IsClearlyRounded(dtype, computed[i], trusted[i])) {
      ++accuracy.num_points;
      continue;
    }
    const Real exact =
        derivative ? reference.Derivative(x) : reference.Value(x);
    double term = 0;
    if (derivative && x != 0 && std::isfinite(x)) {
      term = (reference.Value(x) / Real(x)).ToDouble();
    }
    Count(format, x, computed[i], exact, term, accuracy);
  }
  return accuracy;
}

}  // namespace actserve
