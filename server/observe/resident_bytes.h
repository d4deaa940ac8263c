#ifndef ACTSERVE_SERVER_OBSERVE_RESIDENT_BYTES_H_
#define ACTSERVE_SERVER_OBSERVE_RESIDENT_BYTES_H_

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>

namespace actserve {

// The memory of a process that is in RAM; 0 if there is no such process.
int64_t ResidentBytes(pid_t pid = getpid());

}  // namespace actserve

#endif  // ACTSERVE_SERVER_OBSERVE_RESIDENT_BYTES_H_
