#ifndef ACTSERVE_SERVER_DEVICE_MAKERS_H_
#define ACTSERVE_SERVER_DEVICE_MAKERS_H_

#include "server/device_choice.h"
#include "server/options.h"

namespace actserve {

// Returns makers for the devices of this machine, configured by `options`,
// which must outlive them.
DeviceMakers MakersFor(const Options& options);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_DEVICE_MAKERS_H_
