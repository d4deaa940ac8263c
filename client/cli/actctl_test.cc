// The program as its users run it: command lines, what they print, and their
// exit codes; first without a server, then with a real one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/array.h"
#include "client/cli/npy.h"
#include "kernels/activation/activation.h"
#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/cuda/cuda_device.h"
#include "kernels/device/cuda/program/sass_pack.h"
#include "kernels/device/cuda/testing/fake_driver.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using ::actserve::testing::FakeDriver;
using ::actserve::testing::FakeKnob;
using ::actserve::testing::ServerProcess;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kSpiky[] = R"(def spiky(x):
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0
)";

constexpr char kSoftmax[] = R"(def softmax(x, scale=1.0):
    e = exp(scale * (x - rowmax(x)))
    return e / rowsum(e)
)";

std::string TempPath(const std::string& name) {
  return std::filesystem::path(::testing::TempDir()) / name;
}

std::string WriteText(const std::string& name, const std::string& text) {
  const std::string path = TempPath(name);
  std::ofstream(path) << text;
  return path;
}

std::string ReadFile(const std::string& path) {
  std::ostringstream contents;
  contents << std::ifstream(path).rdbuf();
  return contents.str();
}

struct Outcome {
  int exit_code = 0;
  std::string output;
  std::string errors;
};

// Runs a program of the build with `arguments`, as a shell would.
Outcome RunProgram(const std::string& program, const std::string& arguments) {
  const std::string output = TempPath("stdout");
  const std::string errors = TempPath("stderr");
  const int status =
      std::system(absl::StrCat(ACTSERVE_BINARIES, "/", program, " ", arguments,
                               " >", output, " 2>", errors)
                      .c_str());
  return {WEXITSTATUS(status), ReadFile(output), ReadFile(errors)};
}

Outcome Actctl(const std::string& arguments) {
  return RunProgram("actctl", arguments);
}

TEST(Actctl, EveryCommandExplainsItself) {
  for (const char* command :
       {"", "list", "show", "check", "precompile", "register", "forward",
        "backward", "health", "advise", "token", "token new"}) {
    SCOPED_TRACE(command);

    const Outcome outcome = Actctl(absl::StrCat(command, " --help"));

    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.output, HasSubstr("Usage: actctl"));
  }
}

TEST(Actctl, AWrongCommandLineIsExitCode2) {
  for (const char* arguments :
       {"",
        "frobnicate",
        "show",
        "check",
        "forward",
        "health --unknown",
        "precompile",
        "precompile --builtins --arch=ninety",
        "forward relu 1 --parameter alpha",
        "forward relu 1 --parameter alpha=x",
        "forward relu 1 --axis last",
        "forward relu 1 --parameter a=1 --parameter a=2",
        "token",
        "token new",
        "token new --tenant=a --roles=root",
        "token new --tenant=a --expires=tomorrow",
        "token new --tenant='a b'",
        "token new --tenant= --roles=compute",
        "--address= health",
        "health --token=t"}) {
    SCOPED_TRACE(arguments);

    const Outcome outcome = Actctl(arguments);

    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.output, IsEmpty());
    EXPECT_THAT(outcome.errors, ::testing::Not(IsEmpty()));
  }
}

TEST(Actctl, ListShowsTheBuiltinsWithoutAServer) {
  const Outcome outcome = Actctl("list");

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("gelu(x)\n"));
  EXPECT_THAT(outcome.output, HasSubstr("leaky_relu(x, negative_slope=0.01)"));
}

TEST(Actctl, ShowHasTextAndGradient) {
  const Outcome outcome = Actctl("show gelu");

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output,
              AllOf(StartsWith("gelu(x)\nsha256:"), HasSubstr("def gelu(x):"),
                    HasSubstr("derived gradient d/dx:")));
}

TEST(Actctl, ShowHasTheMeasuredAccuracy) {
  const Outcome outcome = Actctl("show relu");

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  const std::string row =
      "float32 0.00 ulp, float64 0.00 ulp, bfloat16 0 misrounded, "
      "float16 0 misrounded\n";
  EXPECT_THAT(outcome.output, HasSubstr(absl::StrCat("  value:    ", row)));
  EXPECT_THAT(outcome.output, HasSubstr(absl::StrCat("  gradient: ", row)));
}

