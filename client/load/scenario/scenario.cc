#include "client/load/scenario/scenario.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/read_file.h"
#include "client/load/scenario/json_fields.h"
#include "client/load/schedule/trace.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"

namespace actserve {
namespace {

using nlohmann::json;

constexpr double kMaxSeconds = 7 * 86400;
constexpr double kMaxRate = 1e7;
constexpr int kMaxInFlight = 4096;
constexpr double kMaxWeight = 1e9;

std::string At(const char* list, size_t index) {
  return absl::StrCat(list, "[", index, "]");
}

// Replaces ${NAME} in all strings of `value`.
absl::Status Substitute(const std::map<std::string, std::string>& definitions,
                        json& value) {
  if (value.is_structured()) {
    for (json& each : value) {
      ACTSERVE_RETURN_IF_ERROR(Substitute(definitions, each));
    }
    return absl::OkStatus();
  }
  if (!value.is_string()) return absl::OkStatus();
  std::string text = value;
  size_t begin = 0;
  while ((begin = text.find("${", begin)) != std::string::npos) {
    const size_t end = text.find('}', begin);
    const std::string name = text.substr(begin + 2, end - begin - 2);
    const auto found = definitions.find(name);
    if (end == std::string::npos || found == definitions.end()) {
      return InvalidArgument("${", name, "} has no value: give --define ", name,
                             "=VALUE");
    }
    text.replace(begin, end + 1 - begin, found->second);
    begin += found->second.size();
  }
  value = text;
  return absl::OkStatus();
}

// Names are parts of figures, "phase.workload.p99".
void CheckName(JsonFields& fields, const std::string& name) {
  if (name.empty() || name.find_first_of(". \t\n") != std::string::npos) {
    fields.Fail("name", absl::StrCat(Quoted(name),
                                     " is empty, or has a dot or a space"));
  }
}

absl::StatusOr<std::vector<int64_t>> ReadShape(const json& value) {
  std::vector<int64_t> shape;
  if (value.is_array()) {
    for (const json& size : value) {
      if (!size.is_number_integer() || size.get<int64_t>() < 0) {
        return InvalidArgument(size.dump(), " is no size of a dimension");
      }
      shape.push_back(size);
    }
    return shape;
  }
  return InvalidArgument(value.dump(), " is not a list of sizes");
}

void ReadShapes(JsonFields& fields, RequestSpec& request) {
  int given = 0;
  if (const json* shape = fields.Get("shape")) {
    ++given;
    auto read = ReadShape(*shape);
    fields.Check("shape", read.status());
    if (read.ok()) request.shapes = {{*read}};
  }
  if (const json* shapes = fields.GetArray("shapes")) {
    ++given;
    for (size_t i = 0; i < shapes->size(); ++i) {
      JsonFields each((*shapes)[i], fields.PlaceOf(At("shapes", i)));
      WeightedShape shape;
      each.Read("weight", shape.weight, 0, kMaxWeight);
      if (const json* sizes = each.Get("shape")) {
        auto read = ReadShape(*sizes);
        each.Check("shape", read.status());
        if (read.ok()) shape.shape = *std::move(read);
      } else {
        each.Fail("shape", "missing");
      }
      if (const absl::Status status = each.Finish(); !status.ok()) {
        return fields.Fail(At("shapes", i), std::string(status.message()));
      }
      request.shapes.push_back(std::move(shape));
    }
  }
  constexpr double kMost = 1 << 30;
  if (const json* drawn = fields.Get("lognormal_elements")) {
    ++given;
    double median = 4096;
    double sigma = 1;
    JsonFields each(*drawn, fields.PlaceOf("lognormal_elements"));
    each.Read("median", median, 1, kMost);
    each.Read("sigma", sigma, 0, 5);
    fields.Check("lognormal_elements", each.Finish());
    request.shapes = LogNormalShapes(median, sigma);
  }
  if (const json* drawn = fields.Get("uniform_elements")) {
    ++given;
    double from = 1;
    double to = 4096;
    JsonFields each(*drawn, fields.PlaceOf("uniform_elements"));
    each.Read("from", from, 1, kMost);
    each.Read("to", to, from, kMost);
    fields.Check("uniform_elements", each.Finish());
    request.shapes = UniformShapes(std::llround(from), std::llround(to));
  }
  if (given == 0) request.shapes = {{{1024}}};
  if (given > 1) {
    fields.Fail("shape",
                "give one of shape, shapes, lognormal_elements, "
                "uniform_elements");
  }
}

absl::StatusOr<RequestSpec> ReadRequest(const json& value,
                                        const std::string& where,
                                        const std::string& folder) {
  RequestSpec request;
  JsonFields fields(value, where);
  std::string kind = "forward";
  std::string dtype = "float32";
  fields.Read("kind", kind);
  fields.Read("weight", request.weight, 1e-9, kMaxWeight);
  fields.Read("activation", request.activation);
  fields.Read("text", request.text);
  fields.Read("dtype", dtype);
  const auto parsed_kind = ParseRequestKind(kind);
  fields.Check("kind", parsed_kind.status());
  if (parsed_kind.ok()) request.kind = *parsed_kind;
  const auto parsed_dtype = ParseRequestDType(dtype);
  fields.Check("dtype", parsed_dtype.status());
  if (parsed_dtype.ok()) request.dtype = *parsed_dtype;
  ReadShapes(fields, request);
  int axis = 0;
  fields.Read("axis", axis, -8, 7);
  if (value.is_object() && value.contains("axis")) request.axis = axis;
  if (const json* parameters = fields.Get("parameters")) {
    for (const auto& [name, number] : parameters->items()) {
      if (!number.is_number()) {
        fields.Fail("parameters", absl::StrCat(name, ": ", number.dump(),
                                               " is not a number"));
        break;
      }
      request.parameters[name] = number;
    }
  }
  double lease = 0;
  fields.Read("residual_lease", lease, 0.001, 600);
  request.residual_lease = absl::Seconds(lease);
  if (request.kind == RequestKind::kHostile) {
    request.expect = "INVALID_ARGUMENT";
  }
  fields.Read("expect", request.expect);
  request.name = absl::StrCat(kind, ":", request.activation, ":", dtype);
  fields.Read("name", request.name);
  if (request.name.empty() || absl::StrContains(request.name, ' ')) {
    fields.Fail("name", absl::StrCat(Quoted(request.name),
                                     " is empty, or has a space"));
  }
  ACTSERVE_RETURN_IF_ERROR(fields.Finish());
  if (absl::EndsWith(request.activation, ".py") &&
      !absl::StartsWith(request.activation, "/")) {
    request.activation = absl::StrCat(folder, "/", request.activation);
  }
  return request;
}

absl::StatusOr<WorkloadSpec> ReadWorkload(const json& value,
                                          const std::string& where,
                                          const std::string& folder) {
  WorkloadSpec workload;
  JsonFields fields(value, where);
  fields.Read("name", workload.name);
  CheckName(fields, workload.name);
  fields.Read("address", workload.address);
  fields.Read("token_file", workload.token_file);
  fields.Read("tls_ca", workload.tls_ca);
  fields.Read("connections", workload.connections, 1, Client::kMaxChannels);
  fields.Read("shared_memory", workload.shared_memory);
  fields.Read("in_place", workload.in_place);
  fields.Read("max_attempts", workload.max_attempts, 1, 100);
  double timeout = 10;
  fields.Read("timeout", timeout, 0.001, 3600);
  workload.timeout = absl::Seconds(timeout);
  fields.Read("allow", workload.allow);
  fields.Read("verify", workload.verify, 0, 1);
  const json* requests = fields.GetArray("requests");
  if (requests == nullptr || requests->empty()) {
    fields.Fail("requests", "missing: a list of at least one");
  } else {
    for (size_t i = 0; i < requests->size(); ++i) {
      ACTSERVE_ASSIGN_OR_RETURN(
          workload.requests.emplace_back(),
          ReadRequest((*requests)[i], fields.PlaceOf(At("requests", i)),
                      folder));
    }
  }
  ACTSERVE_RETURN_IF_ERROR(fields.Finish());
  return workload;
}

void ReadClosed(JsonFields& fields, const json& value, LoadTemplate& load) {
  std::vector<int>& sweep = load.sweep;
  for (const json& each : value.is_array() ? value : json::array({value})) {
    if (!each.is_number_integer() || each < 1 || each > kMaxInFlight) {
      return fields.Fail(
          "closed",
          absl::StrCat(each.dump(), " in flight, limits 1 and ", kMaxInFlight));
    }
    sweep.push_back(each);
  }
  if (sweep.empty()) return fields.Fail("closed", "an empty list");
  load.plan.in_flight = sweep[0];
  if (!value.is_array()) sweep.clear();
}

// Steps and ramps: [{"seconds": 5, "rate": 100}, {"seconds": 5, "rate": [100,
// 200]}].
absl::Status ReadSegments(const json& segments, const std::string& where,
                          double time_scale, ArrivalPlan& plan) {
  for (size_t i = 0; i < segments.size(); ++i) {
    JsonFields fields(segments[i], absl::StrCat(where, "[", i, "]"));
    RateSegment segment;
    segment.seconds = 1;
    fields.Read("seconds", segment.seconds, 0.001, kMaxSeconds);
    fields.Read("rate", segment.from_rate, 0, kMaxRate);
    segment.to_rate = segment.from_rate;
    fields.Read("to_rate", segment.to_rate, 0, kMaxRate);
    ACTSERVE_RETURN_IF_ERROR(fields.Finish());
    segment.seconds *= time_scale;
    plan.segments.push_back(segment);
  }
  return absl::OkStatus();
}

absl::StatusOr<LoadTemplate> ReadLoad(const json& value,
                                      const std::string& where,
                                      const std::string& folder,
                                      double time_scale) {
  LoadTemplate load;
  JsonFields fields(value, where);
  int given = 0;
  if (const json* closed = fields.Get("closed")) {
    ++given;
    ReadClosed(fields, *closed, load);
  }
  if (const json* rate = fields.Get("rate")) {
    ++given;
    load.plan.kind = LoadPlan::Kind::kOpen;
    const auto term =
        ParseTerm(rate->is_string() ? rate->get<std::string>() : rate->dump());
    fields.Check("rate", term.status());
    if (term.ok()) load.rate = *term;
    const std::optional<double> number =
        term.ok() ? NumberOf(*term) : std::nullopt;
    if (number && !(*number > 0 && *number <= kMaxRate)) {
      fields.Fail("rate", absl::StrCat(rate->dump(), ", limits above 0 and ",
                                       kMaxRate));
    }
    load.plan.arrivals.segments = {RateSegment()};
  }
  if (const json* segments = fields.GetArray("segments")) {
    ++given;
    load.plan.kind = LoadPlan::Kind::kOpen;
    fields.Check("segments", ReadSegments(*segments, "segments", time_scale,
                                          load.plan.arrivals));
  }
  std::string trace_file;
  fields.Read("trace", trace_file);
  if (!trace_file.empty()) {
    ++given;
    load.plan.kind = LoadPlan::Kind::kReplay;
    const auto text =
        ReadFile(trace_file[0] == '/' ? trace_file
                                      : absl::StrCat(folder, "/", trace_file));
    fields.Check("trace", text.status());
    if (text.ok()) {
      auto trace = ParseTrace(*text);
      fields.Check("trace", trace.status());
      if (trace.ok()) load.plan.trace = *std::move(trace);
    }
  }
  std::string arrivals = "poisson";
  fields.Read("arrivals", arrivals);
  if (arrivals != "poisson" && arrivals != "constant") {
    fields.Fail("arrivals", absl::StrCat(Quoted(arrivals),
                                         " is none of poisson, constant"));
  }
  load.plan.arrivals.poisson = arrivals == "poisson";
  fields.Read("max_in_flight", load.plan.max_in_flight, 1, kMaxInFlight);
  if (given != 1) {
    fields.Fail("", "give one of closed, rate, segments, trace");
  }
  ACTSERVE_RETURN_IF_ERROR(fields.Finish());
  return load;
}

absl::StatusOr<PhaseTemplate> ReadPhase(const json& value,
                                        const std::string& where,
                                        const Scenario& scenario,
                                        const std::string& folder,
                                        double time_scale) {
  PhaseTemplate result;
  Phase& phase = result.phase;
  JsonFields fields(value, where);
  fields.Read("name", phase.name);
  CheckName(fields, phase.name);
  fields.Read("warmup", phase.warmup_seconds, 0, kMaxSeconds);
  fields.Read("window", phase.window_seconds, 0.01, 3600);
  fields.Read("seconds", phase.seconds, 0.01, kMaxSeconds);
  fields.Read("max_blocked", phase.max_blocked_ratio, 0, 1);
  if (const json* rule = fields.Get("until_stable")) {
    StabilityRule stable;
    JsonFields each(*rule, fields.PlaceOf("until_stable"));
    each.Read("change", stable.change, 0.001, 10);
    each.Read("windows", stable.windows, 2, 100);
    each.Read("max_windows", stable.max_windows, stable.windows, 1000);
    fields.Check("until_stable", each.Finish());
    phase.until_stable = stable;
  }
  const json* loads = fields.Get("loads");
  if (loads == nullptr || !loads->is_object() || loads->empty()) {
    fields.Fail("loads", "missing: an object with a load for each workload");
  } else {
    int sweeps = 0;
    for (const auto& [name, load] : loads->items()) {
      std::vector<std::string> names;
      for (const WorkloadSpec& each : scenario.workloads) {
        names.push_back(each.name);
      }
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        fields.Fail("loads",
                    absl::StrCat(Quoted(name), " is no workload; there are ",
                                 absl::StrJoin(names, ", ")));
        break;
      }
      ACTSERVE_ASSIGN_OR_RETURN(
          LoadTemplate read,
          ReadLoad(load, fields.PlaceOf(absl::StrCat("loads.", name)), folder,
                   time_scale));
      sweeps += read.sweep.empty() ? 0 : 1;
      result.loads.emplace(name, std::move(read));
    }
    if (sweeps > 1) fields.Fail("loads", "more than one is a sweep");
  }
  ACTSERVE_RETURN_IF_ERROR(fields.Finish());
  phase.warmup_seconds *= time_scale;
  phase.seconds *= time_scale;
  phase.window_seconds = std::max(0.05, phase.window_seconds * time_scale);
  return result;
}

}  // namespace

