// Places where a test makes the code fail. They are compiled into the program
// actserved_faults alone; in any other, ACTSERVE_FAILPOINT() is 0, and not even
// the names are there.
//
//   if (ACTSERVE_FAILPOINT("disk_full") != 0) return;
//
// FAILPOINTS in the environment turns them on, by libfiu:
//
//   FAILPOINTS=compile_error,slow_path:50,dropped_answer:1%5,device_error:1!
//
// A name has a value behind a colon, 1 if there is none: what the macro then
// is.
// "%5" fails five times in a hundred, at random; "!" fails once.

#ifndef ACTSERVE_KERNELS_BASE_FAILPOINT_H_
#define ACTSERVE_KERNELS_BASE_FAILPOINT_H_

#ifdef ACTSERVE_FAILPOINTS

namespace actserve {

// The value of a failpoint; 0: it is off, or does not fail this time. Ends the
// process if FAILPOINTS cannot be read. Thread-safe.
int Failpoint(const char* name);

}  // namespace actserve

#define ACTSERVE_FAILPOINT(name) ::actserve::Failpoint(name)

#else

#define ACTSERVE_FAILPOINT(name) 0

#endif

#endif  // ACTSERVE_KERNELS_BASE_FAILPOINT_H_
