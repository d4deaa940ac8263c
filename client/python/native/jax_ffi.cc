// What programs of JAX on the CPU call for an activation that is computed in
// this process: from XLA straight to actserve.h, without Python and its lock.
//
// Python loads this library by ctypes, connects it with the library of client/c
// by actserve_jax_start(), names the clients that plans refer to, and registers
// actserve_jax_run as an FFI target of the platform "cpu". A plan says what a
// call computes, in lines of a key and values; actserve/jax/_native.py writes
// it.
//
// Thread-safe.

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <sstream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "client/c/actserve.h"
#include "xla/ffi/api/ffi.h"

#define ACTSERVE_JAX_API extern "C" __attribute__((visibility("default")))

namespace actserve {
namespace {

namespace ffi = xla::ffi;

// The functions of the library of client/c.
struct Library {
  decltype(&::actserve_forward_with) forward_with;
  decltype(&::actserve_backward) backward;
  decltype(&::actserve_status_code) status_code;
  decltype(&::actserve_status_message) status_message;
  decltype(&::actserve_status_free) status_free;
};

struct Parameter {
  std::string name;
  std::optional<int32_t> axis;  // none: one number
};

struct Constant {
  std::string name;
  double value;
};

// The operations, as in actserve/jax/_operation.py.
enum class Kind { kForward, kPartials, kTangent, kGradient, kSecondOrder };

struct Plan {
  Kind kind = Kind::kForward;
  std::string activation;
  actserve_client* client = nullptr;
  std::vector<std::string> inputs;
  std::vector<Parameter> parameters;
  std::vector<Constant> constants;
  std::optional<int32_t> axis;
  std::optional<int32_t> split_axis;
  int64_t element_offset = 0;
  double timeout_seconds = 0;
  std::vector<std::string> wanted;
  std::vector<std::string> moved;

  [[nodiscard]] bool IsNumber(std::string_view variable) const {
    for (const Parameter& parameter : parameters) {
      if (parameter.name == variable) return !parameter.axis;
    }
    return false;
  }
};

struct TextHash : std::hash<std::string_view> {
  using is_transparent = void;
};
template <typename T>
using ByText = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

// All state of the process.
struct State {
  std::shared_mutex mutex;
  std::optional<Library> library;
  ByText<actserve_client*> clients;
  ByText<std::unique_ptr<const Plan>> plans;
};

State& GetState() {
  static auto* state = new State;
  return *state;
}

std::optional<Kind> ParseKind(std::string_view name) {
  if (name == "forward") return Kind::kForward;
  if (name == "partials") return Kind::kPartials;
  if (name == "tangent") return Kind::kTangent;
  if (name == "gradient") return Kind::kGradient;
  if (name == "second_order") return Kind::kSecondOrder;
  return std::nullopt;
}

// Reads one line into `plan`; false if it says nothing that is known.
bool ParseLine(const std::string& line, const ByText<actserve_client*>& clients,
               Plan& plan) {
  std::istringstream words(line);
  std::string key;
  std::string name;
  words >> key >> name;
  if (key == "kind") {
    const std::optional<Kind> kind = ParseKind(name);
    if (kind) plan.kind = *kind;
    return kind.has_value();
  }
  if (key == "client") {
    const auto found = clients.find(name);
    if (found == clients.end()) return false;
    plan.client = found->second;
    return true;
  }
  if (key == "parameter") {
    Parameter parameter{.name = name, .axis = std::nullopt};
    int32_t axis = 0;
    if (words >> axis) parameter.axis = axis;
    plan.parameters.push_back(std::move(parameter));
    return true;
  }
  if (key == "constant") {
    std::string value;
    words >> value;
    plan.constants.push_back(
        {.name = name, .value = std::strtod(value.c_str(), nullptr)});
    return true;
  }
  if (key == "activation") {
    plan.activation = name;
  } else if (key == "input") {
    plan.inputs.push_back(name);
  } else if (key == "wanted") {
    plan.wanted.push_back(name);
  } else if (key == "moved") {
    plan.moved.push_back(name);
  } else if (key == "axis") {
    plan.axis = std::stoi(name);
  } else if (key == "split_axis") {
    plan.split_axis = std::stoi(name);
  } else if (key == "element_offset") {
    plan.element_offset = std::stoll(name);
  } else if (key == "timeout") {
    plan.timeout_seconds = std::strtod(name.c_str(), nullptr);
  } else {
    return false;
  }
  return true;
}

// Parses a text once. INVALID_ARGUMENT names the line that is wrong.
ffi::ErrorOr<const Plan*> FindPlan(std::string_view text) {
  State& state = GetState();
  {
    const std::shared_lock lock(state.mutex);
    const auto found = state.plans.find(text);
    if (found != state.plans.end()) return found->second.get();
  }
  auto plan = std::make_unique<Plan>();
  std::istringstream lines{std::string(text)};
  const std::unique_lock lock(state.mutex);
  for (std::string line; std::getline(lines, line);) {
    if (!ParseLine(line, state.clients, *plan)) {
      return ffi::Unexpected(ffi::Error::InvalidArgument(
          "actserve: this process does not know \"" + line +
          "\": was the program compiled by another one?"));
    }
  }
  if (plan->client == nullptr) {
    return ffi::Unexpected(
        ffi::Error::InvalidArgument("actserve: the plan names no client"));
  }
  return state.plans.emplace(text, std::move(plan)).first->second.get();
}

int32_t DtypeOf(ffi::DataType type) {
  switch (type) {
    case ffi::DataType::F16:
      return ACTSERVE_FLOAT16;
    case ffi::DataType::BF16:
      return ACTSERVE_BFLOAT16;
    case ffi::DataType::F32:
      return ACTSERVE_FLOAT32;
    case ffi::DataType::F64:
      return ACTSERVE_FLOAT64;
    default:
      return 0;  // the call refuses it
  }
}

actserve_tensor TensorOf(const ffi::AnyBuffer& buffer) {
  return {.data = buffer.untyped_data(),
          .dtype = DtypeOf(buffer.element_type()),
          .rank = static_cast<int32_t>(buffer.dimensions().size()),
          .shape = buffer.dimensions().begin()};
}

// Numbers are float32 or float64.
double NumberIn(const actserve_tensor& tensor) {
  return tensor.dtype == ACTSERVE_FLOAT64
             ? *static_cast<const double*>(tensor.data)
             : double{*static_cast<const float*>(tensor.data)};
}

void SetNumber(const actserve_tensor& tensor, double value) {
  if (tensor.dtype == ACTSERVE_FLOAT64) {
    *static_cast<double*>(tensor.data) = value;
  } else {
    *static_cast<float*>(tensor.data) = static_cast<float>(value);
  }
}

// One call: the plan, the tensors, and what actserve.h reads of both.
class Call {
 public:
  Call(const Plan& plan, std::vector<actserve_tensor> operands,
       std::vector<actserve_tensor> results)
      : plan_(plan),
        operands_(std::move(operands)),
        results_(std::move(results)) {}