TEST(Actctl, ShowSaysThatRowsAreRead) {
  const Outcome outcome =
      Actctl(absl::StrCat("show ", WriteText("softmax.py", kSoftmax)));

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(
      outcome.output,
      AllOf(HasSubstr("\nreads rows: forward and backward need --axis\n"),
            ::testing::Not(HasSubstr("accuracy on"))));
}

TEST(Actctl, CheckCompilesForThisMachine) {
  const Outcome outcome =
      Actctl(absl::StrCat("check ", WriteText("spiky.py", kSpiky)));

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output,
              AllOf(StartsWith("spiky(x)\nsha256:"),
                    ContainsRegex("forward and gradient compile on .* ms\n")));
}

TEST(Actctl, CheckPointsAtEveryError) {
  const std::string path =
      WriteText("wrong.py", "def f(x):\n    y = tanhh(x)\n    return y + z\n");

  const Outcome outcome = Actctl(absl::StrCat("check ", path));

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.output, IsEmpty());
  EXPECT_THAT(outcome.errors, HasSubstr("2:9: error:"));
  EXPECT_THAT(outcome.errors, HasSubstr("3:16: error:"));
  EXPECT_THAT(outcome.errors, HasSubstr("    y = tanhh(x)\n"));
  EXPECT_THAT(outcome.errors, HasSubstr("tanh"));
  EXPECT_THAT(outcome.errors,
              HasSubstr(absl::StrCat("actctl: INVALID_ARGUMENT: ", path,
                                     " does not compile\n")));
}

TEST(Actctl, ConstantsFromOutsideAreGivenByFlag) {
  const std::string path =
      WriteText("outside.py", "def f(x):\n    return x * SCALE\n");

  EXPECT_EQ(Actctl(absl::StrCat("check ", path)).exit_code, 1);
  EXPECT_EQ(
      Actctl(absl::StrCat("check ", path, " --constant SCALE=2")).exit_code, 0);
}

// A directory that does not exist, removed at the end.
class FreshDirectory {
 public:
  explicit FreshDirectory(const std::string& name) : path_(TempPath(name)) {
    std::filesystem::remove_all(path_);
  }
  ~FreshDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  int num_files() const {
    using Files = std::filesystem::directory_iterator;
    return std::distance(Files(path_), Files());
  }

 private:
  const std::string path_;
};

// The float32 programs of kSpiky that a trainer asks for first.
std::vector<LoweredProgram> SpikyPrograms() {
  const auto spiky = *Activation::Create(kSpiky, {}, nullptr);
  return {*spiky->LowerForward(DType::kFloat32, {}),
          *spiky->LowerForward(DType::kFloat32, {"x"}),
          *spiky->LowerBackward(DType::kFloat32, {"x"})};
}

TEST(Actctl, PrecompiledProgramsNeedNoCompilerOnTheCpu) {
  const FreshDirectory cache("precompiled_cpu");
  const Outcome outcome = Actctl(absl::StrCat(
      "precompile --dtype float32 --cache_directory=", cache.path(), " ",
      WriteText("spiky.py", kSpiky)));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, ContainsRegex("3 programs of 1 activations"));
  const int num_files = cache.num_files();
  EXPECT_EQ(num_files, 2 * 3);  // plain and non-temporal

  const auto device = *CpuDevice::Create({.cache_directory = cache.path()});
  for (const LoweredProgram& program : SpikyPrograms()) {
    EXPECT_TRUE(device->Compile(program).ok());
  }

  EXPECT_EQ(cache.num_files(), num_files);
}

