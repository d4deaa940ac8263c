#include "kernels/device/cuda/testing/host_kernel.h"

#include <dlfcn.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace actserve::testing {
namespace {

// ThreadSanitizer has to be told which stack runs.
#if defined(__SANITIZE_THREAD__)
void* NewSanitizerFiber() { return __tsan_create_fiber(0); }
void DeleteSanitizerFiber(void* fiber) { __tsan_destroy_fiber(fiber); }
void* ThisSanitizerFiber() { return __tsan_get_current_fiber(); }
void SwitchSanitizer(void* fiber) { __tsan_switch_to_fiber(fiber, 0); }
#else
void* NewSanitizerFiber() { return nullptr; }
void DeleteSanitizerFiber(void*) {}
void* ThisSanitizerFiber() { return nullptr; }
void SwitchSanitizer(void*) {}
#endif

constexpr char kCallPrefix[] = "host_call_";
constexpr size_t kFiberStackBytes = size_t{64} << 10;

// Runs blocks, the threads of each taken in turn from barrier to barrier.
class Block {
 public:
  Block(HostShim* shim, HostModule::Kernel kernel, const void* argument,
        unsigned num_threads)
      : shim_(shim),
        kernel_(kernel),
        argument_(argument),
        num_threads_(num_threads) {}

  // Runs a block. All threads of a block meet at the same barriers, so the
  // first tells whether there are any; if not, the others need no fibers.
  void Run() {
    current_ = this;
    shim_->barrier = &Block::Barrier;
    Start(0);
    if (!fibers_[0]->done) {
      for (unsigned t = 1; t < num_threads_; ++t) Start(t);
      while (!fibers_[0]->done) {
        for (unsigned t = 0; t < num_threads_; ++t) Resume(t);
      }
      return;
    }
    for (unsigned t = 1; t < num_threads_; ++t) {
      shim_->thread_index = t;
      kernel_(argument_);
    }
  }

 private:
  struct Fiber {
    ~Fiber() { DeleteSanitizerFiber(sanitizer); }

    ucontext_t context;
    void* const sanitizer = NewSanitizerFiber();
    const std::unique_ptr<char[]> stack{new char[kFiberStackBytes]};
    bool done = false;
  };

  void Start(unsigned thread) {
    if (thread == fibers_.size()) fibers_.push_back(std::make_unique<Fiber>());
    Fiber& fiber = *fibers_[thread];
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kFiberStackBytes;
    fiber.context.uc_link = &scheduler_;
    makecontext(&fiber.context, &Block::Main, 0);
    Resume(thread);
  }

  void Resume(unsigned thread) {
    thread_ = thread;
    shim_->thread_index = thread;
    SwitchSanitizer(fibers_[thread]->sanitizer);
    swapcontext(&scheduler_, &fibers_[thread]->context);
  }

  // Ends on another stack than it began on, so unseen by the sanitizer.
  __attribute__((no_sanitize("thread"))) static void Main() {
    Block& block = *current_;
    const unsigned thread = block.thread_;
    block.kernel_(block.argument_);
    block.fibers_[thread]->done = true;
    SwitchSanitizer(block.sanitizer_);  // and back through uc_link
  }

  static void Barrier() {
    Block& block = *current_;
    SwitchSanitizer(block.sanitizer_);
    swapcontext(&block.fibers_[block.thread_]->context, &block.scheduler_);
  }

  static thread_local Block* current_;

  HostShim* const shim_;
  const HostModule::Kernel kernel_;
  const void* const argument_;
  const unsigned num_threads_;
  ucontext_t scheduler_;
  void* const sanitizer_ = ThisSanitizerFiber();
  std::vector<std::unique_ptr<Fiber>> fibers_;
  unsigned thread_ = 0;
};

thread_local Block* Block::current_ = nullptr;

}  // namespace

std::string HostKernelSuffix(const std::string& text) {
  std::string suffix =
      "\nActserveShim actserve_shim;\n"
      "extern \"C\" { extern const unsigned long host_argument_bytes = "
      "sizeof(Argument); }\n";
  for (const char* name : {"actserve_run", "actserve_finish_sums",
                           "actserve_fill_table", "actserve_run_shared"}) {
    if (text.find(std::string(name) + "(") == std::string::npos) continue;
    suffix += std::string("extern \"C\" void ") + kCallPrefix + name +
              "(const void* argument) {\n  " + name +
              "(*static_cast<const Argument*>(argument));\n}\n";
  }
  return suffix;
}

std::unique_ptr<HostModule> HostModule::Load(const void* image,
                                             size_t size_bytes) {
  // Under a name of its own: dlopen() takes equal names for the same file.
  std::string path = "/tmp/host_kernel_XXXXXX";
  const int file = mkstemp(path.data());
  if (file < 0) return nullptr;
  const bool written =
      write(file, image, size_bytes) == static_cast<ssize_t>(size_bytes);
  close(file);
  void* const library =
      written ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  unlink(path.c_str());
  if (library == nullptr) return nullptr;
  auto* const shim = static_cast<HostShim*>(dlsym(library, "actserve_shim"));
  const auto* const argument_bytes =
      static_cast<const unsigned long*>(dlsym(library, "host_argument_bytes"));
  if (shim == nullptr || argument_bytes == nullptr) {
    dlclose(library);
    return nullptr;
  }
  return std::unique_ptr<HostModule>(
      new HostModule(library, shim, *argument_bytes));
}

HostModule::~HostModule() { dlclose(library_); }

HostModule::Kernel HostModule::Find(const std::string& name) const {
  return reinterpret_cast<Kernel>(
      dlsym(library_, (kCallPrefix + name).c_str()));
}

void HostModule::Run(Kernel kernel, unsigned grid, unsigned block,
                     size_t shared_bytes, const void* argument) {
  struct alignas(16) Chunk {
    char bytes[16];
  };
  std::vector<Chunk> shared((shared_bytes + 15) / 16);
  std::lock_guard lock(mutex_);
  shim_->grid_size = grid;
  shim_->shared = shared.data();
  Block threads(shim_, kernel, argument, block);
  for (unsigned b = 0; b < grid; ++b) {
    shim_->block_index = b;
    threads.Run();
  }
}

}  // namespace actserve::testing
