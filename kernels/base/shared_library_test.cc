#include "kernels/base/shared_library.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kVariable[] = "SHARED_LIBRARY_TEST";
constexpr char kHere[] = "libm.so.6";

std::string MessageOf(const std::string& named,
                      const std::vector<std::string>& candidates) {
  const absl::Status status =
      OpenSharedLibrary(named, kVariable, candidates).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  return std::string(status.message());
}

TEST(OpenSharedLibrary, OpensTheFirstThatIsThere) {
  const auto library =
      OpenSharedLibrary("", kVariable, {"/nowhere/a.so", kHere, "libc.so.6"});

  ASSERT_TRUE(library.ok()) << library.status();
  EXPECT_NE(library->handle, nullptr);
  EXPECT_THAT(library->path, StartsWith("/"));
  EXPECT_THAT(library->path, EndsWith("/libm.so.6"));
}

TEST(OpenSharedLibrary, ListsWhatItTried) {
  EXPECT_EQ(MessageOf("", {"/nowhere/a.so", "no_such_library.so"}),
            "tried /nowhere/a.so, no_such_library.so");
}

TEST(OpenSharedLibrary, ANameExcludesTheCandidates) {
  EXPECT_EQ(MessageOf("/nowhere/named.so", {kHere}), "tried /nowhere/named.so");
}

TEST(OpenSharedLibrary, AVariableExcludesTheCandidatesUnlessEmpty) {
  ASSERT_EQ(setenv(kVariable, "/nowhere/variable.so", 1), 0);
  EXPECT_EQ(MessageOf("", {kHere}), "tried /nowhere/variable.so");
  EXPECT_TRUE(OpenSharedLibrary(kHere, kVariable, {}).ok());

  ASSERT_EQ(setenv(kVariable, "", 1), 0);
  EXPECT_TRUE(OpenSharedLibrary("", kVariable, {kHere}).ok());
  ASSERT_EQ(unsetenv(kVariable), 0);
}

TEST(OpenSharedLibrary, SaysWhyAFileDoesNotOpen) {
  const std::string path = ::testing::TempDir() + "/not_a_library.so";
  std::ofstream(path) << "text";

  EXPECT_THAT(MessageOf("", {"/nowhere/a.so", path}),
              HasSubstr(path + " (" + path + ": "));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace actserve
