#include "server/kserve/infer_parameters.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"

namespace actserve::kserve {
namespace {

using inference::InferParameter;

absl::string_view KindOf(const InferParameter& value) {
  switch (value.parameter_choice_case()) {
    case InferParameter::kBoolParam:
      return "a bool";
    case InferParameter::kInt64Param:
    case InferParameter::kUint64Param:
      return "an integer";
    case InferParameter::kStringParam:
      return "a string";
    case InferParameter::kDoubleParam:
      return "a double";
    case InferParameter::PARAMETER_CHOICE_NOT_SET:
      return "not set";
  }
  return "not known";
}

absl::Status WrongKind(absl::string_view what, const InferParameter& value,
                       absl::string_view wanted) {
  return InvalidArgument(what, " is ", KindOf(value), ", must be ", wanted);
}

// Clients write the same integer as int64 or uint64.
absl::StatusOr<int64_t> IntegerOf(absl::string_view what,
                                  const InferParameter& value, int64_t least,
                                  int64_t most) {
  int64_t number = 0;
  if (value.has_int64_param()) {
    number = value.int64_param();
  } else if (value.has_uint64_param()) {
    if (value.uint64_param() > static_cast<uint64_t>(most)) {
      return InvalidArgument(what, " is ", value.uint64_param(),
                             ", must be from ", least, " to ", most);
    }
    number = static_cast<int64_t>(value.uint64_param());
  } else {
    return WrongKind(what, value, "an integer");
  }
  if (number < least || number > most) {
    return InvalidArgument(what, " is ", number, ", must be from ", least,
                           " to ", most);
  }
  return number;
}

absl::StatusOr<int32_t> AxisOf(absl::string_view what,
                               const InferParameter& value) {
  ACTSERVE_ASSIGN_OR_RETURN(
      const int64_t axis,
      IntegerOf(what, value, std::numeric_limits<int32_t>::min(),
                std::numeric_limits<int32_t>::max()));
  return static_cast<int32_t>(axis);
}

absl::StatusOr<double> NumberOf(absl::string_view what,
                                const InferParameter& value) {
  constexpr int64_t kMostExact = int64_t{1} << 53;
  if (value.has_double_param()) return value.double_param();
  if (!value.has_int64_param() && !value.has_uint64_param()) {
    return WrongKind(what, value, "a number");
  }
  ACTSERVE_ASSIGN_OR_RETURN(const int64_t number,
                            IntegerOf(what, value, -kMostExact, kMostExact));
  return static_cast<double>(number);
}

// True for what clients send to say that a request is of no sequence.
bool SaysNone(const InferParameter& value) {
  return (value.has_int64_param() && value.int64_param() == 0) ||
         (value.has_uint64_param() && value.uint64_param() == 0) ||
         (value.has_string_param() && value.string_param().empty()) ||
         (value.has_bool_param() && !value.bool_param());
}

}  // namespace

absl::StatusOr<RequestParameters> DecodeRequestParameters(
    const ParameterMap& parameters) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  RequestParameters decoded;
  for (const auto& [name, value] : parameters) {
    const std::string what = absl::StrCat("parameters: ", Quoted(name));
    if (name == "axis") {
      ACTSERVE_ASSIGN_OR_RETURN(decoded.axis, AxisOf(what, value));
    } else if (name == "split_axis") {
      ACTSERVE_ASSIGN_OR_RETURN(decoded.split_axis, AxisOf(what, value));
    } else if (name == "element_offset") {
      ACTSERVE_ASSIGN_OR_RETURN(decoded.element_offset,
                                IntegerOf(what, value, 0, kMost));
    } else if (name == "timeout") {
      ACTSERVE_ASSIGN_OR_RETURN(const int64_t micros,
                                IntegerOf(what, value, 0, kMost));
      if (micros > 0) decoded.timeout = absl::Microseconds(micros);
    } else if (name == "priority") {
      ACTSERVE_RETURN_IF_ERROR(IntegerOf(what, value, 0, kMost).status());
    } else if (name == "sequence_id" || name == "sequence_start" ||
               name == "sequence_end") {
      if (!SaysNone(value)) {
        return InvalidArgument(what,
                               " is given, but models keep nothing from one "
                               "request to the next");
      }
    } else if (name == "triton_enable_empty_final_response") {
      if (!value.has_bool_param()) return WrongKind(what, value, "a bool");
    } else {
      ACTSERVE_ASSIGN_OR_RETURN(decoded.numbers[name], NumberOf(what, value));
    }
  }
  return decoded;
}

absl::StatusOr<TensorParameters> DecodeTensorParameters(
    absl::string_view tensor, const ParameterMap& parameters) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  TensorParameters decoded;
  RegionRange range;
  bool has_size = false;
  for (const auto& [name, value] : parameters) {
    const std::string what =
        absl::StrCat(tensor, ": parameters: ", Quoted(name));
    if (name == "axis") {
      ACTSERVE_ASSIGN_OR_RETURN(decoded.axis, AxisOf(what, value));
    } else if (name == "shared_memory_region") {
      if (!value.has_string_param() || value.string_param().empty()) {
        return WrongKind(what, value, "the name of a region");
      }
      range.region = value.string_param();
    } else if (name == "shared_memory_byte_size") {
      ACTSERVE_ASSIGN_OR_RETURN(const int64_t size,
                                IntegerOf(what, value, 0, kMost));
      range.size_bytes = static_cast<uint64_t>(size);
      has_size = true;
    } else if (name == "shared_memory_offset") {
      ACTSERVE_ASSIGN_OR_RETURN(const int64_t offset,
                                IntegerOf(what, value, 0, kMost));
      range.offset = static_cast<uint64_t>(offset);
    } else {
      return InvalidArgument(what, " is not supported");
    }
  }
  if (range.region.empty()) {
    if (!has_size && range.offset == 0) return decoded;
    return InvalidArgument(tensor, ": parameters: no shared_memory_region");
  }
  if (!has_size) {
    return InvalidArgument(tensor, ": parameters: no shared_memory_byte_size");
  }
  decoded.region = std::move(range);
  return decoded;
}

}  // namespace actserve::kserve