TEST(Actctl, ProgramsThatReadRowsArePrecompiled) {
  const std::string why_not = FakeDriver::WhyNoKernels();
  if (!why_not.empty()) GTEST_SKIP() << why_not;
  const FreshDirectory cache("precompiled_rows");
  const std::string library = FakeDriver::Path();
  setenv("ACTSERVE_NVRTC", library.c_str(), 1);
  const Outcome outcome = Actctl(absl::StrCat(
      "precompile --arch=90 --dtype float32 --cache_directory=", cache.path(),
      " ", WriteText("softmax.py", kSoftmax)));
  unsetenv("ACTSERVE_NVRTC");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  // y, and the gradients by x, by the scale and by both.
  EXPECT_THAT(outcome.output, HasSubstr(": 4 programs of 1 activations"));
  const int num_files = cache.num_files();

  FakeDriver fake;
  const auto softmax = *Activation::Create(kSoftmax, {}, nullptr);
  const auto cpu = *CpuDevice::Create({.cache_directory = cache.path()});
  const auto gpu = *CudaDevice::Create(
      {.driver = library, .nvrtc = library, .cache_directory = cache.path()});
  for (const auto& wrt : std::vector<std::vector<std::string>>{
           {"x"}, {"scale"}, {"x", "scale"}}) {
    const auto program = *softmax->LowerBackward(DType::kFloat32, wrt);
    EXPECT_TRUE(cpu->Compile(program).ok());
    EXPECT_TRUE(gpu->Compile(program).ok());
  }

  EXPECT_EQ(cache.num_files(), num_files);
  EXPECT_EQ(fake.Get(FakeKnob::kNumCompiles), 0);
}

TEST(Actctl, PrecompiledProgramsNeedNoCompilerOnAGpu) {
  const std::string why_not = FakeDriver::WhyNoKernels();
  if (!why_not.empty()) GTEST_SKIP() << why_not;
  const FreshDirectory cache("precompiled_gpu");
  const std::string library = FakeDriver::Path();
  setenv("ACTSERVE_NVRTC", library.c_str(), 1);
  const Outcome outcome = Actctl(absl::StrCat(
      "precompile --arch=90 --dtype float32 --cache_directory=", cache.path(),
      " ", WriteText("spiky.py", kSpiky)));
  unsetenv("ACTSERVE_NVRTC");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr(", sm_90, in "));

  FakeDriver fake;
  const auto device = *CudaDevice::Create(
      {.driver = library, .nvrtc = library, .cache_directory = cache.path()});
  for (const LoweredProgram& program : SpikyPrograms()) {
    EXPECT_TRUE(device->Compile(program).ok());
  }

  EXPECT_EQ(fake.Get(FakeKnob::kNumCompiles), 0);
}

TEST(Actctl, ProgramsOfAPackNeedNoNvrtc) {
  const std::string why_not = FakeDriver::WhyNoKernels();
  if (!why_not.empty()) GTEST_SKIP() << why_not;
  const FreshDirectory folder("packed");
  const std::string pack = absl::StrCat(folder.path(), "/pack");
  const std::string library = FakeDriver::Path();
  setenv("ACTSERVE_NVRTC", library.c_str(), 1);
  const Outcome outcome = Actctl(
      absl::StrCat("precompile --arch=80,90 --dtype float32 --pack=", pack, " ",
                   WriteText("spiky.py", kSpiky)));
  unsetenv("ACTSERVE_NVRTC");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output,
              StartsWith(absl::StrCat(
                  pack, ": 3 programs of 1 activations for sm_80, sm_90, in")));

  FakeDriver fake;
  const auto opened = SassPack::Open(pack);
  ASSERT_TRUE(opened.ok()) << opened.status();
  const auto device = *CudaDevice::Create(
      {.driver = library, .nvrtc = "/nowhere", .pack = *opened});
  for (const LoweredProgram& program : SpikyPrograms()) {
    EXPECT_TRUE(device->Compile(program).ok());
  }

  // Beside the 3 programs, the 4 parts of the self-test.
  EXPECT_EQ((*opened)->num_parts(80), 7);
  EXPECT_EQ((*opened)->num_parts(90), 7);
}

// Whatever a request may name of inputs and parameters.
TEST(Actctl, PrecompilesEveryChoiceOfGradients) {
  const FreshDirectory cache("every_choice");

  const Outcome outcome = Actctl(absl::StrCat(
      "precompile --dtype float32 --cache_directory=", cache.path(), " ",
      WriteText("scaled.py",
                "def scaled(x, a=1.0, b=2.0):\n"
                "    return a * x * x + b\n")));

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  // y, with and without its partial; the gradients by x, a, b and all of them.
  EXPECT_THAT(outcome.output, HasSubstr(": 6 programs of 1 activations"));
}