  actserve_status* Run(const Library& library) {
    SetOptions();
    const bool is_forward = plan_.kind == Kind::kForward ||
                            plan_.kind == Kind::kPartials ||
                            plan_.kind == Kind::kTangent;
    return is_forward ? Forward(library) : Backward(library);
  }

 private:
  [[nodiscard]] size_t num_variables() const {
    return plan_.inputs.size() + plan_.parameters.size();
  }

  void SetOptions() {
    parameters_.reserve(plan_.parameters.size() + plan_.constants.size());
    for (size_t i = 0; i < plan_.parameters.size(); ++i) {
      const Parameter& parameter = plan_.parameters[i];
      const actserve_tensor& value = operands_[plan_.inputs.size() + i];
      parameters_.push_back({.name = parameter.name.c_str(),
                             .value = parameter.axis ? 0 : NumberIn(value),
                             .tensor = parameter.axis ? &value : nullptr,
                             .axis = parameter.axis.value_or(0)});
    }
    for (const Constant& constant : plan_.constants) {
      parameters_.push_back({.name = constant.name.c_str(),
                             .value = constant.value,
                             .tensor = nullptr,
                             .axis = 0});
    }
    options_.size = sizeof(options_);
    options_.parameters = parameters_.data();
    options_.num_parameters = parameters_.size();
    options_.has_axis = plan_.axis ? 1 : 0;
    options_.axis = plan_.axis.value_or(0);
    options_.has_split_axis = plan_.split_axis ? 1 : 0;
    options_.split_axis = plan_.split_axis.value_or(0);
    options_.element_offset = plan_.element_offset;
    options_.timeout_seconds = plan_.timeout_seconds;
  }

  // Tangents or cotangents: the operands from `first` on.
  std::vector<actserve_value> Moved(size_t first) {
    std::vector<actserve_value> values;
    values.reserve(plan_.moved.size());
    for (size_t i = 0; i < plan_.moved.size(); ++i) {
      const actserve_tensor& value = operands_[first + i];
      const bool is_number = plan_.IsNumber(plan_.moved[i]);
      values.push_back({.name = plan_.moved[i].c_str(),
                        .tensor = is_number ? nullptr : &value,
                        .number = is_number ? NumberIn(value) : 0});
    }
    return values;
  }

  actserve_status* Forward(const Library& library) {
    actserve_forward_call call{};
    call.size = sizeof(call);
    call.inputs = operands_.data();
    call.num_inputs = plan_.inputs.size();
    call.output = results_.data();
    std::vector<actserve_partial> partials;
    std::vector<actserve_value> tangents;
    std::unique_ptr<std::byte[]> value;
    actserve_tensor output;
    if (plan_.kind == Kind::kPartials) {
      for (size_t i = 0; i < plan_.inputs.size(); ++i) {
        partials.push_back(
            {.name = plan_.inputs[i].c_str(), .tensor = &results_[1 + i]});
      }
    } else if (plan_.kind == Kind::kTangent) {
      // The value is not wanted, but computed.
      tangents = Moved(num_variables());
      output = results_[0];
      size_t size = 8;
      for (int32_t i = 0; i < output.rank; ++i) size *= output.shape[i];
      value = std::make_unique_for_overwrite<std::byte[]>(size);
      output.data = value.get();
      call.output = &output;
      call.tangent = results_.data();
    }
    call.partials = partials.data();
    call.num_partials = partials.size();
    call.tangents = tangents.data();
    call.num_tangents = tangents.size();
    return library.forward_with(plan_.client, plan_.activation.c_str(), &call,
                                &options_);
  }

