#ifndef ACTSERVE_SERVER_KSERVE_MODEL_DESCRIPTION_H_
#define ACTSERVE_SERVER_KSERVE_MODEL_DESCRIPTION_H_

#include <string>

#include "absl/status/statusor.h"
#include "inference/grpc_service.pb.h"
#include "server/identity/tenant.h"
#include "server/kserve/model.h"
#include "server/state/registry.h"

namespace actserve::kserve {

// What a client may ask about a model before it calls it. `name` is the one
// that it asked by.
inference::ModelMetadataResponse MetadataOf(const Model& model,
                                            const std::string& name);
inference::ModelConfig ConfigOf(const Model& model, const std::string& name);

// The models that `tenant` sees: built-ins by name, then registered texts, each
// followed by its gradient.
inference::RepositoryIndexResponse IndexOf(const Registry& registry,
                                           const Tenant* tenant);

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_MODEL_DESCRIPTION_H_
