#include "client/load/scenario/json_fields.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"

namespace actserve {

using nlohmann::json;

JsonFields::JsonFields(const json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object.is_object()) Fail("", absl::StrCat("not an object"));
}

std::string JsonFields::PlaceOf(const std::string& name) const {
  if (name.empty()) return where_.empty() ? "scenario" : where_;
  return where_.empty() ? name : absl::StrCat(where_, ".", name);
}

void JsonFields::Fail(const std::string& name, const std::string& message) {
  if (error_.ok()) error_ = InvalidArgument(PlaceOf(name), ": ", message);
}

void JsonFields::Check(const std::string& name, const absl::Status& status) {
  if (!status.ok()) Fail(name, std::string(status.message()));
}

const json* JsonFields::Get(const char* name) {
  read_.insert(name);
  if (!error_.ok()) return nullptr;
  const auto found = object_.find(name);
  return found == object_.end() ? nullptr : &*found;
}

const json* JsonFields::GetArray(const char* name) {
  const json* value = Get(name);
  if (value == nullptr || value->is_array()) return value;
  Fail(name, absl::StrCat(value->dump(), " is not a list"));
  return nullptr;
}

void JsonFields::Read(const char* name, double& to, double least, double most) {
  const json* value = Get(name);
  if (value == nullptr) return;
  if (!value->is_number()) {
    return Fail(name, absl::StrCat(value->dump(), " is not a number"));
  }
  const double number = *value;
  if (!(number >= least && number <= most)) {
    return Fail(name,
                absl::StrCat(value->dump(), ", limits ", least, " and ", most));
  }
  to = number;
}

void JsonFields::Read(const char* name, int& to, int least, int most) {
  double number = to;
  Read(name, number, least, most);
  if (number != static_cast<int>(number)) {
    return Fail(name, absl::StrCat(number, " is not an integer"));
  }
  to = static_cast<int>(number);
}

void JsonFields::Read(const char* name, bool& to) {
  const json* value = Get(name);
  if (value == nullptr) return;
  if (!value->is_boolean()) {
    return Fail(name, absl::StrCat(value->dump(), " is not true or false"));
  }
  to = *value;
}

void JsonFields::Read(const char* name, std::string& to) {
  const json* value = Get(name);
  if (value == nullptr) return;
  if (!value->is_string()) {
    return Fail(name, absl::StrCat(value->dump(), " is not a string"));
  }
  to = *value;
}

void JsonFields::Read(const char* name, std::vector<std::string>& to) {
  const json* value = GetArray(name);
  if (value == nullptr) return;
  std::vector<std::string> words;
  for (const json& word : *value) {
    if (!word.is_string()) {
      return Fail(name, absl::StrCat(word.dump(), " is not a string"));
    }
    words.push_back(word);
  }
  to = std::move(words);
}

absl::Status JsonFields::Finish() const {
  ACTSERVE_RETURN_IF_ERROR(error_);
  for (const auto& [name, value] : object_.items()) {
    if (!read_.contains(name)) {
      return InvalidArgument(PlaceOf(name), ": no such field; there are ",
                             absl::StrJoin(read_, ", "));
    }
  }
  return absl::OkStatus();
}

}  // namespace actserve
