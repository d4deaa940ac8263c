#ifndef ACTSERVE_SERVER_DEVICE_MAKERS_H_
#define ACTSERVE_SERVER_DEVICE_MAKERS_H_

#include "server/device_choice.h"
#include "server/options.h"

namespace actserve {

// The devices of this machine, made as `options` say. `options` must outlive
// the makers.
DeviceMakers MakersFor(const Options& options);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_DEVICE_MAKERS_H_
