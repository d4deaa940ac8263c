#include "server/message/control_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/catalog/catalog.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;

v1::RegisterActivationRequest Registration(
    const std::vector<std::pair<std::string, double>>& constants) {
  v1::RegisterActivationRequest request;
  request.set_text("def f(x):\n    return x\n");
  for (const auto& [name, value] : constants) {
    (*request.mutable_constants())[name] = value;
  }
  return request;
}

TEST(ControlRequest, ARegistrationNeedsAText) {
  EXPECT_EQ(Check(v1::RegisterActivationRequest()),
            absl::InvalidArgumentError("text: not set"));
  EXPECT_TRUE(Check(Registration({{"scale", 0.5}, {"_b2", -1}})).ok());
}

TEST(ControlRequest, ConstantsAreLimitedInNumber) {
  std::vector<std::pair<std::string, double>> constants;
  for (int i = 0; i < 64; ++i) constants.emplace_back(absl::StrCat("c", i), i);
  EXPECT_TRUE(Check(Registration(constants)).ok());

  constants.emplace_back("d", 1);

  EXPECT_EQ(Check(Registration(constants)),
            absl::InvalidArgumentError("constants: 65, limit 64"));
}

TEST(ControlRequest, ConstantsAreNamedNumbers) {
  struct Case {
    std::string name;
    double value;
    std::string message;
  };
  const Case cases[] = {
      {"", 1, "constants: '' is not a name that a text can use"},
      {"lambda", 1, "constants: 'lambda' is not a name"},
      {"a.b", 1, "constants: 'a.b' is not a name"},
      {"1st", 1, "constants: '1st' is not a name"},
      {"\n\x1b[31m", 1, "constants: '\\n\\x1b[31m' is not a name"},
      {std::string(1000, '-'), 1, "---...' is not a name"},
      {"c", INFINITY, "constants: 'c' is inf, not a finite number"},
      {"c", std::nan(""), "constants: 'c' is nan, not a finite number"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.message);
    const absl::Status status = Check(Registration({{c.name, c.value}}));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
  }
}

TEST(ControlRequest, HandlesAreLimitedAndOfOneSize) {
  v1::ReleaseResidualsRequest request;
  for (int i = 0; i < 1024; ++i) request.add_handles(std::string(16, 'h'));
  EXPECT_TRUE(Check(request).ok());
  EXPECT_LE(request.ByteSizeLong(), size_t{kMaxControlMessageBytes});

  request.add_handles("");
  EXPECT_EQ(Check(request),
            absl::InvalidArgumentError("handles: 1025, limit 1024"));
  request.mutable_handles()->DeleteSubrange(2, 1022);
  EXPECT_EQ(Check(request), absl::InvalidArgumentError(
                                "handles[2]: handle of 0 bytes, must be 16"));
}

TEST(ControlRequest, PagesAreAskedForProperly) {
  v1::ListActivationsRequest request;
  EXPECT_TRUE(Check(request).ok());
  request.set_page_size(-1);
  EXPECT_EQ(Check(request),
            absl::InvalidArgumentError("page_size: -1 is negative"));
  request.set_page_size(1 << 30);
  EXPECT_TRUE(Check(request).ok());
}

class ListPageTest : public ::testing::Test {
 protected:
  void Register(int number, const std::string& comment = "") {
    Registry::Text text;
    text.text =
        absl::StrCat("def f(x):\n    return x + ", number, ".5", comment, "\n");
    ASSERT_TRUE(registry_->Register(text, nullptr).ok());
  }
  // Counts the pages, and the activations, none of which comes twice.
  void ReadAll(v1::ListActivationsRequest request) {
    std::set<std::string> seen;
    num_pages_ = 0;
    do {
      const v1::ListActivationsResponse page = *ListPage(request, *registry_);
      EXPECT_LT(page.ByteSizeLong(), size_t{2} << 20);
      for (const v1::Activation& activation : page.activations()) {
        const std::string key =
            activation.builtin() ? activation.name() : activation.id();
        EXPECT_TRUE(seen.insert(key).second) << key;
        EXPECT_EQ(activation.text().empty(), !request.with_texts());
      }
      request.set_page_token(page.next_page_token());
      ++num_pages_;
    } while (!request.page_token().empty());
    num_activations_ = static_cast<int>(seen.size());
  }

