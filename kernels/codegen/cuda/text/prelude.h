// The first part of every generated text: the functions of the machine that
// programs need. Two versions of each, the GPU's (NVRTC, which brings its
// intrinsics without any header) and the host's (a C++ compiler, behind
// testing/host_shim).
//
// Everything after this part is the same text for both.

#ifndef ACTSERVE_PRELUDE
#define ACTSERVE_PRELUDE

using Word = unsigned long long;

#if defined(__CUDACC_RTC__)

// The compiler's builtins that kernels/math is written with. Those that round
// are the intrinsics that no option of the compiler changes.
#define __builtin_fmaf(a, b, c) __fmaf_rn(a, b, c)
#define __builtin_fma(a, b, c) __fma_rn(a, b, c)
#define __builtin_sqrtf(x) __fsqrt_rn(x)
#define __builtin_sqrt(x) __dsqrt_rn(x)
#define __builtin_fabsf(x) fabsf(x)
#define __builtin_fabs(x) fabs(x)
#define __builtin_floorf(x) floorf(x)
#define __builtin_floor(x) floor(x)
#define __builtin_ceilf(x) ceilf(x)
#define __builtin_ceil(x) ceil(x)
#define __builtin_truncf(x) truncf(x)
#define __builtin_trunc(x) trunc(x)
#define __builtin_rintf(x) rintf(x)
#define __builtin_rint(x) rint(x)
#define __builtin_copysignf(x, y) copysignf(x, y)
#define __builtin_copysign(x, y) copysign(x, y)
#define __builtin_inff() __builtin_bit_cast(float, 0x7f800000u)
#define __builtin_huge_valf() __builtin_bit_cast(float, 0x7f800000u)
#define __builtin_nanf(text) __builtin_bit_cast(float, 0x7fc00000u)
#define __builtin_huge_val() __builtin_bit_cast(double, 0x7ff0000000000000ull)
#define __builtin_nan(text) __builtin_bit_cast(double, 0x7ff8000000000000ull)

#define ACTSERVE_DEVICE static __device__ __forceinline__
#define ACTSERVE_MEMBER __device__ __forceinline__
#define ACTSERVE_KERNEL(threads, blocks) \
  extern "C" __global__ void __launch_bounds__(threads, blocks)
#define ACTSERVE_UNROLL _Pragma("unroll")
#define ACTSERVE_LOOP _Pragma("unroll 1")
#define ACTSERVE_SHARED __shared__
// All shared memory that the launch asked for, aligned to 16 bytes.
#define ACTSERVE_LAUNCHED_SHARED(name) extern __shared__ uint4 name[]

// float16 is an instruction here; kernels/math has it in integers. NVRTC 13.0
// knows these two names for architectures before sm_100 only.
#if __CUDA_ARCH__ < 1000
#define ACTSERVE_FLOAT16_TO_FLOAT(bits) __nvvm_h2f(bits)
#define ACTSERVE_FLOAT_TO_FLOAT16(x) __nvvm_f2h_rn(x)
#else
#define ACTSERVE_FLOAT16_TO_FLOAT(bits) actserve_f16_bits_to_f32(bits)
#define ACTSERVE_FLOAT_TO_FLOAT16(x) actserve_f32_to_f16_bits(x)
#endif

using Vector = uint4;

ACTSERVE_DEVICE void Barrier() { __syncthreads(); }
ACTSERVE_DEVICE unsigned ThreadIndex() { return threadIdx.x; }
ACTSERVE_DEVICE unsigned BlockIndex() { return blockIdx.x; }
ACTSERVE_DEVICE unsigned GridSize() { return gridDim.x; }
ACTSERVE_DEVICE Word MultiplyHigh(Word a, Word b) { return __umul64hi(a, b); }

// Memory that no block of the launch writes. Streaming: read once, so first to
// leave the caches.
template <typename T>
ACTSERVE_DEVICE T Load(const T* from) {
  return __ldg(from);
}
template <typename T>
ACTSERVE_DEVICE T LoadStreaming(const T* from) {
  return __ldcs(from);
}
template <typename T>
ACTSERVE_DEVICE void Store(T* to, T value) {
  __stwb(to, value);
}
template <typename T>
ACTSERVE_DEVICE void StoreStreaming(T* to, T value) {
  __stcs(to, value);
}

#else  // The host.

#define ACTSERVE_DEVICE static inline
#define ACTSERVE_MEMBER inline
#define ACTSERVE_KERNEL(threads, blocks) extern "C" void
#define ACTSERVE_UNROLL
#define ACTSERVE_LOOP
// One block runs at a time.
#define ACTSERVE_SHARED static
#define ACTSERVE_LAUNCHED_SHARED(name) \
  Vector* const name = static_cast<Vector*>(actserve_shim.shared)

#define ACTSERVE_FLOAT16_TO_FLOAT(bits) actserve_f16_bits_to_f32(bits)
#define ACTSERVE_FLOAT_TO_FLOAT16(x) actserve_f32_to_f16_bits(x)

struct alignas(16) Vector {
  unsigned x, y, z, w;
};

// Filled in by whoever runs the kernel, thread after thread.
struct ActserveShim {
  unsigned thread_index;
  unsigned block_index;
  unsigned grid_size;
  void* shared;
  // Returns when every thread of the block has called it.
  void (*barrier)();
};
extern "C" ActserveShim actserve_shim;

ACTSERVE_DEVICE void Barrier() { actserve_shim.barrier(); }
ACTSERVE_DEVICE unsigned ThreadIndex() { return actserve_shim.thread_index; }
ACTSERVE_DEVICE unsigned BlockIndex() { return actserve_shim.block_index; }
ACTSERVE_DEVICE unsigned GridSize() { return actserve_shim.grid_size; }
ACTSERVE_DEVICE Word MultiplyHigh(Word a, Word b) {
  return static_cast<Word>(static_cast<unsigned __int128>(a) * b >> 64);
}

template <typename T>
ACTSERVE_DEVICE T Load(const T* from) {
  return *from;
}
template <typename T>
ACTSERVE_DEVICE T LoadStreaming(const T* from) {
  return *from;
}
template <typename T>
ACTSERVE_DEVICE void Store(T* to, T value) {
  *to = value;
}
template <typename T>
ACTSERVE_DEVICE void StoreStreaming(T* to, T value) {
  *to = value;
}

#endif

#endif  // ACTSERVE_PRELUDE
