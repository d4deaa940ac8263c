#include "kernels/device/cuda/benchmark/stream_text.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/codegen/cuda/nvrtc.h"
#include "kernels/codegen/cuda/testing/cubin_facts.h"

namespace actserve {
namespace {

// cuda_benchmark_test runs the same text over the fake driver.
TEST(StreamText, CompilesWithoutSpills) {
  absl::StatusOr<std::unique_ptr<Nvrtc>> nvrtc = Nvrtc::Open();
  if (!nvrtc.ok()) GTEST_SKIP() << nvrtc.status().message();

  for (const int architecture : {75, 90}) {
    for (const int reads : {1, 2}) {
      for (const int vectors : {1, 2, 4, 8, 16}) {
        for (const bool streaming : {false, true}) {
          SCOPED_TRACE(::testing::Message()
                       << "sm_" << architecture << ", " << reads << " reads, "
                       << vectors << " vectors, streaming " << streaming);
          std::string log;

          const auto binary = (*nvrtc)->Compile(
              StreamText({reads, vectors, streaming}), architecture, &log);

          ASSERT_TRUE(binary.ok()) << log;
          const auto facts = testing::ReadCubin(binary->cubin);
          ASSERT_TRUE(facts.ok()) << facts.status();
          EXPECT_EQ(facts->at("actserve_run").stack_bytes, 0);
        }
      }
    }
  }
}

TEST(StreamText, LaunchCoversTheTensor) {
  const StreamKernel kernel = {.reads = 2, .vectors = 4};

  const StreamLaunch launch =
      PackStream(kernel, 3 * StreamKernel::kUnitBytes, {1, 2}, 3);

  EXPECT_EQ(launch.grid, 12);
  EXPECT_EQ(launch.argument, (std::vector<uint64_t>{1, 2, 3}));
}

}  // namespace
}  // namespace actserve