TEST(Actctl, PrecompileNamesWhatItLacks) {
  const FreshDirectory cache("precompiled_nothing");
  const std::string flags =
      absl::StrCat("precompile --cache_directory=", cache.path(), " ",
                   WriteText("spiky.py", kSpiky));
  setenv("ACTSERVE_NVRTC", "/nowhere", 1);
  const Outcome no_nvrtc = Actctl(absl::StrCat(flags, " --arch=90"));
  unsetenv("ACTSERVE_NVRTC");
  const Outcome no_dtype = Actctl(absl::StrCat(flags, " --dtype=int8"));

  EXPECT_EQ(no_nvrtc.exit_code, 1);
  EXPECT_THAT(no_nvrtc.errors, StartsWith("actctl: UNAVAILABLE: NVRTC not"));
  const Outcome no_architecture = Actctl(absl::StrCat(flags, " --pack=p"));
  EXPECT_EQ(no_architecture.exit_code, 1);
  EXPECT_THAT(no_architecture.errors, HasSubstr("--arch"));
  EXPECT_EQ(no_dtype.exit_code, 1);
  EXPECT_THAT(no_dtype.errors, HasSubstr("int8"));
}

TEST(Actctl, AMissingFileIsNotFound) {
  const Outcome outcome = Actctl("check /nonexistent/f.py");

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.errors,
            "actctl: NOT_FOUND: cannot read /nonexistent/f.py\n");
}

TEST(Actctl, AFolderIsNoText) {
  const Outcome outcome = Actctl(absl::StrCat("check ", ::testing::TempDir()));

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.errors, absl::StrCat("actctl: NOT_FOUND: cannot read ",
                                         ::testing::TempDir(), "\n"));
}

TEST(Actctl, WithoutAServerItIsUnavailable) {
  const Outcome outcome = Actctl("health --address unix:/nonexistent/socket");

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, StartsWith("actctl: UNAVAILABLE: "));
}

// One actserved for all tests of the suite.
class ActctlWithServer : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto server =
        ServerProcess::Start(absl::StrCat(ACTSERVE_BINARIES, "/actserved"));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server).release();
    setenv("ACTSERVE_ADDRESS", server_->unix_address().c_str(), 1);
  }
  static void TearDownTestSuite() {
    unsetenv("ACTSERVE_ADDRESS");
    delete server_;
  }

  static ServerProcess* server_;
};
ServerProcess* ActctlWithServer::server_ = nullptr;

TEST_F(ActctlWithServer, HealthNamesTheDevice) {
  const Outcome outcome = Actctl("health");

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, StartsWith("serving at unix:"));
  EXPECT_THAT(outcome.output, HasSubstr("\ncpu: "));
}

TEST_F(ActctlWithServer, ATcpAddressIsTakenByFlag) {
  const Outcome outcome =
      Actctl(absl::StrCat("--address ", server_->tcp_address(), " health"));

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output,
              StartsWith(absl::StrCat("serving at ", server_->tcp_address())));
}

// A directory in which no server listens, as the place of the default socket.
class ActctlWithoutServer : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("XDG_RUNTIME_DIR", ::testing::TempDir().c_str(), 1);
  }
  void TearDown() override {
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("ACTSERVE_ADDRESS");
  }
};

TEST_F(ActctlWithoutServer, ComputesInItsOwnProcess) {
  EXPECT_EQ(Actctl("forward relu -1 2").output, "0 2\n");
  EXPECT_EQ(Actctl("backward relu -1 2").output, "0 1\n");
}

TEST_F(ActctlWithoutServer, SaysWhatTheOthersNeed) {
  for (const char* const command : {"health", "show sha256:12"}) {
    const Outcome outcome = Actctl(command);

    EXPECT_EQ(outcome.exit_code, 1) << command;
    EXPECT_THAT(outcome.errors,
                StartsWith("actctl: UNAVAILABLE: no server listens at unix:"));
    EXPECT_THAT(outcome.errors, HasSubstr("$ACTSERVE_ADDRESS"));
  }
}

