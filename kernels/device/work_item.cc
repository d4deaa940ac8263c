#include "kernels/device/work_item.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "kernels/device/fragment_cursor.h"
#include "kernels/graph/draws.h"

namespace actserve {
namespace {

// `what` names the tensors that `parts` are of.
absl::Status CheckParts(const LoweredProgram& program, const char* what,
                        absl::Span<const TensorPart> parts, size_t num_tensors,
                        int64_t num_elements) {
  if (parts.size() > num_tensors ||
      (!parts.empty() && program.rule != LoweredProgram::Rule::kDirect)) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": ", parts.size(), " parts, but the program takes ",
        program.rule == LoweredProgram::Rule::kDirect ? num_tensors : 0));
  }
  for (const TensorPart& part : parts) {
    if (part.run <= 0 || part.offset < 0 ||
        part.offset > part.stride - part.run || num_elements % part.run != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": a part of ", num_elements, " elements, ",
                       part.run, " of every ", part.stride, " from ",
                       part.offset, " on, is none of a tensor"));
    }
  }
  return absl::OkStatus();
}

// Of an item whose sizes have been checked.
absl::Status CheckAddresses(const LoweredProgram& program,
                            const WorkItem& item) {
  if (!item.input_parts.empty() || !item.output_parts.empty()) {
    return absl::InvalidArgumentError(
        "tensors in device memory are not computed in parts");
  }
  const auto check = [&](const char* what, size_t i, const std::byte* data) {
    const int64_t size_bytes = ItemSizeBytes(program.storage);
    if (reinterpret_cast<uintptr_t>(data) % size_bytes == 0) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat(what, " ", i, ": its device address is no multiple of ",
                     size_bytes, ", the bytes of an element"));
  };
  for (size_t i = 0; i < item.inputs.size() && item.num_elements > 0; ++i) {
    if (item.inputs[i].size() != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("input ", i, ": ", item.inputs[i].size(),
                       " fragments in device memory, want 1"));
    }
    absl::Status status = check("input", i, item.inputs[i][0].data);
    if (!status.ok()) return status;
  }
  for (size_t o = 0; o < item.outputs.size(); ++o) {
    absl::Status status = check("output", o, item.outputs[o]);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CheckItem(const LoweredProgram& program, const WorkItem& item) {
  const Graph& graph = program.graph;
  if (item.num_elements < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_elements ", item.num_elements, " is negative"));
  }
  const auto differs = [](const char* what, size_t got, size_t want) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": ", got, " given, but the program has ", want));
  };
  const size_t num_inputs = program.num_tensor_inputs();
  const size_t num_resident =
      item.resident == nullptr ? 0 : item.resident->num_tensors();
  if (item.inputs.size() + num_resident != num_inputs) {
    return differs("tensor inputs", item.inputs.size() + num_resident,
                   num_inputs);
  }
  if (num_resident > 0 && (item.resident->num_elements() != item.num_elements ||
                           item.resident->dtype() != program.storage)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "resident inputs: ", item.resident->num_elements(), " elements of ",
        std::string(DTypeName(item.resident->dtype())), ", want ",
        item.num_elements, " of ", std::string(DTypeName(program.storage))));
  }
  if (item.parameters.size() != graph.parameters.size()) {
    return differs("parameters", item.parameters.size(),
                   graph.parameters.size());
  }
  if (item.element_offset < 0 ||
      item.element_offset >
          std::numeric_limits<int64_t>::max() - item.num_elements) {
    return absl::InvalidArgumentError(
        absl::StrCat("element_offset ", item.element_offset, " for ",
                     item.num_elements, " elements"));
  }
  for (const int32_t seed : SeedParameters(graph)) {
    if (!IsDrawOperand(item.parameters[seed], kMaxSeed)) {
      return absl::InvalidArgumentError(
          absl::StrCat("parameter ", seed, ": the seed ", item.parameters[seed],
                       " is no integer from 0 to 2^53"));
    }
  }
  size_t num_summed = 0;
  for (const Output& output : graph.outputs) num_summed += output.summed;
  if (item.outputs.size() != graph.outputs.size() - num_summed) {
    return differs("outputs", item.outputs.size(),
                   graph.outputs.size() - num_summed);
  }
  for (const absl::Status& checked :
       {CheckParts(program, "inputs", item.input_parts, item.inputs.size(),
                   item.num_elements),
        CheckParts(program, "outputs", item.output_parts, item.outputs.size(),
                   item.num_elements)}) {
    if (!checked.ok()) return checked;
  }
  for (size_t i = 0; i < item.inputs.size(); ++i) {
    const auto want_bytes = static_cast<size_t>(
        PartAt(item.input_parts, i).TensorElements(item.num_elements) *
        ItemSizeBytes(program.storage));
    const size_t got_bytes = TotalSizeBytes(item.inputs[i]);
    if (got_bytes != want_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("input ", i, ": ", got_bytes, " bytes for ",
                       item.num_elements, " elements, want ", want_bytes));
    }
  }
  if (item.broadcasts.size() != static_cast<size_t>(program.num_broadcasts)) {
    return differs("broadcast inputs", item.broadcasts.size(),
                   program.num_broadcasts);
  }
  for (size_t b = 0; b < item.broadcasts.size(); ++b) {
    const BroadcastInput& input = item.broadcasts[b];
    const size_t got_bytes = TotalSizeBytes(input.data);
    const size_t want_bytes = static_cast<size_t>(input.shape.num_elements()) *
                              ItemSizeBytes(program.storage);
    if (got_bytes != want_bytes ||
        input.shape.num_read() != item.num_elements) {
      return absl::InvalidArgumentError(
          absl::StrCat("broadcast input ", b, ": ", got_bytes, " bytes, want ",
                       want_bytes, ", read as ", input.shape.num_read(),
                       " elements, want ", item.num_elements));
    }
  }
  const Rows& rows = item.rows;
  if (item.num_elements > 0 &&
      (rows.size <= 0 || rows.stride <= 0 ||
       item.num_elements / rows.size % rows.stride != 0 ||
       item.num_elements % rows.size != 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rows of ", rows.size, " elements, ", rows.stride,
                     " apart, do not fill ", item.num_elements, " elements"));
  }
  for (size_t o = 0; o < item.outputs.size(); ++o) {
    if (item.outputs[o] == nullptr && item.num_elements > 0) {
      return absl::InvalidArgumentError(absl::StrCat("output ", o, " is null"));
    }
  }
  return item.in_device_memory ? CheckAddresses(program, item)
                               : absl::OkStatus();
}

}  // namespace

absl::Status CheckItems(const LoweredProgram& program, bool has_memory,
                        absl::Span<const WorkItem> items) {
  for (const WorkItem& item : items) {
    if (item.resident != nullptr && !has_memory) {
      return absl::InvalidArgumentError(
          "resident inputs: the device keeps none");
    }
    if (item.in_device_memory && !has_memory) {
      return absl::FailedPreconditionError(
          "tensors in device memory: the device computes in that of the host");
    }
    absl::Status checked = CheckItem(program, item);
    if (!checked.ok()) return checked;
  }
  return absl::OkStatus();
}

}  // namespace actserve
