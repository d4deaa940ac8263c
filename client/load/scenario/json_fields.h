#ifndef ACTSERVE_CLIENT_LOAD_SCENARIO_JSON_FIELDS_H_
#define ACTSERVE_CLIENT_LOAD_SCENARIO_JSON_FIELDS_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"

namespace actserve {

// Reads the fields of a JSON object, each at most once and within limits. The
// first error stays; the reads after it leave their targets as they are.
class JsonFields {
 public:
  // `where` names the object in messages: "phases[2]".
  JsonFields(const nlohmann::json& object, std::string where);

  // A field that is missing leaves the target as it is.
  void Read(const char* name, double& to, double least, double most);
  void Read(const char* name, int& to, int least, int most);
  void Read(const char* name, bool& to);
  void Read(const char* name, std::string& to);
  void Read(const char* name, std::vector<std::string>& to);
  // Null: there is none.
  const nlohmann::json* Get(const char* name);
  // The same, which must be an array.
  const nlohmann::json* GetArray(const char* name);

  // An error about a field.
  void Fail(const std::string& name, const std::string& message);
  // `status`, if it is an error, of that field.
  void Check(const std::string& name, const absl::Status& status);
  // "phases[2].seconds"; of the object itself if `name` is empty.
  std::string PlaceOf(const std::string& name) const;

  // InvalidArgument  the first error, or a field that nobody has read
  absl::Status Finish() const;

 private:
  const nlohmann::json& object_;
  const std::string where_;
  std::set<std::string> read_;
  absl::Status error_;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_SCENARIO_JSON_FIELDS_H_