TEST_F(ActctlWithoutServer, TheVariableMaySayLocal) {
  setenv("ACTSERVE_ADDRESS", "local", 1);

  EXPECT_THAT(Actctl("health").output, StartsWith("serving at local"));
}

TEST(ActctlLocal, ComputesWithoutAServer) {
  const std::string gate =
      WriteText("gate.py", "def gate(x, g, a=1): return a * x * g\n");
  EXPECT_EQ(Actctl(absl::StrCat("--address local backward ", gate,
                                " -i 2,3 -i 4,5 --parameter a=2 --wrt x,a"))
                .output,
            "x: 8 10\na: 23\n");
}

TEST(ActctlLocal, AdviseMeasuresTheWaysThatThereAre) {
  const Outcome outcome =
      Actctl("--address local advise gelu --shape 8,4 --seconds 0.02");

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output,
              AllOf(HasSubstr("gelu, float32 [8, 4], microseconds"),
                    ContainsRegex("local +[0-9.]+ +[0-9.]+\n"),
                    EndsWith("take the address \"local\"\n")));
}

TEST_F(ActctlWithServer, ParametersMayBeTensorsAndInputsBroadcast) {
  const std::string gate =
      WriteText("gate.py", "def gate(x, g, a=1): return a * x * g\n");
  const std::string inputs = " -i 2 -i 1,2,3 --parameter_tensor a=1,10,100@0";

  EXPECT_EQ(Actctl(absl::StrCat("forward ", gate, inputs)).output,
            "2 40 600\n");
  EXPECT_EQ(
      Actctl(absl::StrCat("backward ", gate, inputs, " --wrt a,x,g")).output,
      "a: 2 4 6\nx: 321\ng: 2 20 200\n");
  EXPECT_EQ(Actctl(absl::StrCat("backward ", gate, inputs,
                                " --order 2 --cotangent a=1,2,3 --cotangent "
                                "x=5 --wrt a,x,g,dL/dy"))
                .output,
            "a: 5 10 15\nx: 14\ng: 7 54 506\ndL/dy: 7 108 1518\n");
  EXPECT_EQ(Actctl(absl::StrCat("forward ", gate, inputs,
                                " --tangent a=1,2,3 --tangent x=5"))
                .output,
            "y: 2 40 600\ntangent: 7 108 1518\n");
}

TEST_F(ActctlWithServer, WhatDoesNotFitIsRefused) {
  const struct {
    const char* command;
    const char* error;
  } kCases[] = {
      {"forward prelu 1 --parameter_tensor a=1", "does not end in @AXIS"},
      {"forward prelu 1 --parameter_tensor a=1@0 --parameter a=2",
       "a is given twice"},
      {"forward prelu 1 --parameter_tensor a=1,2@0",
       "shape [2] from axis 0 on, but the inputs have the shape [1]"},
      {"forward prelu 1 --parameter a=9007199254740993",
       "a=9007199254740993: a float64 does not hold this integer exactly"},
      {"forward glu -i 1,2 -i 3,4,5",
       "inputs[1]: shape [3] differs from [2] of inputs[0]"},
      {"forward gelu 1 --tangent y=1", "'y' is not one of x"},
      {"forward gelu 1 --tangent x=1 -o y.npy",
       "--output y.npy: say NAME=FILE.npy, with one of y, tangent"},
      {"backward gelu 1 -o q=y.npy", "with one of x"},
      {"backward gelu 1 --grad_output 1,2", "grad_output: shape [2] differs"},
  };
  for (const auto& [command, error] : kCases) {
    const Outcome outcome = Actctl(command);

    EXPECT_NE(outcome.exit_code, 0) << command;
    EXPECT_THAT(outcome.errors, HasSubstr(error)) << command;
  }
}

TEST_F(ActctlWithServer, HealthOfSeveralReplicasIsThatOfEach) {
  const std::string two =
      absl::StrCat(server_->tcp_address(), ",", server_->unix_address());

  const Outcome both = Actctl(absl::StrCat("health --address ", two));
  const Outcome some = Actctl(
      absl::StrCat("health --address ", two, ",unix:/nonexistent/socket"));

  EXPECT_EQ(both.exit_code, 0) << both.errors;
  EXPECT_EQ(both.output, absl::StrCat(server_->tcp_address(), ": serving\n",
                                      server_->unix_address(), ": serving\n"));
  EXPECT_EQ(some.exit_code, 1);
  EXPECT_THAT(some.output,
              StartsWith(absl::StrCat(
                  both.output, "unix:/nonexistent/socket: UNAVAILABLE: ")));
  EXPECT_EQ(some.errors, "actctl: UNAVAILABLE: 2 of 3 replicas are serving\n");
}

