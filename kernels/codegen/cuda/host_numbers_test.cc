// The generated text, run as C++, against the interpreter, bit for bit: every
// activation of the catalog in every direction and element type.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
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
using ::actserve::testing::Results;
using ::actserve::testing::RunOnShim;
using ::actserve::testing::RunReference;
using ::actserve::testing::ShimOptions;
using ::actserve::testing::ShimRequest;

ShimRequest MakeRequest(const LoweredProgram& program,
                        const std::vector<double>& parameters,
                        int64_t num_elements, uint32_t seed) {
  ShimRequest request;
  for (int i = 0; i < program.num_tensor_inputs(); ++i) {
    request.inputs.push_back(
        RandomTensor(program.storage, num_elements, seed * 8 + i));
  }
  request.parameters = parameters;
  // If it reads rows, several or one.
  request.rows.size = num_elements % 7 == 0 ? 7 : num_elements;
  return request;
}

// Around one vector, the reach of a block, and a tile; empty ones between.
std::vector<ShimRequest> MakeRequests(const CatalogProgram& test) {
  const LaunchLayout layout(test.program);
  const int64_t vector = layout.vector_elements();
  const int64_t tile = layout.tile_elements(KernelEntry::kRun);
  std::vector<ShimRequest> requests;
  uint32_t seed = 1;
  for (const int64_t num_elements :
       {int64_t{0}, int64_t{1}, vector - 1, vector, vector + 1, int64_t{0},
        int64_t{777}, tile + 1, tile, int64_t{0}}) {
    std::vector<double> parameters = test.parameters;
    for (double& parameter : parameters) parameter += seed % 3 * 0.25;
    requests.push_back(
        MakeRequest(test.program, parameters, num_elements, ++seed));
  }
  return requests;
}

std::vector<Results> Reference(const LoweredProgram& program,
                               const std::vector<ShimRequest>& requests) {
  std::vector<Results> results;
  for (const ShimRequest& request : requests) {
    results.push_back(RunReference(program, request.inputs, request.parameters,
                                   request.rows));
  }
  return results;
}

void ExpectSameBits(const HostModule& module, int number,
                    const LoweredProgram& program,
                    const std::vector<ShimRequest>& requests,
                    const std::vector<Results>& want,
                    const ShimOptions& options) {
  const std::vector<Results> got =
      RunOnShim(module, number, program, requests, options);

  ASSERT_EQ(got.size(), want.size());
  for (size_t r = 0; r < want.size(); ++r) {
    EXPECT_EQ(Difference(program, got[r], want[r]), "") << "request " << r;
  }
}

class HostNumbers : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    tests_ = CatalogPrograms(GetParam());
    std::vector<LoweredProgram> programs;
    for (const CatalogProgram& test : tests_) programs.push_back(test.program);
    auto module = HostModule::Compile(programs);
    ASSERT_TRUE(module.ok()) << module.status();
    module_ = *std::move(module);
  }

  std::vector<CatalogProgram> tests_;
  std::unique_ptr<HostModule> module_;
};

TEST_P(HostNumbers, EqualTheInterpreter) {
  for (size_t t = 0; t < tests_.size(); ++t) {
    const CatalogProgram& test = tests_[t];
    SCOPED_TRACE(test.name());
    const int number = static_cast<int>(t);
    const std::vector<ShimRequest> requests = MakeRequests(test);
    const std::vector<Results> want = Reference(test.program, requests);

    for (const ShimOptions& options :
         {ShimOptions{}, ShimOptions{.misalignment = 1, .streaming = true}}) {
      ExpectSameBits(*module_, number, test.program, requests, want, options);
    }
    // A request alone has its row in the argument.
    const size_t last = requests.size() - 2;
    ExpectSameBits(*module_, number, test.program, {requests[last]},
                   {want[last]}, {.streaming = true});
    if (!LaunchLayout(test.program).has_table()) continue;
    for (const int64_t shared_bytes : {227 << 10, 64 << 10}) {
      ExpectSameBits(*module_, number, test.program, {requests[last]},
                     {want[last]}, {.shared_bytes = shared_bytes});
    }
  }
}

std::string Name(const ::testing::TestParamInfo<DType>& info) {
  return std::string(DTypeName(info.param));
}

INSTANTIATE_TEST_SUITE_P(DTypes, HostNumbers,
                         ::testing::Values(DType::kFloat16, DType::kBFloat16,
                                           DType::kFloat32, DType::kFloat64),
                         Name);

}  // namespace
}  // namespace actserve
