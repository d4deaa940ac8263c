// The bounds of all histograms, in the units in which they are observed.

#ifndef ACTSERVE_SERVER_METRICS_BOUNDS_H_
#define ACTSERVE_SERVER_METRICS_BOUNDS_H_

#include <cstdint>

namespace actserve {

inline constexpr int64_t kMicro = 1'000;  // nanoseconds
inline constexpr int64_t kMilli = 1'000'000;
inline constexpr int64_t kSecond = 1'000'000'000;

// Calls, queues and stages, in nanoseconds: from a small tensor that is
// computed at once to the watchdog of a GPU.
inline constexpr int64_t kLatencyBounds[] = {
    20 * kMicro, 50 * kMicro,  100 * kMicro, 200 * kMicro, 500 * kMicro,
    1 * kMilli,  2 * kMilli,   5 * kMilli,   10 * kMilli,  20 * kMilli,
    50 * kMilli, 100 * kMilli, 200 * kMilli, 500 * kMilli, 1 * kSecond,
    2 * kSecond, 5 * kSecond,  10 * kSecond,
};

// Compilations, in nanoseconds.
inline constexpr int64_t kCompileBounds[] = {
    1 * kMilli,   5 * kMilli,   10 * kMilli,  20 * kMilli, 50 * kMilli,
    100 * kMilli, 200 * kMilli, 500 * kMilli, 1 * kSecond, 2 * kSecond,
    5 * kSecond,  10 * kSecond, 30 * kSecond,
};

// Requests of a batch.
inline constexpr int64_t kBatchRequestBounds[] = {1,  2,   4,   8,   16,  32,
                                                  64, 128, 256, 512, 1024};

// Elements of a batch.
inline constexpr int64_t kBatchElementBounds[] = {
    1 << 8,  1 << 10, 1 << 12, 1 << 14, 1 << 16,
    1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_BOUNDS_H_