TEST_F(ActctlWithServer, ForwardOfNumbersPrintsNumbers) {
  const Outcome outcome = Actctl("forward spiky 0.2 0.7 1.2 1.7");

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(outcome.output, "0.2 0 0.20000005 0\n");
}

TEST_F(ActctlWithServer, BackwardOfNumbersPrintsTheGradient) {
  const Outcome outcome = Actctl("backward spiky 0.2 0.7 1.2 1.7");

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(outcome.output, "1 0 1 0\n");
}

TEST_F(ActctlWithServer, NegativeNumbersAreNotFlags) {
  const Outcome outcome = Actctl("forward relu -1.5 2 -3");

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(outcome.output, "0 2 0\n");
}

TEST(Actctl, AskingForNothingIsAnError) {
  const Outcome outcome = Actctl("forward relu");

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("no input: give numbers"));
}

TEST_F(ActctlWithServer, NegativeInfinityIsNoFlag) {
  EXPECT_EQ(Actctl("forward identity -inf 1 -Infinity").output,
            "-inf 1 -inf\n");
  EXPECT_EQ(Actctl("forward identity -i -inf,2").output, "-inf 2\n");
  EXPECT_EQ(Actctl("backward identity 1 --grad_output -inf").output, "-inf\n");
}

TEST_F(ActctlWithServer, ParametersAndTheirGradients) {
  const Outcome outcome = Actctl(
      "backward prelu -2 3 --parameter a=0.5 --wrt x,a --grad_output 1,10");

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(outcome.output, "x: 0.5 10\na: -2\n");
}

TEST_F(ActctlWithServer, OneInputHoldsThoseOfAGate) {
  const Outcome forward = Actctl("forward reglu 2 3 5 -7 --split_axis=-1");
  const Outcome backward =
      Actctl("backward reglu 2 3 5 -7 --split_axis 0 --grad_output 10,100");
  const Outcome second = Actctl(
      "backward reglu 2 3 5 7 --split_axis 0 --order 2 --cotangent *=1,1,1,1 "
      "--wrt dL/dy,*");

  EXPECT_EQ(forward.exit_code, 0) << forward.errors;
  EXPECT_EQ(forward.output, "10 0\n");
  EXPECT_EQ(backward.exit_code, 0) << backward.errors;
  EXPECT_EQ(backward.output, "50 0 20 0\n");
  EXPECT_EQ(second.exit_code, 0) << second.errors;
  EXPECT_EQ(second.output, "dL/dy: 7 10\n*: 1 1 1 1\n");
  EXPECT_THAT(Actctl("forward reglu 1 2 3 --split_axis 0").errors,
              HasSubstr("3 along that axis is not divisible by 2"));
  EXPECT_THAT(Actctl("backward reglu 1 2 --split_axis 0 --wrt a").errors,
              HasSubstr("'a' is not one of *"));
}

// y = a x^3.
TEST_F(ActctlWithServer, SecondOrderAndTangents) {
  const std::string cube =
      WriteText("cube.py", "def cube(x, a=2.0):\n    return a * x * x * x\n");

  const Outcome second = Actctl(absl::StrCat(
      "backward ", cube,
      " 1 2 --order 2 --grad_output 5,7 --cotangent x=1,10 --cotangent a=100 "
      "--wrt dL/dy,a,x"));
  const Outcome tangent = Actctl(absl::StrCat(
      "forward ", cube, " 1 -2 --tangent x=1,10 --tangent a=-0.5"));

  EXPECT_EQ(second.exit_code, 0) << second.errors;
  EXPECT_EQ(second.output, "dL/dy: 106 1040\na: 855\nx: 1560 10080\n");
  EXPECT_EQ(tangent.exit_code, 0) << tangent.errors;
  EXPECT_EQ(tangent.output, "y: 2 -16\ntangent: 5.5 244\n");
  EXPECT_THAT(Actctl("backward relu 1 --order 3").errors,
              HasSubstr("order: 3, must be 1 or 2"));
  EXPECT_THAT(Actctl("forward relu 1 --tangent x").errors,
              HasSubstr("--tangent 'x' is not NAME=VALUE"));
}

