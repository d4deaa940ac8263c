#include "server/identity/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A token of 64 digits for @.
std::string File(const std::string& text) {
  return absl::StrReplaceAll(text, {{"@", Sha256Hex("secret")}, {"'", "\""}});
}

TEST(TokenFile, HasTenantsAndTokens) {
  const auto file = ParseTokenFile(
      File("{'tenants': {'a': {'requests_per_second': 1.5, "
           "'bytes_in_flight': 1000, 'residual_bytes': 0, "
           "'registered_activations': 3, 'compile_seconds_per_minute': 2}},"
           "'tokens': [{'sha256': '@', 'tenant': 'a', "
           "'roles': ['compute', 'admin']}]}"));

  ASSERT_TRUE(file.ok()) << file.status();
  const TenantQuotas& quotas = file->tenants.at("a");
  EXPECT_EQ(quotas.requests_per_second, 1.5);
  EXPECT_EQ(quotas.bytes_in_flight, 1000);
  EXPECT_EQ(quotas.residual_bytes, 0);
  EXPECT_EQ(quotas.registered_activations, 3);
  EXPECT_EQ(quotas.compile_time_per_minute, absl::Seconds(2));
  ASSERT_EQ(file->tokens.size(), 1);
  EXPECT_EQ(file->tokens[0].digest, Sha256("secret"));
  EXPECT_EQ(file->tokens[0].tenant, "a");
  EXPECT_TRUE(file->tokens[0].roles.Has(Role::kCompute));
  EXPECT_FALSE(file->tokens[0].roles.Has(Role::kRegister));
  EXPECT_TRUE(file->tokens[0].roles.Has(Role::kAdmin));
}

TEST(TokenFile, ATokenMayExpire) {
  const auto file = ParseTokenFile(
      File("{'tokens': [{'sha256': '@', 'tenant': 'a', 'roles': ['compute'], "
           "'expires': '2000-01-01T00:00:01Z'}]}"));

  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tokens[0].expires, absl::FromUnixSeconds(946'684'801));
}

TEST(TokenFile, TellsWhatIsWrongButNoDigest) {
  const std::string good = "'sha256': '@', 'tenant': 'a', 'roles': ['compute']";
  const struct {
    std::string json;
    std::string message;
  } cases[] = {
      {"", "not JSON"},
      {"[]", "the file: not an object"},
      {"{}", "tokens: not a list"},
      {"{'tokens': [], 'token': []}", "the file: 'token' is not a name here"},
      {"{'tokens': {}}", "tokens: not a list"},
      {"{'tokens': [7]}", "tokens[0]: not an object"},
      {"{'tokens': [{}]}", "tokens[0].sha256: not 64 hexadecimal digits"},
      {"{'tokens': [{'sha256': 'secret'}]}", "tokens[0].sha256: not 64"},
      {"{'tokens': [{'sha256': '@0'}]}", "tokens[0].sha256: not 64"},
      {"{'tokens': [{'sha256': '@'}]}", "tokens[0].tenant: the name"},
      {"{'tokens': [{'sha256': '@', 'tenant': 'a b'}]}", "without spaces"},
      {"{'tokens': [{'sha256': '@', 'tenant': 'a'}]}", "tokens[0].roles: none"},
      {"{'tokens': [{'sha256': '@', 'tenant': 'a', 'roles': ['root']}]}",
       "tokens[0].roles: not one of compute, register, admin"},
      {"{'tokens': [{'sha256': '@', 'tenant': 'a', 'roles': [], 'role': 1}]}",
       "tokens[0]: 'role' is not a name here"},
      {absl::StrCat("{'tokens': [{", good, ", 'expires': 1}]}"),
       "tokens[0].expires: not a time in UTC such as"},
      {absl::StrCat("{'tokens': [{", good, ", 'expires': '2030-01-01'}]}"),
       "tokens[0].expires"},
      {absl::StrCat("{'tokens': [{", good,
                    ", 'expires': '2030-01-01T00:00:00+01:00'}]}"),
       "tokens[0].expires"},
      {absl::StrCat("{'tokens': [{", good,
                    ", 'expires': '2030-02-30T00:00:00Z'}]}"),
       "tokens[0].expires"},
      {absl::StrCat("{'tokens': [{", good, ", 'expires': 'infinite-future'}]}"),
       "tokens[0].expires"},
      {absl::StrCat("{'tokens': [{", good, "}, {", good, "}]}"),
       "tokens[1].sha256: given more than once"},
      {"{'tenants': [], 'tokens': []}", "tenants: not an object"},
      {"{'tenants': {'': {}}, 'tokens': []}", "tenants: the name"},
      {"{'tenants': {'a': {'bytes': 1}}, 'tokens': []}",
       "tenants.a: 'bytes' is not a name here"},
      {"{'tenants': {'a': {'residual_bytes': -1}}, 'tokens': []}",
       "tenants.a.residual_bytes: not a whole number"},
      {"{'tenants': {'a': {'bytes_in_flight': 1e30}}, 'tokens': []}",
       "tenants.a.bytes_in_flight: not a whole number"},
      {"{'tenants': {'a': {'requests_per_second': 0}}, 'tokens': []}",
       "tenants.a.requests_per_second: not a number of at least 0.001"},
      {"{'tenants': {'a': {'compile_seconds_per_minute': '1'}}, 'tokens': []}",
       "tenants.a.compile_seconds_per_minute: not a number"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.json);
    const absl::Status status = ParseTokenFile(File(c.json)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
    EXPECT_THAT(std::string(status.message()),
                Not(HasSubstr(Sha256Hex("secret").substr(0, 8))));
  }
}

TEST(TokenFile, TakesNothingTwice) {
  for (const char* text :
       {R"({"tokens": [], "tokens": []})",
        R"({"tenants": {"a": {"residual_bytes": 1}, "a": {}}, "tokens": []})",
        R"({"tenants": {"a": {"residual_bytes": 1, "residual_bytes": 2}},
            "tokens": []})"}) {
    EXPECT_THAT(std::string(ParseTokenFile(text).status().message()),
                HasSubstr("more than once"));
  }
  // The same name in two objects is none of these.
  EXPECT_TRUE(ParseTokenFile(R"({"tenants": {"a": {"residual_bytes": 1},
      "b": {"residual_bytes": 1}}, "tokens": []})")
                  .ok());
}

TEST(TokenFile, EndsWhereItEnds) {
  EXPECT_TRUE(ParseTokenFile(R"({"tokens": []})").ok());
  EXPECT_FALSE(
      ParseTokenFile(absl::string_view("{\"tokens\": []}\0{", 17)).ok());
}

TEST(TokenFile, SurvivesDeepNesting) {
  // One that is closed is JSON, and once overflowed the stack.
  const std::string open(1'000'000, '['), close(1'000'000, ']');
  for (const std::string& deep :
       {open, open + close, "{\"tokens\":" + open + close + "}"}) {
    EXPECT_FALSE(ParseTokenFile(deep).ok());
  }
}

}  // namespace
}  // namespace actserve
