// A tensor that no message can hold.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

constexpr int64_t kPatternElements = int64_t{1} << 20;
constexpr int64_t kPatternBytes = kPatternElements * 4;
// 2.25 GiB, and an end that is in no pattern's.
constexpr int64_t kNumPatterns = 576;
constexpr int64_t kNumElements = kNumPatterns * kPatternElements - 12345;

// -500 to 499, again and again.
float ElementAt(int64_t i) {
  return static_cast<float>(i % kPatternElements % 1000) - 500;
}

// The elements, as one pattern that is mapped as often as they repeat it.
class Elements {
 public:
  Elements() {
    const int file = memfd_create("pattern", 0);
    EXPECT_EQ(ftruncate(file, kPatternBytes), 0);
    data_ =
        static_cast<char*>(mmap(nullptr, kNumPatterns * kPatternBytes,
                                PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (int64_t k = 0; k < kNumPatterns; ++k) {
      EXPECT_NE(mmap(data_ + k * kPatternBytes, kPatternBytes,
                     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0),
                MAP_FAILED);
    }
    close(file);
    auto* const pattern = reinterpret_cast<float*>(data_);
    for (int64_t i = 0; i < kPatternElements; ++i) pattern[i] = ElementAt(i);
  }
  ~Elements() { munmap(data_, kNumPatterns * kPatternBytes); }

  TensorView view() const {
    return View(absl::MakeConstSpan(reinterpret_cast<const float*>(data_),
                                    kNumElements));
  }

 private:
  char* data_;
};

// What the system says of a process.
int64_t KilobytesOf(pid_t pid, const std::string& name) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  std::string word;
  int64_t kilobytes = 0;
  while (file >> word && word != name) {
  }
  EXPECT_TRUE(file >> kilobytes) << name;
  return kilobytes;
}

TEST(LargeStream, ComputesAGradientInLittleMemory) {
  const auto started = testing::ServerProcess::Start(
      testing::BinaryOfBuild(ACTSERVED_BINARY), {"--device=cpu"});
  ASSERT_TRUE(started.ok()) << started.status();
  const auto& server = *started;
  const auto client = *Client::Connect(server->tcp_address());
  const Elements x;
  std::vector<float> dx(kNumElements);
  BackwardCall call;
  call.activation = "leaky_relu";
  call.inputs = {x.view()};
  call.wrt = {{"x", MutableBytes(dx)}, {"negative_slope", {}}};
  call.options.timeout = absl::Minutes(10);
  const int64_t idle_kilobytes = KilobytesOf(server->pid(), "VmRSS:");

  const auto result = client->Backward(call);

  ASSERT_TRUE(result.ok()) << result.status();
  // Sums of integers are exact.
  double want = 0;
  int64_t num_wrong = 0;
  for (int64_t i = 0; i < kNumElements; ++i) {
    const float element = ElementAt(i);
    want += std::min(0.0F, element);
    // Of 0 it is between both sides.
    if (element != 0) num_wrong += dx[i] != (element > 0 ? 1 : 0.01F);
  }
  EXPECT_EQ(num_wrong, 0);
  EXPECT_EQ(result->parameter_gradients.at("negative_slope"), want);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(KilobytesOf(server->pid(), "VmHWM:") - idle_kilobytes, 64 << 10);
#endif
}

}  // namespace
}  // namespace actserve
