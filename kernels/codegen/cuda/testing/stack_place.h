#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_STACK_PLACE_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_STACK_PLACE_H_

#include <cstddef>

namespace actserve::testing {

// Where a thread left a stack, to go on from there. swapcontext() does the same
// with a system call for the signal mask, and a block of 1024 threads switches
// 2048 times at a barrier.
//
// The functions are in a file of their own because a compiler that sees into
// them believes that they leave registers alone.
struct StackPlace {
  void* words[5];
};

// Leaves at `from` and goes on at `to`. Returns when somebody switches back.
void Switch(StackPlace& from, StackPlace& to);

// Leaves at `from` and calls `main`, which must not return, on another stack.
void StartOnStack(StackPlace& from, char* stack, size_t size_bytes,
                  void (*main)());

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_STACK_PLACE_H_
