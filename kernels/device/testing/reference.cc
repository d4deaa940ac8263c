#include "kernels/device/testing/reference.h"

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "kernels/graph/interpret.h"
#include "kernels/math/half.h"

namespace actserve::testing {
namespace {

template <typename T>
T Load(const std::string& tensor, int64_t i) {
  T value;
  std::memcpy(&value, tensor.data() + i * sizeof(T), sizeof(T));
  return value;
}

template <typename T>
void Append(std::string& tensor, T value) {
  tensor.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

double LoadElement(DType dtype, const std::string& tensor, int64_t i) {
  switch (dtype) {
    case DType::kFloat16:
      return actserve_f16_bits_to_f32(Load<uint16_t>(tensor, i));
    case DType::kBFloat16:
      return actserve_bf16_bits_to_f32(Load<uint16_t>(tensor, i));
    case DType::kFloat32:
      return Load<float>(tensor, i);
    case DType::kFloat64:
      return Load<double>(tensor, i);
  }
  return 0;
}

template <typename T>
void AppendRounded(DType dtype, T value, std::string& tensor) {
  constexpr bool kSingle = std::is_same_v<T, float>;
  switch (dtype) {
    case DType::kFloat16:
      Append(tensor, kSingle ? actserve_f32_to_f16_bits(value)
                             : actserve_f64_to_f16_bits(value));
      break;
    case DType::kBFloat16:
      Append(tensor, kSingle ? actserve_f32_to_bf16_bits(value)
                             : actserve_f64_to_bf16_bits(value));
      break;
    case DType::kFloat32:
      Append(tensor, static_cast<float>(value));
      break;
    case DType::kFloat64:
      Append(tensor, static_cast<double>(value));
      break;
  }
}

template <typename T>
Results Run(const LoweredProgram& program,
            const std::vector<std::string>& inputs,
            const std::vector<double>& parameters, const Rows& rows,
            const std::vector<BroadcastTensor>& broadcasts,
            int64_t element_offset) {
  const Graph& graph = program.graph;
  const int64_t num_elements =
      inputs[0].size() / ItemSizeBytes(program.storage);
  const std::vector<T> rounded(parameters.begin(), parameters.end());
  Results results;
  std::vector<std::vector<double>> contributions;
  std::vector<int32_t> like;
  for (const Output& output : graph.outputs) {
    if (output.summed) {
      contributions.emplace_back();
      like.push_back(output.like);
    } else {
      results.outputs.emplace_back();
    }
  }
  const auto inputs_of = [&](int64_t i) {
    std::vector<T> elements;
    for (size_t t = 0; t < graph.inputs.size() - broadcasts.size(); ++t) {
      elements.push_back(LoadElement(program.storage, inputs[t], i));
    }
    for (const BroadcastTensor& tensor : broadcasts) {
      elements.push_back(
          LoadElement(program.storage, tensor.data, tensor.shape.IndexOf(i)));
    }
    return elements;
  };
  // Of a program that reads rows, by output and element.
  std::vector<std::vector<T>> by_row;
  if (graph.HasRows()) {
    by_row.assign(graph.outputs.size(), std::vector<T>(num_elements));
    for (int64_t r = 0; r < num_elements / rows.size; ++r) {
      const auto index = [&](int64_t k) {
        return r / rows.stride * rows.size * rows.stride + k * rows.stride +
               r % rows.stride;
      };
      std::vector<std::vector<T>> row;
      for (int64_t k = 0; k < rows.size; ++k) {
        row.push_back(inputs_of(index(k)));
      }
      const DrawState draws = {
          parameters, static_cast<uint64_t>(element_offset + index(0))};
      const auto values =
          EvaluateRow<T>(graph, row, rounded, draws, rows.stride);
      for (size_t o = 0; o < values.size(); ++o) {
        for (int64_t k = 0; k < rows.size; ++k) {
          by_row[o][index(k)] = values[o][k];
        }
      }
    }
  }
  for (int64_t i = 0; i < num_elements; ++i) {
    std::vector<T> values;
    if (by_row.empty()) {
      const DrawState draws = {parameters,
                               static_cast<uint64_t>(element_offset + i)};
      values = Evaluate<T>(graph, inputs_of(i), rounded, draws);
    } else {
      for (const std::vector<T>& output : by_row) values.push_back(output[i]);
    }
    size_t tensor = 0;
    size_t sum = 0;
    for (size_t o = 0; o < values.size(); ++o) {
      if (program.rule == LoweredProgram::Rule::kDerivative16) {
        const float upstream = LoadElement(program.storage, inputs.back(), i);
        AppendRounded(program.storage,
                      upstream * actserve_f64_derivative_to_f32(values[o]),
                      results.outputs[tensor++]);
      } else if (graph.outputs[o].summed) {
        contributions[sum++].push_back(values[o]);
      } else {
        AppendRounded(program.storage, values[o], results.outputs[tensor++]);
      }
    }
  }
  for (size_t s = 0; s < contributions.size(); ++s) {
    if (like[s] < 0) {
      results.sums.push_back(SumByTheBook(contributions[s]));
      continue;
    }
    for (const double sum :
         SumByTheBook(broadcasts[like[s]].shape, contributions[s])) {
      results.sums.push_back(sum);
    }
  }
  return results;
}

double RandomNumber(std::mt19937& random) {
  switch (random() % 8) {
    case 0: {
      constexpr double kSpecial[] = {
          0.0,   -0.0,  INFINITY, -INFINITY, NAN,     5e-324,  1e-310,
          1e-45, 1e-40, 1.2e-38,  3.4e38,    -3.4e38, 6e-8,    65504,
          88.7,  -88.7, -104,     1.7e308,   -1e300,  0x1p-149};
      return kSpecial[random() % std::size(kSpecial)];
    }
    case 1:
      return static_cast<double>(random() % 33) / 2 - 8;
    case 2:
    case 3:
    case 4:
      return std::normal_distribution<double>(0, 1)(random);
    case 5:
      return std::normal_distribution<double>(0, 30)(random);
    default: {
      const double magnitude =
          std::exp2(std::normal_distribution<double>(0, 60)(random));
      return random() % 2 == 0 ? magnitude : -magnitude;
    }
  }
}

// Tensors of a generator whose first elements do not depend on their number.
// Tests ask for the same ones again and again, and making them took longer than
// running programs on them. Thread-safe.
class KnownTensors {
 public:
  using Make = std::string (*)(DType, int64_t count, uint32_t seed);
  explicit KnownTensors(Make make) : make_(make) {}

  std::string Get(DType dtype, int64_t count, uint32_t seed) {
    const absl::MutexLock lock(&mutex_);
    std::string& longest = longest_[{dtype, seed}];
    const size_t size = count * ItemSizeBytes(dtype);
    if (longest.size() < size) longest = make_(dtype, count, seed);
    return longest.substr(0, size);
  }

 private:
  const Make make_;
  absl::Mutex mutex_;
  std::map<std::pair<DType, uint32_t>, std::string> longest_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace

double SumByTheBook(const std::vector<double>& contributions) {
  std::vector<double> level;
  for (size_t begin = 0; begin < contributions.size(); begin += 4096) {
    std::vector<double> lanes(128, 0.0);
    for (size_t i = 0; i < 4096 && begin + i < contributions.size(); ++i) {
      lanes[i % 128] += contributions[begin + i];
    }
    for (size_t stride : {64, 32, 16, 8, 4, 2, 1}) {
      for (size_t j = 0; j < stride; ++j) lanes[j] += lanes[j + stride];
    }
    level.push_back(lanes[0]);
  }
  if (level.empty()) return 0;
  while (level.size() > 1) {
    std::vector<double> next;
    for (size_t j = 0; j + 1 < level.size(); j += 2) {
      next.push_back(level[j] + level[j + 1]);
    }
    if (level.size() % 2 == 1) next.push_back(level.back());
    level = std::move(next);
  }
  return level[0];
}

std::vector<double> SumByTheBook(const Broadcast& shape,
                                 std::vector<double> contributions) {
  const auto dimensions = shape.dimensions();
  int64_t inner = 1;
  for (size_t d = dimensions.size(); d-- > 0;) {
    const auto [size, repeated] = dimensions[d];
    if (!repeated) {
      inner *= size;
      continue;
    }
    int64_t outer = 1;
    for (size_t o = 0; o < d; ++o) outer *= dimensions[o].size;
    std::vector<double> sums;
    for (int64_t i = 0; i < outer * inner; ++i) {
      std::vector<double> terms;
      for (int64_t k = 0; k < size; ++k) {
        terms.push_back(
            contributions[(i / inner * size + k) * inner + i % inner]);
      }
      if (d + 1 == dimensions.size()) {
        sums.push_back(SumByTheBook(terms));
        continue;
      }
      std::vector<double> groups = {0};
      for (size_t k = 0; k < terms.size(); ++k) {
        if (k > 0 && k % 64 == 0) groups.push_back(0);
        groups.back() += terms[k];
      }
      while (groups.size() > 1) {
        std::vector<double> next;
        for (size_t g = 0; g + 1 < groups.size(); g += 2) {
          next.push_back(groups[g] + groups[g + 1]);
        }
        if (groups.size() % 2 == 1) next.push_back(groups.back());
        groups = next;
      }
      sums.push_back(groups[0]);
    }
    contributions = sums;
  }
  return contributions;
}

Results RunReference(const LoweredProgram& program,
                     const std::vector<std::string>& inputs,
                     const std::vector<double>& parameters, const Rows& rows,
                     const std::vector<BroadcastTensor>& broadcasts,
                     int64_t element_offset) {
  return program.compute == DType::kFloat64
             ? Run<double>(program, inputs, parameters, rows, broadcasts,
                           element_offset)
             : Run<float>(program, inputs, parameters, rows, broadcasts,
                          element_offset);
}

Results RunOnDevice(Device& device, const LoweredProgram& program,
                    const std::vector<std::string>& inputs,
                    const std::vector<double>& parameters, const Rows& rows,
                    const std::vector<BroadcastTensor>& broadcasts,
                    int64_t element_offset) {
  absl::StatusOr<std::shared_ptr<const Program>> compiled =
      device.Compile(program);
  if (!compiled.ok()) {
    ADD_FAILURE() << compiled.status();
    return {};
  }
  std::vector<Fragment> fragments;
  for (const std::string& input : inputs) {
    fragments.push_back(
        {reinterpret_cast<const std::byte*>(input.data()), input.size()});
  }
  Results results;
  for (const Output& output : program.graph.outputs) {
    if (!output.summed) results.outputs.emplace_back(inputs[0].size(), '?');
  }
  WorkItem item;
  item.num_elements = inputs[0].size() / ItemSizeBytes(program.storage);
  item.rows = rows;
  item.element_offset = element_offset;
  item.parameters = parameters;
  for (const Fragment& fragment : fragments) {
    item.inputs.push_back(absl::MakeConstSpan(&fragment, 1));
  }
  std::vector<Fragment> small;
  for (const BroadcastTensor& tensor : broadcasts) {
    small.push_back({reinterpret_cast<const std::byte*>(tensor.data.data()),
                     tensor.data.size()});
  }
  for (size_t b = 0; b < broadcasts.size(); ++b) {
    item.broadcasts.push_back(
        {absl::MakeConstSpan(&small[b], 1), broadcasts[b].shape});
  }
  for (std::string& output : results.outputs) {
    item.outputs.push_back(reinterpret_cast<std::byte*>(output.data()));
  }
  const absl::Status ran = device.Run(**compiled, absl::MakeSpan(&item, 1));
  if (!ran.ok()) {
    ADD_FAILURE() << ran;
    return {};
  }
  results.sums = item.sums;
  return results;
}

std::string Difference(DType dtype, const std::string& got,
                       const std::string& want) {
  if (got.size() != want.size()) {
    return absl::StrCat("size ", got.size(), ", want ", want.size());
  }
  const int64_t item_size = ItemSizeBytes(dtype);
  for (size_t at = 0; at < got.size(); at += item_size) {
    const int64_t i = at / item_size;
    if (std::memcmp(got.data() + at, want.data() + at, item_size) == 0) {
      continue;
    }
    const double got_value = LoadElement(dtype, got, i);
    const double want_value = LoadElement(dtype, want, i);
    if (std::isnan(got_value) && std::isnan(want_value)) continue;
    return ::testing::PrintToString(i) + ": " +
           ::testing::PrintToString(got_value) + ", want " +
           ::testing::PrintToString(want_value);
  }
  return "";
}

std::string Difference(const LoweredProgram& program, const Results& got,
                       const Results& want) {
  if (got.outputs.size() != want.outputs.size() ||
      got.sums.size() != want.sums.size()) {
    return "other numbers of outputs or sums";
  }
  for (size_t o = 0; o < got.outputs.size(); ++o) {
    const std::string difference =
        Difference(program.storage, got.outputs[o], want.outputs[o]);
    if (!difference.empty()) {
      return absl::StrCat("output ", o, ", element ", difference);
    }
  }
  for (size_t s = 0; s < got.sums.size(); ++s) {
    std::string got_bytes;
    std::string want_bytes;
    Append(got_bytes, got.sums[s]);
    Append(want_bytes, want.sums[s]);
    const std::string difference =
        Difference(DType::kFloat64, got_bytes, want_bytes);
    if (!difference.empty()) return absl::StrCat("sum ", s, ", ", difference);
  }
  return "";
}

std::string RandomTensor(DType dtype, int64_t num_elements, uint32_t seed) {
  static KnownTensors known([](DType dtype, int64_t count, uint32_t seed) {
    std::mt19937 random(seed);
    std::string tensor;
    for (int64_t i = 0; i < count; ++i) {
      if (random() % 8 == 0) {
        for (int64_t b = 0; b < ItemSizeBytes(dtype); ++b) {
          tensor.push_back(static_cast<char>(random()));
        }
      } else {
        AppendRounded(dtype, RandomNumber(random), tensor);
      }
    }
    return tensor;
  });
  return known.Get(dtype, num_elements, seed);
}

std::string OrdinaryTensor(DType dtype, int64_t num_elements, uint32_t seed) {
  static KnownTensors known([](DType dtype, int64_t count, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal(0, 2);
    std::string tensor;
    for (int64_t i = 0; i < count; ++i) {
      const double number = normal(random);
      AppendRounded(dtype, i % 4 == 0 ? std::round(2 * number) / 2 : number,
                    tensor);
    }
    return tensor;
  });
  return known.Get(dtype, num_elements, seed);
}

LoweredProgram MakeProgram(const std::string& name, Graph graph,
                           DType storage) {
  LoweredProgram program;
  program.graph = std::move(graph);
  program.storage = storage;
  bool sums = false;
  for (const Output& output : program.graph.outputs) sums |= output.summed;
  if (Is16Bit(storage) && program.graph.inputs.size() == 1 && !sums &&
      !program.graph.HasRows() && !program.graph.HasDraws()) {
    program.rule = LoweredProgram::Rule::kRoundOnce16;
  }
  program.compute = storage == DType::kFloat64 ||
                            program.rule == LoweredProgram::Rule::kRoundOnce16
                        ? DType::kFloat64
                        : DType::kFloat32;
  program.program_id =
      absl::StrCat("test:", name, ":", std::string(DTypeName(storage)));
  return program;
}

}  // namespace actserve::testing
