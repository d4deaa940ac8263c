#include "kernels/device/cpu/cpu_device.h"

#include <cmath>
#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

TEST(CpuDevice, RunsAHandBuiltGraph) {
  LoweredProgram program;
  program.program_id = "test";
  Graph& graph = program.graph;
  graph.inputs = {"x"};
  const NodeId x = graph.Input(0);
  const NodeId r = graph.Add(Op::kSub, x, graph.Add(Op::kFloor, x));
  const NodeId low = graph.Add(Op::kLessEqual, r, graph.Constant(0.5));
  graph.outputs = {{"y", graph.Add(Op::kSelect, low, r, graph.Constant(0))}};
  auto device = CpuDevice::Create({});
  ASSERT_TRUE(device.ok()) << device.status();

  auto compiled = (*device)->Compile(program);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  const float in[] = {0.2f, 0.7f, 1.2f, 1.7f};
  float out[4];
  const Fragment fragment{reinterpret_cast<const std::byte*>(in), sizeof(in)};
  WorkItem item;
  item.inputs = {absl::MakeConstSpan(&fragment, 1)};
  item.num_elements = 4;
  item.outputs = {reinterpret_cast<std::byte*>(out)};
  ASSERT_TRUE((*device)->Run(**compiled, absl::MakeSpan(&item, 1)).ok());

  EXPECT_THAT(out, testing::ElementsAre(0.2f, 0.0f, 0.20000005f, 0.0f));
}

}  // namespace
}  // namespace actserve
