#include "server/identity/authenticator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/civil_time.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/device/testing/scratch_directory.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Credentials = Authenticator::Credentials;

class AuthenticatorTest : public ::testing::Test {
 protected:
  AuthenticatorTest() { path_ = folder_.path() + "/tokens.json"; }

  static std::string Entry(const std::string& token, const std::string& tenant,
                           const std::string& role) {
    return absl::StrCat("{\"sha256\": \"", Sha256Hex(token),
                        "\", \"tenant\": \"", tenant, "\", \"roles\": [\"",
                        role, "\"]}");
  }
  void Write(const std::string& tokens) {
    const std::string draft = folder_.path() + "/draft";
    std::ofstream(draft) << "{\"tokens\": [" << tokens << "]}";
    chmod(draft.c_str(), 0600);
    std::filesystem::rename(draft, path_);
  }
  std::unique_ptr<Authenticator> Create() {
    auto made = Authenticator::Create({.tokens = path_});
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }
  static std::string TenantOf(const Authenticator& authenticator,
                              const Credentials& credentials) {
    const auto identity = authenticator.Authenticate(credentials);
    return identity.ok() ? identity->tenant->name()
                         : std::string(identity.status().message());
  }

  const testing::ScratchDirectory folder_;
  std::string path_;
};

TEST_F(AuthenticatorTest, KnowsTenantsByToken) {
  Write(Entry("one", "a", "compute") + "," + Entry("two", "b", "register"));
  const auto authenticator = Create();

  EXPECT_EQ(TenantOf(*authenticator, {.authorization = "Bearer one"}), "a");
  EXPECT_EQ(TenantOf(*authenticator, {.authorization = "bearer two"}), "b");
  const auto refused =
      authenticator->Authorize({.authorization = "Bearer one"}, Role::kAdmin);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("admin"));
  EXPECT_TRUE(
      authenticator->Authorize({.authorization = "Bearer one"}, Role::kCompute)
          .ok());
}

TEST_F(AuthenticatorTest, ADeniedCallCostsOfTheQuota) {
  Write(Entry("one", "a", "compute"));
  const auto authenticator = Create();
  const absl::Time now = absl::Now();
  const Credentials one = {.authorization = "Bearer one"};
  authenticator->Authenticate(one)->tenant->SetQuotas(
      {.requests_per_second = 2});
  const auto code = [&](Role role) {
    return authenticator->Authorize(one, role, now).status().code();
  };

  EXPECT_EQ(code(Role::kAdmin), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(Role::kCompute), absl::StatusCode::kOk);
  EXPECT_EQ(code(Role::kCompute), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code(Role::kAdmin), absl::StatusCode::kResourceExhausted);
}

