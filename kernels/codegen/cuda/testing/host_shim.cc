#include "kernels/codegen/cuda/testing/host_shim.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <ucontext.h>

#include <cassert>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/codegen/cuda/text_files.h"

namespace actserve::testing {
namespace {

constexpr KernelEntry kEntries[] = {KernelEntry::kRun, KernelEntry::kFinishSums,
                                    KernelEntry::kFillTable,
                                    KernelEntry::kRunShared};

// As the prelude's host version declares it.
struct Shim {
  unsigned thread_index;
  unsigned block_index;
  unsigned grid_size;
  void* shared;
  void (*barrier)();
};

using Kernel = void (*)(const void* argument);

std::string Symbol(int text, KernelEntry entry) {
  return absl::StrCat("call_", text, "_", KernelEntryName(entry));
}

// Every text in a namespace of its own, its entries under names of their own,
// each with a function that takes the argument by address.
std::string Join(const std::vector<std::string>& texts) {
  std::string code =
      absl::StrCat(BareText("kernels/codegen/cuda/text/prelude.h"),
                   "extern \"C\" { ActserveShim actserve_shim; }\n");
  for (size_t t = 0; t < texts.size(); ++t) {
    absl::StrAppend(&code, "namespace text_", t, " {\n");
    for (const KernelEntry entry : kEntries) {
      const char* const name = KernelEntryName(entry);
      absl::StrAppend(&code, "#define ", name, " ", name, "_", t, "\n");
    }
    absl::StrAppend(&code, texts[t]);
    for (const KernelEntry entry : kEntries) {
      const char* const name = KernelEntryName(entry);
      if (absl::StrContains(texts[t], absl::StrCat("\n", name, "("))) {
        absl::StrAppend(&code, "extern \"C\" void ", Symbol(t, entry),
                        "(const void* argument) {\n  ", name,
                        "(*static_cast<const Argument*>(argument));\n}\n");
      }
      absl::StrAppend(&code, "#undef ", name, "\n");
    }
    absl::StrAppend(&code, "}\n");
  }
  return code;
}

// The threads of one block at a time.
class BlockRunner {
 public:
  BlockRunner(Shim* shim, Kernel kernel, const PackedLaunch& launch)
      : shim_(shim),
        kernel_(kernel),
        argument_(launch.argument.data()),
        num_threads_(launch.block) {
    // In vectors, for their alignment.
    shared_.resize(launch.shared_bytes / sizeof(SharedVector) + 1);
    shim_->shared = shared_.data();
    shim_->grid_size = static_cast<unsigned>(launch.grid);
    shim_->barrier = [] { current_->Wait(); };
    current_ = this;
  }
  ~BlockRunner() { current_ = nullptr; }

  void Run(unsigned block) {
    shim_->block_index = block;
    next_thread_ = 0;
    while (next_thread_ < num_threads_ || !waiting_.empty()) {
      if (next_thread_ < num_threads_) {
        Resume(TakeFiber());
      } else {
        // All that are left wait: the barrier opens.
        for (Fiber* fiber : std::exchange(waiting_, {})) Resume(fiber);
      }
    }
  }

 private:
  static constexpr size_t kStackBytes = 128 << 10;

  struct alignas(16) SharedVector {
    char bytes[16];
  };
  struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack{new char[kStackBytes]};
    bool waits = false;
    unsigned thread_index = 0;
  };

  Fiber* NewFiber() {
    fibers_.push_back(std::make_unique<Fiber>());
    Fiber* const fiber = fibers_.back().get();
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack.get();
    fiber->context.uc_stack.ss_size = kStackBytes;
    makecontext(&fiber->context, [] { current_->RunThreads(); }, 0);
    return fiber;
  }

  Fiber* TakeFiber() {
    if (free_.empty()) free_.push_back(NewFiber());
    Fiber* const fiber = free_.back();
    free_.pop_back();
    return fiber;
  }

  void Resume(Fiber* fiber) {
    running_ = fiber;
    fiber->waits = false;
    shim_->thread_index = fiber->thread_index;
    swapcontext(&main_, &fiber->context);
    (fiber->waits ? waiting_ : free_).push_back(fiber);
  }

  // A fiber's whole life: thread after thread, block after block, until one
  // of them waits.
  void RunThreads() {
    while (true) {
      while (next_thread_ < num_threads_) {
        shim_->thread_index = next_thread_++;
        kernel_(argument_);
      }
      swapcontext(&running_->context, &main_);
    }
  }

  void Wait() {
    running_->waits = true;
    running_->thread_index = shim_->thread_index;
    swapcontext(&running_->context, &main_);
  }

  static inline BlockRunner* current_ = nullptr;

  Shim* const shim_;
  const Kernel kernel_;
  const void* const argument_;
  const unsigned num_threads_;
  std::vector<SharedVector> shared_;
  ucontext_t main_ = {};
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> free_;
  std::vector<Fiber*> waiting_;
  Fiber* running_ = nullptr;
  unsigned next_thread_ = 0;
};

bool RunCommand(const std::string& command) {
  return std::system(command.c_str()) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HostModule>> HostModule::Compile(
    const std::vector<std::string>& texts) {
  std::string directory =
      (std::filesystem::temp_directory_path() / "host_shim_XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) {
    return absl::InternalError(absl::StrCat("cannot create ", directory));
  }
  std::ofstream(directory + "/texts.cc") << Join(texts);
  // Relative names, so that a compiler cache knows the file again.
  const bool compiled = RunCommand(absl::StrCat(
      "cd '", directory, "' && ", ACTSERVE_HOST_COMPILER,
      " -std=c++17 -O1 -march=native -ffp-contract=off -fno-math-errno -fPIC"
      " -w -c texts.cc -o texts.o && ",
      ACTSERVE_HOST_COMPILER, " -shared texts.o -o texts.so"));
  void* const library = compiled ? dlopen((directory + "/texts.so").c_str(),
                                          RTLD_NOW | RTLD_LOCAL)
                                 : nullptr;
  const char* const error = compiled ? dlerror() : "the compiler failed";
  std::filesystem::remove_all(directory);
  if (library == nullptr) {
    return absl::InternalError(absl::StrCat("generated texts: ", error));
  }
  return std::unique_ptr<HostModule>(new HostModule(library));
}

HostModule::~HostModule() { dlclose(library_); }

void HostModule::Launch(int text, KernelEntry entry,
                        const PackedLaunch& launch) const {
  auto* const shim = static_cast<Shim*>(dlsym(library_, "actserve_shim"));
  const auto kernel =
      reinterpret_cast<Kernel>(dlsym(library_, Symbol(text, entry).c_str()));
  assert(shim != nullptr && kernel != nullptr);
  BlockRunner runner(shim, kernel, launch);
  for (int64_t block = 0; block < launch.grid; ++block) {
    runner.Run(static_cast<unsigned>(block));
  }
}

}  // namespace actserve::testing
