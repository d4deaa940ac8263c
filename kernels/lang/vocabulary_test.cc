#include "kernels/lang/vocabulary.h"

#include <gtest/gtest.h>

#include "kernels/graph/op.h"

namespace actserve {
namespace {

TEST(Vocabulary, KnowsEveryOpThatIsCallable) {
  for (const OpInfo& info : AllOps()) {
    SCOPED_TRACE(std::string(info.name));
    const FunctionSignature* signature = FindPrimitive(info.name);
    ASSERT_EQ(signature != nullptr, info.callable);
    if (signature == nullptr) continue;
    EXPECT_EQ(signature->arguments.size(), static_cast<size_t>(info.arity));
  }
}

TEST(Vocabulary, KnowsTwoPrimitivesThatAreNoOp) {
  EXPECT_EQ(FindPrimitive("clamp")->arguments.size(), 3u);
  EXPECT_EQ(FindPrimitive("float")->arguments.size(), 1u);
}

}  // namespace
}  // namespace actserve
