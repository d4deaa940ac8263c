#ifndef ACTSERVE_SERVER_SCHEDULING_SERVER_CLOCK_H_
#define ACTSERVE_SERVER_SCHEDULING_SERVER_CLOCK_H_

#include "server/scheduling/clock.h"

namespace actserve {

// The clock of a server: Clock::Real(), which a failpoint may let jump.
const Clock* ServerClock();

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_SERVER_CLOCK_H_
