#include "server/evaluation/plan_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace actserve {
namespace {

class OneProgram final : public Program {
 public:
  explicit OneProgram(LoweredProgram lowered) : Program(std::move(lowered)) {}
};

class PlanCacheTest : public testing::Test {
 protected:
  PlanCacheTest() {
    Registry::Options options;
    options.max_registered = 1;
    registry_ = *Registry::Create(options);
    plans_ = std::make_unique<PlanCache>(PlanCache::Options{.max_plans = 2},
                                         registry_.get());
  }

  // The plan of a Forward of 3 float32 elements.
  std::shared_ptr<CallPlan> PlanOf(const std::string& activation) {
    auto plan = std::make_shared<CallPlan>();
    plan->request.activation = registry_->Find(activation);
    plan->request.type.num_elements = 3;
    plan->request.type.dtype = DType::kFloat32;
    plan->request.payloads = {0};
    plan->program = std::make_shared<OneProgram>(
        *plan->request.activation->activation().LowerForward(DType::kFloat32,
                                                             {}));
    plan->response_head = "head";
    return plan;
  }

  std::string Register(const std::string& text) {
    Registry::Text registered;
    registered.text = text;
    return registry_->Register(registered, nullptr)->activation->id();
  }

  std::unique_ptr<Registry> registry_;
  std::unique_ptr<PlanCache> plans_;
};

SplitRequest Message(const std::string& metadata, size_t payload_bytes = 12) {
  SplitRequest split;
  split.metadata = metadata;
  split.payloads.push_back({.size_bytes = payload_bytes});
  return split;
}

TEST_F(PlanCacheTest, FindsByMethodAndMetadata) {
  const auto plan = PlanOf("relu");

  plans_->Put(TensorMethod::kForward, Message("a"), plan);

  EXPECT_EQ(plans_->Find(TensorMethod::kForward, Message("a")), plan);
  EXPECT_EQ(plans_->Find(TensorMethod::kForward, Message("b")), nullptr);
  EXPECT_EQ(plans_->Find(TensorMethod::kBackward, Message("a")), nullptr);
  EXPECT_EQ(plans_->num_found(), 1);
}

TEST_F(PlanCacheTest, LeavesWrongPayloadsToTheDecoder) {
  plans_->Put(TensorMethod::kForward, Message("a"), PlanOf("relu"));
  SplitRequest two = Message("a");
  two.payloads.push_back(two.payloads[0]);
  SplitRequest none = Message("a");
  none.payloads.clear();

  EXPECT_EQ(plans_->Find(TensorMethod::kForward, Message("a", 11)), nullptr);
  EXPECT_EQ(plans_->Find(TensorMethod::kForward, two), nullptr);
  EXPECT_EQ(plans_->Find(TensorMethod::kForward, none), nullptr);
}

TEST_F(PlanCacheTest, KnowsTheOrderAndTheSizesOfPayloads) {
  const auto plan = PlanOf("relu");
  plan->request.payloads = {1, 0};
  TensorType small;
  small.num_elements = 1;
  plan->request.broadcasts.push_back({0, small, Broadcast()});
  const auto message = [](size_t first_bytes, size_t second_bytes) {
    SplitRequest split = Message("a", first_bytes);
    split.payloads.push_back({.size_bytes = second_bytes});
    return split;
  };

  plans_->Put(TensorMethod::kForward, message(4, 12), plan);

  EXPECT_EQ(plans_->Find(TensorMethod::kForward, message(4, 12)), plan);
  EXPECT_EQ(plans_->Find(TensorMethod::kForward, message(12, 4)), nullptr);
  EXPECT_EQ(plans_->Find(TensorMethod::kForward, message(4, 4)), nullptr);
}

TEST_F(PlanCacheTest, DoesNotRememberWhatDependsOnMoreThanMetadata) {
  const auto with_lease = PlanOf("relu");
  with_lease->request.residual_lease = absl::Seconds(1);
  const auto with_residual = PlanOf("relu");
  with_residual->request.residual = std::make_shared<Residual>();
  const auto with_sums = PlanOf("relu");
  with_sums->response_head.clear();
  const auto with_implied_input = PlanOf("relu");
  with_implied_input->request.payloads = {TensorRequest::kNoPayload};

  plans_->Put(TensorMethod::kForward, Message("lease"), with_lease);
  plans_->Put(TensorMethod::kForward, Message("residual"), with_residual);
  plans_->Put(TensorMethod::kForward, Message("sums"), with_sums);
  plans_->Put(TensorMethod::kForward, Message("implied"), with_implied_input);
  const std::string long_metadata(1025, 'x');
  plans_->Put(TensorMethod::kForward, Message(long_metadata), PlanOf("relu"));

  for (const std::string& metadata :
       {std::string("lease"), std::string("residual"), std::string("sums"),
        std::string("implied"), long_metadata}) {
    EXPECT_EQ(plans_->Find(TensorMethod::kForward, Message(metadata)), nullptr)
        << metadata.substr(0, 10);
  }
}

TEST_F(PlanCacheTest, LimitsTheMemoryOfActivations) {
  PlanCache plans({.max_plans = 10, .max_activation_bytes = 1},
                  registry_.get());
  const auto plan = PlanOf(Register("def f(x): return x * 3"));
  plans.Put(TensorMethod::kForward, Message("builtin"), PlanOf("relu"));
  plans.Put(TensorMethod::kForward, Message("first"), plan);

  plans.Put(TensorMethod::kForward, Message("second"), plan);

  EXPECT_EQ(plans.Find(TensorMethod::kForward, Message("first")), nullptr);
  EXPECT_EQ(plans.Find(TensorMethod::kForward, Message("second")), plan);
}

TEST_F(PlanCacheTest, ForgetsWhatTheRegistryForgot) {
  const std::string id = Register("def f(x): return x * 3");
  plans_->Put(TensorMethod::kForward, Message("f"), PlanOf(id));
  EXPECT_NE(plans_->Find(TensorMethod::kForward, Message("f")), nullptr);

  Register("def g(x): return x * 4");

  EXPECT_EQ(plans_->Find(TensorMethod::kForward, Message("f")), nullptr);
}

TEST_F(PlanCacheTest, KeepsTheLastUsed) {
  for (const char* metadata : {"a", "b"}) {
    plans_->Put(TensorMethod::kForward, Message(metadata), PlanOf("relu"));
  }
  plans_->Find(TensorMethod::kForward, Message("a"));
  plans_->Put(TensorMethod::kForward, Message("c"), PlanOf("relu"));

  EXPECT_NE(plans_->Find(TensorMethod::kForward, Message("a")), nullptr);
  EXPECT_EQ(plans_->Find(TensorMethod::kForward, Message("b")), nullptr);
}

}  // namespace
}  // namespace actserve
