#include "server/state/registry.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/catalog/catalog.h"

namespace actserve {
namespace {

std::unique_ptr<Registry> RegistryOf(int max_registered) {
  Registry::Options options;
  options.max_registered = max_registered;
  auto registry = Registry::Create(options);
  EXPECT_TRUE(registry.ok()) << registry.status();
  return *std::move(registry);
}

// A different activation for each number.
Registry::Text TextOf(int number) {
  Registry::Text text;
  text.text = absl::StrCat("def f(x):\n    return x + ", number, ".5\n");
  return text;
}

std::string Register(Registry& registry, int number) {
  auto registration = registry.Register(TextOf(number), nullptr);
  EXPECT_TRUE(registration.ok()) << registration.status();
  return registration->activation->id();
}

TEST(Registry, KnowsTheCatalogByNameAndById) {
  auto registry = RegistryOf(1);
  for (const CatalogEntry& entry : Catalog()) {
    const std::string name(entry.name);
    SCOPED_TRACE(name);
    auto found = registry->Find(name);
    ASSERT_NE(found, nullptr);
    EXPECT_TRUE(found->builtin());
    ASSERT_NE(registry->Find(found->id()), nullptr);
    EXPECT_EQ(registry->Find(found->id())->id(), found->id());
  }
  EXPECT_EQ(registry->Find("no such"), nullptr);
  EXPECT_EQ(registry->Find(""), nullptr);
}

TEST(Registry, ARegisteredTextIsFoundByIdOnly) {
  auto registry = RegistryOf(1);
  const std::string id = Register(*registry, 1);
  EXPECT_NE(registry->Find(id), nullptr);
  EXPECT_EQ(registry->Find("f"), nullptr);
}

TEST(Registry, RegistersATextOnce) {
  auto registry = RegistryOf(10);
  auto first = registry->Register(TextOf(1), nullptr);
  auto second = registry->Register(TextOf(1), nullptr);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_TRUE(first->created);
  EXPECT_FALSE(second->created);
  EXPECT_EQ(first->activation, second->activation);
}

TEST(Registry, ATextOfTheCatalogIsTheBuiltin) {
  auto registry = RegistryOf(10);
  Registry::Text text;
  text.text = std::string(FindInCatalog("relu")->text);

  auto registration = registry->Register(text, nullptr);

  ASSERT_TRUE(registration.ok());
  EXPECT_FALSE(registration->created);
  EXPECT_TRUE(registration->activation->builtin());
}

TEST(Registry, ForgetsWhatWasNotUsedForTheLongest) {
  auto registry = RegistryOf(2);
  const std::string first = Register(*registry, 1);
  const std::string second = Register(*registry, 2);
  EXPECT_NE(registry->Find(first), nullptr);

  const std::string third = Register(*registry, 3);

  EXPECT_NE(registry->Find(first), nullptr);
  EXPECT_EQ(registry->Find(second), nullptr);
  EXPECT_NE(registry->Find(third), nullptr);
}

TEST(Registry, ListsTheCatalogFirst) {
  auto registry = RegistryOf(10);
  const std::string id = Register(*registry, 1);

  const auto list = registry->List(0, 1000);

  ASSERT_EQ(list.size(), Catalog().size() + 1);
  EXPECT_EQ(list.front().activation->activation().name(),
            Catalog().front().name);
  EXPECT_EQ(list.back().activation->id(), id);
}

TEST(Registry, ReportsWhatIsWrongWithAText) {
  auto registry = RegistryOf(10);
  Registry::Text text;
  text.text = "def f(x):\n    return y\n";

  std::vector<Diagnostic> diagnostics;
  const absl::Status status = registry->Register(text, &diagnostics).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(diagnostics.size(), 1);
  EXPECT_EQ(diagnostics[0].position.line, 2);
}

TEST(Registry, ManyThreadsGetOneActivation) {
  auto registry = RegistryOf(10);
  std::vector<std::shared_ptr<const RegisteredActivation>> got(8);
  std::vector<std::thread> threads;
  for (auto& slot : got) {
    threads.emplace_back([&registry, &slot] {
      slot = registry->Register(TextOf(7), nullptr)->activation;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& activation : got) EXPECT_EQ(activation, got[0]);
}

TEST(Registry, RegistersWhatDiffersInConstantsApart) {
  auto registry = RegistryOf(10);
  Registry::Text text;
  text.text = "def f(x):\n    return c * x\n";
  text.constants = {{"c", 2}};
  const std::string two = registry->Register(text, nullptr)->activation->id();
  text.constants = {{"c", 3}};

  EXPECT_NE(registry->Register(text, nullptr)->activation->id(), two);
}

TEST(Registry, ForgetsWhatIsBeyondItsBytes) {
  Registry::Options options;
  options.max_registered_bytes = 1;
  auto registry = *Registry::Create(options);
  const std::string first = Register(*registry, 1);
  EXPECT_NE(registry->Find(first), nullptr);
  EXPECT_GT(registry->registered_bytes(), 100);

  const std::string second = Register(*registry, 2);

  EXPECT_EQ(registry->Find(first), nullptr);
  EXPECT_NE(registry->Find(second), nullptr);
  const auto listed = registry->List(Catalog().size(), 10);
  ASSERT_EQ(listed.size(), 1);
  EXPECT_EQ(listed[0].activation->id(), second);
}

TEST(Registry, APlaceInTheListIsKept) {
  auto registry = RegistryOf(2);
  const std::string first = Register(*registry, 1);
  const std::string second = Register(*registry, 2);
  const int64_t place = registry->List(Catalog().size() + 1, 1)[0].position;

  EXPECT_NE(registry->Find(second), nullptr);
  const std::string third = Register(*registry, 3);

  EXPECT_EQ(registry->Find(first), nullptr);
  const auto rest = registry->List(Catalog().size(), 10);
  ASSERT_EQ(rest.size(), 2);
  EXPECT_EQ(rest[0].position, place);
  EXPECT_EQ(rest[0].activation->id(), second);
  EXPECT_EQ(rest[1].activation->id(), third);
}

TEST(Registry, ATenantSeesOnlyItsOwnTexts) {
  const Tenant a("a", 1);
  const Tenant b("b", 2);
  auto registry = RegistryOf(10);
  const auto end = static_cast<int64_t>(Catalog().size());
  Register(*registry, 1);  // of nobody

  const auto of_a = registry->Register(TextOf(2), nullptr, &a);
  const std::string id = of_a->activation->id();

  EXPECT_TRUE(of_a->created);
  EXPECT_NE(registry->Find(id, &a), nullptr);
  EXPECT_EQ(registry->Find(id, &b), nullptr);
  EXPECT_EQ(registry->Find(id), nullptr);
  EXPECT_NE(registry->Find("gelu", &b), nullptr);
  EXPECT_EQ(registry->List(end, 10, &a).size(), 1);
  EXPECT_EQ(registry->List(end, 10, &a)[0].position, end);
  EXPECT_EQ(registry->List(0, 1000, &b).size(), Catalog().size());
  EXPECT_EQ(registry->end(&a), end + 1);
  EXPECT_EQ(registry->end(&b), end) << "no trace of what others registered";

  const auto of_b = registry->Register(TextOf(2), nullptr, &b);
  EXPECT_TRUE(of_b->created);
  EXPECT_EQ(of_b->activation->id(), id) << "one program for both";
  EXPECT_NE(registry->Find(id, &b), nullptr);
}

TEST(Registry, ATenantBeyondItsQuotaLosesItsOldestText) {
  Tenant a("a", 1);
  const Tenant b("b", 2);
  a.SetQuotas({.registered_activations = 2});
  auto registry = RegistryOf(10);
  const auto put = [&](int number, const Tenant& tenant) {
    return registry->Register(TextOf(number), nullptr, &tenant)
        ->activation->id();
  };
  const std::string of_b = put(1, b);
  const std::string first = put(1, a);
  const std::string second = put(2, a);
  registry->Find(first, &a);

  const std::string third = put(3, a);

  EXPECT_NE(registry->Find(first, &a), nullptr);
  EXPECT_EQ(registry->Find(second, &a), nullptr);
  EXPECT_NE(registry->Find(third, &a), nullptr);
  EXPECT_NE(registry->Find(of_b, &b), nullptr);
  EXPECT_EQ(registry->List(Catalog().size(), 10, &a).size(), 2);
  a.SetQuotas({.registered_activations = 0});
  put(4, a);
  EXPECT_EQ(registry->List(Catalog().size(), 10, &a).size(), 0);
}

// The heap that registrations of a heavy text take.
TEST(Registry, ChargesWhatActivationsKeep) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "malloc's statistics are those of the sanitizer";
#endif
  constexpr int kNumTexts = 20;
  auto registry = RegistryOf(100);
  const auto register_one = [&](int number) {
    Registry::Text text;
    text.text = absl::StrCat(
        "def f(x, a=1.0, b=2.0):\n    y = x * a + b + ", number,
        ".5\n    for i in range(880):\n        y = sqrt(y)\n    return y\n");
    ASSERT_TRUE(registry->Register(text, nullptr).ok());
  };
  register_one(0);
  const int64_t charged_before = registry->registered_bytes();
  const size_t heap_before = mallinfo2().uordblks + mallinfo2().hblkhd;

  for (int i = 1; i <= kNumTexts; ++i) register_one(i);

  const auto heap = static_cast<int64_t>(mallinfo2().uordblks +
                                         mallinfo2().hblkhd - heap_before);
  const int64_t charged = registry->registered_bytes() - charged_before;
  EXPECT_GT(charged, heap * 3 / 4) << heap;
  EXPECT_LT(charged, heap * 4 / 3) << heap;
}

}  // namespace
}  // namespace actserve
