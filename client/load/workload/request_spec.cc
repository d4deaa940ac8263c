#include "client/load/workload/request_spec.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cpp/message/item_size.h"
#include "client/cpp/stream/choice.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"

namespace actserve {
namespace {

constexpr int kNumDrawnShapes = 16;
constexpr double kMaxElements = 1 << 30;

// The inverse of the normal distribution's function, by bisection.
double NormalQuantile(double q) {
  double low = -10;
  double high = 10;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::sqrt(2)) / 2 < q ? low : high) = middle;
  }
  return low;
}

double Middle(int i) { return (i + 0.5) / kNumDrawnShapes; }

}  // namespace

const std::vector<std::string>& RequestKindNames() {
  static const auto* const names = new std::vector<std::string>{
      "forward",   "stream",   "partials", "residual",
      "stateless", "register", "hostile",  "echo"};
  return *names;
}

const std::string& RequestKindName(RequestKind kind) {
  return RequestKindNames()[static_cast<size_t>(kind)];
}

absl::StatusOr<RequestKind> ParseRequestKind(const std::string& name) {
  const auto& names = RequestKindNames();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) {
    return static_cast<RequestKind>(found - names.begin());
  }
  return InvalidArgument("kind ", Quoted(name), " is none of ",
                         absl::StrJoin(names, ", "));
}

std::vector<WeightedShape> LogNormalShapes(double median, double sigma) {
  std::vector<WeightedShape> shapes;
  for (int i = 0; i < kNumDrawnShapes; ++i) {
    const double size = median * std::exp(sigma * NormalQuantile(Middle(i)));
    shapes.push_back(
        {{std::llround(std::clamp<double>(size, 1, kMaxElements))}});
  }
  return shapes;
}

std::vector<WeightedShape> UniformShapes(int64_t from, int64_t to) {
  std::vector<WeightedShape> shapes;
  for (int i = 0; i < kNumDrawnShapes; ++i) {
    shapes.push_back(
        {{from + std::llround(Middle(i) * static_cast<double>(to - from))}});
  }
  return shapes;
}

absl::StatusOr<std::vector<int64_t>> ParseShape(const std::string& text) {
  std::vector<int64_t> shape;
  for (const absl::string_view word : absl::StrSplit(text, 'x')) {
    int64_t size = 0;
    if (!absl::SimpleAtoi(word, &size) || size < 0) {
      return InvalidArgument("shape ", Quoted(text),
                             " is not SIZExSIZE..., such as 256x768");
    }
    shape.push_back(size);
  }
  return shape;
}

absl::StatusOr<v1::DType> ParseRequestDType(const std::string& name) {
  for (const v1::DType dtype : {v1::DTYPE_FLOAT16, v1::DTYPE_BFLOAT16,
                                v1::DTYPE_FLOAT32, v1::DTYPE_FLOAT64}) {
    if (RequestDTypeName(dtype) == name) return dtype;
  }
  return InvalidArgument("dtype ", Quoted(name),
                         " is none of float16, bfloat16, float32, float64");
}

std::string RequestDTypeName(v1::DType dtype) {
  switch (dtype) {
    case v1::DTYPE_FLOAT16:
      return "float16";
    case v1::DTYPE_BFLOAT16:
      return "bfloat16";
    case v1::DTYPE_FLOAT64:
      return "float64";
    default:
      return "float32";
  }
}

int64_t NumElementsOf(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(count, size, &count)) {
      return std::numeric_limits<int64_t>::max();
    }
  }
  return count;
}

absl::StatusOr<RequestSpec> ParseRequestFlag(const std::string& text) {
  const std::vector<std::string> words = absl::StrSplit(text, ':');
  RequestSpec request;
  ACTSERVE_ASSIGN_OR_RETURN(request.kind, ParseRequestKind(words[0]));
  if (words.size() > 5) {
    return InvalidArgument(Quoted(text),
                           " is not KIND:ACTIVATION:DTYPE:SHAPE[:WEIGHT]");
  }
  if (words.size() > 1) request.activation = words[1];
  if (words.size() > 2) {
    ACTSERVE_ASSIGN_OR_RETURN(request.dtype, ParseRequestDType(words[2]));
  }
  WeightedShape shape{{1024}};
  if (words.size() > 3) {
    ACTSERVE_ASSIGN_OR_RETURN(shape.shape, ParseShape(words[3]));
  }
  request.shapes = {shape};
  if (words.size() > 4 &&
      (!absl::SimpleAtod(words[4], &request.weight) || !(request.weight > 0))) {
    return InvalidArgument("weight ", Quoted(words[4]),
                           " is no number above 0");
  }
  if (request.kind == RequestKind::kHostile) {
    request.expect = "INVALID_ARGUMENT";
  }
  request.name = absl::StrCat(
      RequestKindName(request.kind), ":", request.activation, ":",
      RequestDTypeName(request.dtype), ":", absl::StrJoin(shape.shape, "x"));
  return request;
}

absl::Status CheckRequest(const RequestSpec& request, bool by_unix_socket) {
  double weights = 0;
  for (const WeightedShape& shape : request.shapes) {
    weights += shape.weight;
    const int64_t elements = NumElementsOf(shape.shape);
    if (elements > kMaxElements) {
      return InvalidArgument("shape [", absl::StrJoin(shape.shape, ", "),
                             "]: ", elements, " elements, limit ", 1 << 30);
    }
    const size_t bytes = elements * ItemSizeBytes(request.dtype);
    const size_t from =
        by_unix_socket ? kStreamFromBytesByUnixSocket : kStreamFromBytes;
    if (request.kind == RequestKind::kStream && bytes < from) {
      return InvalidArgument("stream of ", bytes,
                             " bytes: clients send less than ", from,
                             " as one message");
    }
  }
  if (!(weights > 0)) return InvalidArgument("no shape has a weight above 0");
  return absl::OkStatus();
}

}  // namespace actserve