TEST_F(AuthenticatorTest, SaysTheSameOfEveryWrongToken) {
  Write(Entry("one", "a", "compute"));
  const auto authenticator = Create();

  for (const std::string& wrong :
       {std::string("Bearer on"), std::string("Bearer onee"),
        std::string("Bearer "), std::string("one"), std::string("Basic one"),
        std::string("Bearer  one"), "Bearer " + Sha256Hex("one"),
        "Bearer " + std::string(100'000, 'x')}) {
    const auto status =
        authenticator->Authenticate({.authorization = wrong}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
    EXPECT_EQ(status.message(), "the token is not valid on this server");
  }
  const auto twice = authenticator->Authenticate(
      {.authorization = "Bearer one", .is_ambiguous = true});
  EXPECT_EQ(twice.status().message(), "the token is not valid on this server");
  EXPECT_EQ(authenticator->Authenticate({}).status().code(),
            absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(authenticator->Authenticate({.common_name = "a"}).status().code(),
            absl::StatusCode::kUnauthenticated)
      << "a certificate is no token";
}

TEST_F(AuthenticatorTest, AnExpiredTokenIsAWrongOne) {
  std::string entry = Entry("one", "a", "compute");
  entry.insert(entry.size() - 1, ", \"expires\": \"2030-01-31T12:00:00Z\"");
  Write(entry + "," + Entry("two", "b", "compute"));
  const auto authenticator = Create();
  const absl::Time end =
      absl::FromCivil(absl::CivilHour(2030, 1, 31, 12), absl::UTCTimeZone());
  const auto at = [&](const std::string& token, absl::Time now) {
    return authenticator->Authenticate({.authorization = token}, now).status();
  };

  EXPECT_TRUE(at("Bearer one", end - absl::Nanoseconds(1)).ok());
  EXPECT_EQ(
      at("Bearer one", end),
      absl::UnauthenticatedError("the token is not valid on this server"));
  EXPECT_TRUE(at("Bearer two", end + absl::Hours(100'000)).ok());
}

TEST_F(AuthenticatorTest, TheUnixSocketIsTheTenantLocal) {
  Write(Entry("one", "a", "compute"));
  const auto authenticator = Create();

  const auto local =
      authenticator->Authorize({.is_unix_socket = true}, Role::kAdmin);
  ASSERT_TRUE(local.ok());
  EXPECT_EQ(local->tenant->name(), "local");
  EXPECT_EQ(TenantOf(*authenticator,
                     {.is_unix_socket = true, .authorization = "Bearer one"}),
            "a");
  EXPECT_EQ(TenantOf(*authenticator,
                     {.is_unix_socket = true, .authorization = "Bearer two"}),
            "the token is not valid on this server");
}

TEST_F(AuthenticatorTest, WithoutTokensTheCertificateNamesTheTenant) {
  const auto made = Authenticator::Create({});
  ASSERT_TRUE(made.ok());
  const Authenticator& authenticator = **made;

  EXPECT_EQ(TenantOf(authenticator, {.common_name = "alice"}), "alice");
  EXPECT_FALSE(authenticator.Authenticate({}).ok());
  EXPECT_FALSE(authenticator.Authenticate({.common_name = "a b"}).ok());
  EXPECT_TRUE(
      authenticator.Authorize({.common_name = "alice"}, Role::kRegister).ok());
  EXPECT_EQ(authenticator.Authorize({.common_name = "alice"}, Role::kAdmin)
                .status()
                .code(),
            absl::StatusCode::kPermissionDenied);
  const auto named_local = authenticator.Authenticate({.common_name = "local"});
  const auto local = authenticator.Authenticate({.is_unix_socket = true});
  EXPECT_NE(named_local->tenant, local->tenant);
}

TEST_F(AuthenticatorTest, ReadsAChangedFileAndKeepsItsTenants) {
  Write(Entry("one", "a", "compute"));
  const auto authenticator = Create();
  Tenant* const before =
      authenticator->Authenticate({.authorization = "Bearer one"})->tenant;

  Write(Entry("two", "a", "compute"));
  authenticator->ReloadIfChanged();
  authenticator->ReloadIfChanged();

  EXPECT_FALSE(
      authenticator->Authenticate({.authorization = "Bearer one"}).ok());
  EXPECT_EQ(
      authenticator->Authenticate({.authorization = "Bearer two"})->tenant,
      before);
}

// With 4096 names since the start a reload once failed for good, and a token
// that was taken out of the file stayed valid.
TEST_F(AuthenticatorTest, ForgetsTokensHoweverManyTenantsThereWere) {
  const auto write = [&](const std::string& prefix, int count) {
    std::vector<std::string> entries;
    for (int i = 0; i < count; ++i) {
      const std::string name = absl::StrCat(prefix, i);
      entries.push_back(Entry(name, name, "compute"));
    }
    Write(absl::StrJoin(entries, ","));
  };
  write("old", 3000);
  const auto authenticator = Create();

  write("new", 3000);
  const absl::Status reloaded = authenticator->Reload();
  write("many", 4097);
  const absl::Status too_many = authenticator->Reload();

  EXPECT_TRUE(reloaded.ok()) << reloaded;
  EXPECT_EQ(TenantOf(*authenticator, {.authorization = "Bearer new2999"}),
            "new2999");
  EXPECT_FALSE(
      authenticator->Authenticate({.authorization = "Bearer old0"}).ok());
  EXPECT_THAT(std::string(too_many.message()),
              HasSubstr("tokens[4096].tenant: one of more than 4096 tenants"));
}

TEST_F(AuthenticatorTest, ABadFileChangesNothing) {
  Write(Entry("one", "a", "compute"));
  const auto authenticator = Create();

  Write(Entry("two", "a", "emperor"));
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(authenticator->Reload().ok());
  const std::string log = ::testing::internal::GetCapturedStderr();

  EXPECT_EQ(TenantOf(*authenticator, {.authorization = "Bearer one"}), "a");
  EXPECT_THAT(log, HasSubstr("tokens_not_reloaded"));
  EXPECT_THAT(log, HasSubstr("tokens[0].roles"));
  EXPECT_THAT(log, Not(HasSubstr(Sha256Hex("two"))));
}

TEST_F(AuthenticatorTest, WantsAFileThatOthersCannotRead) {
  Write(Entry("one", "a", "compute"));
  chmod(path_.c_str(), 0604);

  const auto status = Authenticator::Create({.tokens = path_}).status();

  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("tokens: ", path_, ": mode 0604")));
}

}  // namespace
}  // namespace actserve
