#include "kernels/codegen/cuda/testing/stack_place.h"

#include <ucontext.h>

namespace actserve::testing {
namespace {

// A jump may not stand in the function that sets its goal.
__attribute__((noinline, noreturn, no_sanitize("address", "thread"))) void GoTo(
    StackPlace& place) {
  __builtin_longjmp(place.words, 1);
}

}  // namespace

__attribute__((no_sanitize("address", "thread"))) void Switch(StackPlace& from,
                                                              StackPlace& to) {
  if (__builtin_setjmp(from.words) == 0) GoTo(to);
}

__attribute__((no_sanitize("address", "thread"))) void StartOnStack(
    StackPlace& from, char* stack, size_t size_bytes, void (*main)()) {
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = stack;
  context.uc_stack.ss_size = size_bytes;
  context.uc_link = nullptr;
  makecontext(&context, main, 0);
  if (__builtin_setjmp(from.words) == 0) setcontext(&context);
}

}  // namespace actserve::testing