  actserve_status* Backward(const Library& library) {
    std::vector<actserve_gradient> gradients;
    gradients.reserve(plan_.wanted.size());
    for (size_t i = 0; i < plan_.wanted.size(); ++i) {
      const bool is_number = plan_.IsNumber(plan_.wanted[i]);
      gradients.push_back({.name = plan_.wanted[i].c_str(),
                           .tensor = is_number ? nullptr : &results_[i],
                           .number = 0});
    }
    std::vector<actserve_value> cotangents;
    if (plan_.kind == Kind::kSecondOrder) {
      cotangents = Moved(num_variables() + 1);
    }
    actserve_backward_call call{};
    call.size = sizeof(call);
    call.inputs = operands_.data();
    call.num_inputs = plan_.inputs.size();
    call.grad_output = &operands_[num_variables()];
    call.gradients = gradients.data();
    call.num_gradients = gradients.size();
    call.cotangents = cotangents.data();
    call.num_cotangents = cotangents.size();
    actserve_status* status = library.backward(
        plan_.client, plan_.activation.c_str(), &call, &options_);
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (gradients[i].tensor == nullptr) {
        SetNumber(results_[i], gradients[i].number);
      }
    }
    return status;
  }

  const Plan& plan_;
  std::vector<actserve_tensor> operands_;
  std::vector<actserve_tensor> results_;
  std::vector<actserve_parameter> parameters_;
  actserve_call_options options_{};
};

size_t NumOperands(const Plan& plan) {
  const size_t num_variables = plan.inputs.size() + plan.parameters.size();
  const bool has_upstream =
      plan.kind == Kind::kGradient || plan.kind == Kind::kSecondOrder;
  return num_variables + (has_upstream ? 1 : 0) + plan.moved.size();
}

size_t NumResults(const Plan& plan) {
  switch (plan.kind) {
    case Kind::kForward:
    case Kind::kTangent:
      return 1;
    case Kind::kPartials:
      return 1 + plan.inputs.size();
    default:
      return plan.wanted.size();
  }
}

ffi::Error Run(ffi::RemainingArgs args, ffi::RemainingRets rets,
               std::string_view text) {
  ffi::ErrorOr<const Plan*> plan = FindPlan(text);
  if (!plan.has_value()) return plan.error();
  if (args.size() != NumOperands(**plan) || rets.size() != NumResults(**plan)) {
    return ffi::Error::InvalidArgument(
        "actserve: the call has " + std::to_string(args.size()) +
        " operands and " + std::to_string(rets.size()) +
        " results, the plan others");
  }
  std::vector<actserve_tensor> operands(args.size());
  for (size_t i = 0; i < args.size(); ++i) {
    operands[i] = TensorOf(*args.get<ffi::AnyBuffer>(i));
  }
  std::vector<actserve_tensor> results(rets.size());
  for (size_t i = 0; i < rets.size(); ++i) {
    results[i] = TensorOf(**rets.get<ffi::AnyBuffer>(i));
  }
  const Library& library = *GetState().library;
  actserve_status* status =
      Call(**plan, std::move(operands), std::move(results)).Run(library);
  if (status == nullptr) return ffi::Error::Success();
  ffi::Error error(static_cast<ffi::ErrorCode>(library.status_code(status)),
                   std::string("actserve: ") + library.status_message(status));
  library.status_free(status);
  return error;
}

}  // namespace
}  // namespace actserve

// Finds the functions of the library of client/c in `file`. Returns 0; 1 if
// they are not all there. Once, before any other call.
ACTSERVE_JAX_API int actserve_jax_start(const char* file) {
  void* handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return 1;
  actserve::Library library{};
  bool has_all = true;
  const auto find = [&](auto& function, const char* name) {
    function =
        reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(handle, name));
    has_all = has_all && function != nullptr;
  };
  find(library.forward_with, "actserve_forward_with");
  find(library.backward, "actserve_backward");
  find(library.status_code, "actserve_status_code");
  find(library.status_message, "actserve_status_message");
  find(library.status_free, "actserve_status_free");
  if (!has_all) return 1;
  actserve::State& state = actserve::GetState();
  const std::unique_lock lock(state.mutex);
  state.library = library;
  return 0;
}

// Names a client that computes in this process. Never closed from here on; a
// name keeps the client that it got first.
ACTSERVE_JAX_API void actserve_jax_add_client(const char* name,
                                              actserve_client* client) {
  actserve::State& state = actserve::GetState();
  const std::unique_lock lock(state.mutex);
  state.clients.emplace(name, client);
}

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(actserve_jax_run, actserve::Run,
                              xla::ffi::Ffi::Bind()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<std::string_view>("plan"));
#pragma GCC visibility pop
