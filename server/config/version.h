#ifndef ACTSERVE_SERVER_CONFIG_VERSION_H_
#define ACTSERVE_SERVER_CONFIG_VERSION_H_

namespace actserve {

// The version of the project, from CMakeLists.txt.
inline constexpr char kVersion[] = ACTSERVE_VERSION;

}  // namespace actserve

#endif  // ACTSERVE_SERVER_CONFIG_VERSION_H_
