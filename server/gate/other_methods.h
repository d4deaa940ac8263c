#ifndef ACTSERVE_SERVER_GATE_OTHER_METHODS_H_
#define ACTSERVE_SERVER_GATE_OTHER_METHODS_H_

#include <memory>
#include <string>
#include <vector>

#include "grpcpp/support/server_interceptor.h"
#include "server/identity/authenticator.h"

namespace actserve {

// Asks for the role admin before any method runs that is not of `services`,
// full names of services that check their callers themselves. So a service that
// a library brings, such as reflection, has no open door.
//
// A call of another method is refused before its handler reads a message. Calls
// of `services` get no interceptor, which would cost each of them an
// allocation.
//
// `authenticator` must outlive the server.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
GuardOtherMethods(const std::vector<std::string>& services,
                  const Authenticator* authenticator);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_GATE_OTHER_METHODS_H_