TEST_F(ActctlWithServer, RowsRunAlongTheAxis) {
  const std::string centered =
      WriteText("centered.py", "def centered(x):\n    return x - rowmean(x)\n");
  auto x = *ParseArray({"1", "2", "6", "3", "3", "0"}, v1::DTYPE_FLOAT32);
  x.shape = {2, 3};
  ASSERT_TRUE(WriteNpy(TempPath("x.npy"), x).ok());
  const std::string on_file =
      absl::StrCat(centered, " -i ", TempPath("x.npy"), " --axis ");

  EXPECT_EQ(
      Actctl(absl::StrCat("forward ", centered, " 1 2 6 --axis 0")).output,
      "-2 -1 3\n");
  EXPECT_EQ(Actctl(absl::StrCat("forward ", on_file, "-1")).output,
            "-2 -1 3\n1 1 -2\n");
  EXPECT_EQ(Actctl(absl::StrCat("forward ", on_file, "0")).output,
            "-1 -0.5 3\n1 0.5 -3\n");
  EXPECT_EQ(
      Actctl(absl::StrCat("backward ", on_file, "1 --grad_output 3,0,0,1,1,4"))
          .output,
      "2 -1 -1\n-1 -1 2\n");
}

TEST_F(ActctlWithServer, APieceHasTheRandomNumbersOfTheWhole) {
  const std::string drop = WriteText(
      "drop.py",
      "def drop(x, seed=0):\n    return x if uniform(seed) < 0.5 else 0\n");
  for (const std::string command : {"forward ", "backward "}) {
    const auto run = [&](const std::string& arguments) {
      return Actctl(
          absl::StrCat(command, drop, " --parameter seed=5 ", arguments));
    };
    const Outcome whole = run("1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1");
    const Outcome piece = run("1 1 1 1 1 1 1 1 --element_offset 8");

    EXPECT_EQ(piece.exit_code, 0) << piece.errors;
    // Eight digits, with what is between and behind them.
    const std::string numbers = piece.output.substr(piece.output.size() - 16);
    EXPECT_EQ(numbers, whole.output.substr(whole.output.size() - 16));
    EXPECT_THAT(numbers, AllOf(HasSubstr("0"), HasSubstr("1")));
  }
}

TEST_F(ActctlWithServer, AWrongAxisIsRefused) {
  const std::string softmax = WriteText("softmax.py", kSoftmax);

  const Outcome missing = Actctl(absl::StrCat("backward ", softmax, " 1 2"));
  const Outcome superfluous = Actctl("forward relu 1 2 --axis=0");

  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_EQ(missing.errors,
            "actctl: INVALID_ARGUMENT: axis: not set, but softmax reads "
            "rows\n");
  EXPECT_EQ(superfluous.exit_code, 1);
  EXPECT_THAT(superfluous.errors, HasSubstr("relu reads no rows"));
}

TEST_F(ActctlWithServer, AFileIsRegisteredFirst) {
  const std::string path =
      WriteText("twice.py", "def twice(x):\n    return x + x\n");

  const Outcome outcome = Actctl(absl::StrCat("forward ", path, " 1 2.5"));

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(outcome.output, "2 5\n");
}

TEST_F(ActctlWithServer, ARegisteredIdWorksEverywhere) {
  const std::string path =
      WriteText("thrice.py", "def thrice(x):\n    return 3 * x\n");
  std::string id = Actctl(absl::StrCat("register ", path)).output;
  ASSERT_THAT(id, StartsWith("sha256:"));
  id.pop_back();

  EXPECT_EQ(Actctl(absl::StrCat("forward ", id, " 2")).output, "6\n");
  EXPECT_EQ(Actctl(absl::StrCat("backward ", id, " 2")).output, "3\n");
  EXPECT_THAT(Actctl(absl::StrCat("show ", id)).output,
              HasSubstr("def thrice(x):"));
  EXPECT_THAT(
      Actctl(absl::StrCat("list --address ", server_->tcp_address())).output,
      HasSubstr(absl::StrCat("thrice(x)  ", id)));
}

