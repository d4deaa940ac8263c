// All 65,536 values of both 16-bit types: every program of the catalog with
// one tensor input, run from its table, against the interpreter.

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/codegen/cuda/testing/catalog_programs.h"
#include "kernels/codegen/cuda/testing/host_shim.h"
#include "kernels/codegen/cuda/testing/shim_runs.h"
#include "kernels/device/testing/reference.h"

namespace actserve {
namespace {

using ::actserve::testing::CatalogProgram;
using ::actserve::testing::CatalogPrograms;
using ::actserve::testing::Difference;
using ::actserve::testing::HostModule;
using ::actserve::testing::RandomTensor;
using ::actserve::testing::RunOnShim;
using ::actserve::testing::RunReference;
using ::actserve::testing::ShimRequest;

std::string AllPatterns() {
  std::string tensor;
  for (int pattern = 0; pattern < kTableEntries; ++pattern) {
    tensor.push_back(static_cast<char>(pattern & 0xff));
    tensor.push_back(static_cast<char>(pattern >> 8));
  }
  return tensor;
}

TEST(HostFull, EveryTableEqualsTheInterpreterEverywhere) {
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    std::vector<CatalogProgram> tests;
    std::vector<LoweredProgram> programs;
    for (const CatalogProgram& test : CatalogPrograms(dtype)) {
      if (!LaunchLayout(test.program).has_table()) continue;
      tests.push_back(test);
      programs.push_back(test.program);
    }
    const auto module = HostModule::Compile(programs);
    ASSERT_TRUE(module.ok()) << module.status();
    for (size_t t = 0; t < tests.size(); ++t) {
      const CatalogProgram& test = tests[t];
      SCOPED_TRACE(test.name());
      ShimRequest request;
      request.inputs.push_back(AllPatterns());
      // An upstream gradient where the program takes one.
      for (int i = 1; i < test.program.num_tensor_inputs(); ++i) {
        request.inputs.push_back(RandomTensor(dtype, kTableEntries, 7));
      }
      request.parameters = test.parameters;

      const auto got =
          RunOnShim(**module, static_cast<int>(t), test.program, {request}, {});

      EXPECT_EQ(Difference(test.program, got[0],
                           RunReference(test.program, request.inputs,
                                        request.parameters)),
                "");
    }
  }
}

}  // namespace
}  // namespace actserve
