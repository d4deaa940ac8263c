#include "client/load/workload/hostile.h"

#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "actserve/v1/service.pb.h"

namespace actserve {
namespace {

constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

// A Forward of relu whose one tensor says `shape` and has `size_bytes`.
v1::ForwardRequest ForwardOf(const std::vector<int64_t>& shape,
                             size_t size_bytes) {
  v1::ForwardRequest request;
  request.set_activation("relu");
  v1::Tensor& input = *request.add_inputs();
  input.set_dtype(v1::DTYPE_FLOAT32);
  for (const int64_t size : shape) input.add_shape(size);
  request.add_payload(std::string(size_bytes, '\1'));
  return request;
}

std::string Register(const std::string& text) {
  v1::RegisterActivationRequest request;
  request.set_text(text);
  return request.SerializeAsString();
}

std::string Nested(int depth) {
  return absl::StrCat("def f(x):\n    return ", std::string(depth, '('), "x",
                      std::string(depth, ')'), "\n");
}

// Each line doubles what it expands to.
std::string Doubling(int lines) {
  std::string text = "def f(x):\n    a0 = x * x + 1\n";
  for (int i = 1; i <= lines; ++i) {
    absl::StrAppend(&text, "    a", i, " = sin(a", i - 1, ") + cos(a", i - 1,
                    " * ", i, ")\n");
  }
  absl::StrAppend(&text, "    for i in range(4000):\n        a", lines,
                  " = tanh(a", lines, " + i)\n");
  return absl::StrCat(text, "    return a", lines, "\n");
}

}  // namespace

std::vector<HostileCall> HostileCalls() {
  std::vector<HostileCall> calls;
  const auto forward = [&calls](const std::string& what,
                                const v1::ForwardRequest& request) {
    calls.push_back({what, "Forward", request.SerializeAsString()});
  };
  forward("a payload that is too short", ForwardOf({1024}, 4095));
  forward("a payload that is too long", ForwardOf({1024}, 4100));
  forward("a negative dimension", ForwardOf({-1, 4}, 16));
  forward("dimensions whose product overflows",
          ForwardOf({kHuge, kHuge, 2}, 16));
  forward("2^62 elements", ForwardOf({int64_t{1} << 62}, 16));
  forward("a thousand dimensions", ForwardOf(std::vector<int64_t>(1000, 1), 4));
  v1::ForwardRequest request = ForwardOf({4}, 16);
  request.mutable_inputs(0)->set_dtype(static_cast<v1::DType>(99));
  forward("a dtype that does not exist", request);
  request = ForwardOf({4}, 16);
  request.clear_payload();
  forward("no payload", request);
  request = ForwardOf({4}, 16);
  for (int i = 0; i < 100; ++i) *request.add_inputs() = request.inputs(0);
  forward("more inputs than payloads", request);
  request = ForwardOf({4}, 16);
  request.set_axis(7);
  forward("an axis that it has not", request);
  request = ForwardOf({4}, 16);
  request.add_partials("../../x%s\n");
  forward("a partial by no input", request);
  calls.push_back(
      {"bytes that are no message", "Forward",
       std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10)});
  std::string cut = ForwardOf({1024}, 4096).SerializeAsString();
  cut.resize(cut.size() / 2);
  calls.push_back({"a message that is cut", "Forward", cut});
  v1::BackwardRequest backward;
  backward.set_residual("short");
  calls.push_back(
      {"a handle of 5 bytes", "Backward", backward.SerializeAsString()});
  calls.push_back(
      {"10,000 parentheses", "RegisterActivation", Register(Nested(5000))});
  calls.push_back({"a loop that expands too far", "RegisterActivation",
                   Register(Doubling(12))});
  calls.push_back({"another language", "RegisterActivation",
                   Register("#include \"/etc/passwd\"\n")});
  calls.push_back({"20 KiB of text", "RegisterActivation",
                   Register(std::string(20 << 10, '#'))});
  return calls;
}

}  // namespace actserve
