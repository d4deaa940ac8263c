#include "kernels/codegen/cuda/testing/host_blocks.h"

#include <memory>
#include <vector>

#include "kernels/codegen/cuda/testing/stack_place.h"

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

constexpr size_t kFiberStackBytes = size_t{64} << 10;

// Runs blocks, the threads of each taken in turn from barrier to barrier.
class Block {
 public:
  Block(HostShim* shim, HostKernel kernel, const void* argument,
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

    StackPlace place;
    void* const sanitizer = NewSanitizerFiber();
    const std::unique_ptr<char[]> stack{new char[kFiberStackBytes]};
    bool done = false;
  };

  void Start(unsigned thread) {
    const bool is_new = thread == fibers_.size();
    if (is_new) fibers_.push_back(std::make_unique<Fiber>());
    fibers_[thread]->done = false;
    Resume(thread, is_new);
  }

  void Resume(unsigned thread, bool is_new = false) {
    Fiber& fiber = *fibers_[thread];
    thread_ = thread;
    shim_->thread_index = thread;
    SwitchSanitizer(fiber.sanitizer);
    if (is_new) {
      StartOnStack(scheduler_, fiber.stack.get(), kFiberStackBytes,
                   &Block::Main);
    } else {
      Switch(scheduler_, fiber.place);
    }
  }

  // Unseen by the sanitizer, as it never returns.
  __attribute__((no_sanitize("thread"))) static void Main() {
    for (;;) {
      Block& block = *current_;
      block.kernel_(block.argument_);
      block.fibers_[block.thread_]->done = true;
      Barrier();
    }
  }

  static void Barrier() {
    Block& block = *current_;
    SwitchSanitizer(block.sanitizer_);
    Switch(block.fibers_[block.thread_]->place, block.scheduler_);
  }

  static thread_local Block* current_;

  HostShim* const shim_;
  const HostKernel kernel_;
  const void* const argument_;
  const unsigned num_threads_;
  StackPlace scheduler_;
  void* const sanitizer_ = ThisSanitizerFiber();
  std::vector<std::unique_ptr<Fiber>> fibers_;
  unsigned thread_ = 0;
};

thread_local Block* Block::current_ = nullptr;

}  // namespace

void RunHostBlocks(HostShim* shim, HostKernel kernel, const void* argument,
                   unsigned grid, unsigned block, size_t shared_bytes) {
  // In vectors, for their alignment.
  struct alignas(16) Vector {
    char bytes[16];
  };
  std::vector<Vector> shared(shared_bytes / sizeof(Vector) + 1);
  shim->grid_size = grid;
  shim->shared = shared.data();
  Block threads(shim, kernel, argument, block);
  for (unsigned b = 0; b < grid; ++b) {
    shim->block_index = b;
    threads.Run();
  }
}

}  // namespace actserve::testing