  std::unique_ptr<Registry> registry_ = *Registry::Create({});
  const int num_builtins_ = static_cast<int>(Catalog().size());
  int num_pages_ = 0;
  int num_activations_ = 0;
};

TEST_F(ListPageTest, TheLastPageHasNoToken) {
  v1::ListActivationsRequest request;
  request.set_page_size(num_builtins_);
  EXPECT_EQ(ListPage(request, *registry_)->next_page_token(), "");

  Register(1);

  const auto page = *ListPage(request, *registry_);
  EXPECT_EQ(page.activations_size(), num_builtins_);
  request.set_page_token(page.next_page_token());
  const auto last = *ListPage(request, *registry_);
  ASSERT_EQ(last.activations_size(), 1);
  EXPECT_FALSE(last.activations(0).builtin());
  EXPECT_EQ(last.next_page_token(), "");
}

TEST_F(ListPageTest, TakesOnlyItsOwnTokens) {
  v1::ListActivationsRequest request;
  request.set_page_size(1);
  const std::string token = ListPage(request, *registry_)->next_page_token();
  ASSERT_TRUE(absl::EndsWith(token, "-1")) << token;
  const std::string prefix = token.substr(0, token.size() - 1);
  const auto other = *Registry::Create({});

  request.set_page_token(absl::StrCat(prefix, num_builtins_));
  EXPECT_TRUE(ListPage(request, *registry_).ok()) << "the end";
  for (const std::string& wrong :
       {std::string("0"), std::string("1"), std::string("x"),
        absl::StrCat(prefix, "01"), absl::StrCat(prefix, "+1"),
        absl::StrCat(prefix, "-1"), absl::StrCat(prefix, " 1"), token + "\n",
        absl::StrCat(prefix, num_builtins_ + 1),
        absl::StrCat(prefix, "9223372036854775807"),
        absl::StrCat(prefix, "99999999999999999999"), prefix,
        absl::StrCat(absl::Hex(other->id(), absl::kZeroPad16), "-1")}) {
    request.set_page_token(wrong);
    EXPECT_THAT(std::string(ListPage(request, *registry_).status().message()),
                HasSubstr("' is not from this server"))
        << wrong;
  }
}

TEST_F(ListPageTest, PagesTogetherAreTheWholeList) {
  for (int i = 0; i < 150; ++i) Register(i);
  for (const int page_size : {0, 1, 7, 1000, 1 << 30}) {
    SCOPED_TRACE(page_size);
    v1::ListActivationsRequest request;
    request.set_page_size(page_size);

    ReadAll(request);

    const int size = page_size == 0 ? 100 : std::min(page_size, 1000);
    EXPECT_EQ(num_activations_, num_builtins_ + 150);
    EXPECT_EQ(num_pages_, (num_activations_ + size - 1) / size);
  }
}

TEST_F(ListPageTest, APageEndsAtAMebibyte) {
  for (int i = 0; i < 150; ++i) Register(i, "  # " + std::string(16'000, '-'));
  v1::ListActivationsRequest request;
  request.set_page_size(1000);
  request.set_with_texts(true);

  ReadAll(request);

  EXPECT_EQ(num_activations_, num_builtins_ + 150);
  EXPECT_EQ(num_pages_, 3);
}

TEST_F(ListPageTest, WhatIsRegisteredMeanwhileComesLater) {
  Register(1);
  v1::ListActivationsRequest request;
  request.set_page_size(num_builtins_);
  request.set_page_token(ListPage(request, *registry_)->next_page_token());
  Register(2);
  Register(1);

  const auto last = *ListPage(request, *registry_);

  EXPECT_EQ(last.activations_size(), 2);
  EXPECT_NE(last.activations(0).id(), last.activations(1).id());
}

}  // namespace
}  // namespace actserve