absl::StatusOr<Scenario> ParseScenario(
    const std::string& text, const std::string& folder,
    const std::map<std::string, std::string>& definitions, double time_scale) {
  json root;
  try {
    root = json::parse(text, nullptr, /*allow_exceptions=*/true,
                       /*ignore_comments=*/true);
  } catch (const json::parse_error& error) {
    return InvalidArgument("no JSON: ", error.what());
  }
  ACTSERVE_RETURN_IF_ERROR(Substitute(definitions, root));
  Scenario scenario;
  JsonFields fields(root, "");
  std::string schema;
  fields.Read("schema", schema);
  if (schema != kScenarioSchema) {
    fields.Fail("schema", absl::StrCat(Quoted(schema), " is not \"",
                                       kScenarioSchema, "\""));
  }
  fields.Read("name", scenario.name);
  CheckName(fields, scenario.name);
  fields.Read("about", scenario.about);
  double seed = 1;
  fields.Read("seed", seed, 0, 0x1p53);
  scenario.seed = static_cast<uint64_t>(seed);
  const json* workloads = fields.GetArray("workloads");
  const json* phases = fields.GetArray("phases");
  const json* conditions = fields.GetArray("conditions");
  // For scripts/load_test, which starts what the scenario needs.
  for (const char* name : {"servers", "tenants", "faults"}) fields.Get(name);
  ACTSERVE_RETURN_IF_ERROR(fields.Finish());
  if (workloads == nullptr || workloads->empty() || phases == nullptr ||
      phases->empty()) {
    return InvalidArgument("workloads and phases: at least one of each");
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < workloads->size(); ++i) {
    const std::string where = At("workloads", i);
    ACTSERVE_ASSIGN_OR_RETURN(scenario.workloads.emplace_back(),
                              ReadWorkload((*workloads)[i], where, folder));
    names.push_back(scenario.workloads.back().name);
    if (std::count(names.begin(), names.end(), names.back()) > 1) {
      return InvalidArgument(where, ".name: ", Quoted(names.back()),
                             " is given twice");
    }
  }
  names.clear();
  for (size_t i = 0; i < phases->size(); ++i) {
    const std::string where = At("phases", i);
    ACTSERVE_ASSIGN_OR_RETURN(
        PhaseTemplate phase,
        ReadPhase((*phases)[i], where, scenario, folder, time_scale));
    names.push_back(phase.phase.name);
    if (std::count(names.begin(), names.end(), names.back()) > 1) {
      return InvalidArgument(where, ".name: ", Quoted(names.back()),
                             " is given twice");
    }
    scenario.phases.push_back(std::move(phase));
  }
  for (size_t i = 0; conditions != nullptr && i < conditions->size(); ++i) {
    const json& condition = (*conditions)[i];
    if (!condition.is_string()) {
      return InvalidArgument(At("conditions", i), ": ", condition.dump(),
                             " is not a string");
    }
    ACTSERVE_ASSIGN_OR_RETURN(scenario.conditions.emplace_back(),
                              ParseCondition(condition));
  }
  return scenario;
}

}  // namespace actserve