TEST_F(ActctlWithServer, ArraysGoThroughFiles) {
  auto x = *ParseArray({"-1", "0.5", "2", "3", "-4", "5"}, v1::DTYPE_BFLOAT16);
  x.shape = {2, 3};
  ASSERT_TRUE(WriteNpy(TempPath("x.npy"), x).ok());

  const Outcome outcome =
      Actctl(absl::StrCat("forward relu --dtype bfloat16 -i ",
                          TempPath("x.npy"), " -o ", TempPath("y.npy")));

  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, IsEmpty());
  const auto y = ReadNpy(TempPath("y.npy"), v1::DTYPE_BFLOAT16);
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ(ArrayText(*y), "0 0.5 2\n3 0 5");
}

TEST_F(ActctlWithServer, AnUnknownNameIsNotFound) {
  const Outcome outcome = Actctl("forward gelux 1");

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, StartsWith("actctl: NOT_FOUND: "));
}

TEST_F(ActctlWithServer, ATextWithErrorsIsShownWithTheirPlaces) {
  const std::string path =
      WriteText("wrong.py", "def f(x):\n    return x + z\n");

  const Outcome outcome = Actctl(absl::StrCat("register ", path));

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("2:16: error:"));
}

// From a new token to a call with it.
TEST(ActctlToken, OpensAServer) {
  const Outcome made = Actctl(
      "token new --tenant=team --roles=compute --expires=2099-01-31T00:00:00Z");
  ASSERT_EQ(made.exit_code, 0) << made.errors;
  const std::vector<std::string> lines = absl::StrSplit(made.output, '\n');
  ASSERT_EQ(lines.size(), 3) << made.output;
  EXPECT_THAT(lines[0], ContainsRegex("^actserve_[0-9A-Za-z_-]{43}$"));
  EXPECT_THAT(lines[1], ::testing::Not(HasSubstr(lines[0])));
  EXPECT_THAT(lines[1], HasSubstr("\"expires\": \"2099-01-31T00:00:00Z\"}"));
  EXPECT_NE(Actctl("token new --tenant=team").output, made.output);
  const std::string tokens =
      WriteText("tokens.json", absl::StrCat("{\"tokens\": [", lines[1], "]}"));
  std::filesystem::permissions(tokens, std::filesystem::perms(0600));
  const std::string token = WriteText("token", lines[0] + "\n");
  const auto server =
      ServerProcess::Start(absl::StrCat(ACTSERVE_BINARIES, "/actserved"),
                           {"--device=cpu", absl::StrCat("--tokens=", tokens)});
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string address =
      absl::StrCat(" --address=", (*server)->tcp_address());
  const std::string with_token = absl::StrCat(address, " --token_file=", token);

  const Outcome computed = Actctl("forward relu 2" + with_token);
  EXPECT_EQ(computed.exit_code, 0) << computed.errors;
  const Outcome refused = Actctl("forward relu 2" + address);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.errors, HasSubstr("UNAUTHENTICATED"));
  const std::string file = WriteText("spiky.py", kSpiky);
  const Outcome no_role = Actctl(absl::StrCat("register ", file, with_token));
  EXPECT_THAT(no_role.errors, HasSubstr("PERMISSION_DENIED"));
  const Outcome health = Actctl("health" + address);
  EXPECT_EQ(health.exit_code, 0) << "needs no token: " << health.errors;
  EXPECT_THAT(health.output, StartsWith("serving at "));
}

TEST(ActctlToken, IsNotSentInPlainTextToAnotherMachine) {
  const std::string token = WriteText("token", "secret-token");

  const Outcome refused =
      Actctl(absl::StrCat("health --address=10.0.0.1:1 --token_file=", token));

  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.errors, AllOf(HasSubstr("in plain text"),
                                    ::testing::Not(HasSubstr("secret"))));
}

}  // namespace
}  // namespace actserve
