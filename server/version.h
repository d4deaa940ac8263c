#ifndef ACTSERVE_SERVER_VERSION_H_
#define ACTSERVE_SERVER_VERSION_H_

namespace actserve {

// Of the project; CMakeLists.txt has it.
inline constexpr char kVersion[] = ACTSERVE_VERSION;

}  // namespace actserve

#endif  // ACTSERVE_SERVER_VERSION_H_
