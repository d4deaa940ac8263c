#include "kernels/device/program_cache.h"

#include "kernels/base/status_macros.h"

namespace actserve {

std::shared_ptr<const Program> ProgramCache::Find(
    const std::string& program_id) {
  absl::MutexLock lock(&mutex_);
  const auto* found = programs_.Find(program_id);
  return found == nullptr ? nullptr : *found;
}

ProgramCache::Result ProgramCache::FindOrCompile(
    const std::string& program_id,
    absl::FunctionRef<absl::StatusOr<Compiled>()> compile) {
  if (auto found = Find(program_id)) return found;
  return compilations_.Do(program_id, [&]() -> Result {
    // Another compilation may have ended since the look above.
    if (auto found = Find(program_id)) return found;
    ACTSERVE_ASSIGN_OR_RETURN(const Compiled compiled, compile());
    decltype(programs_)::Entries
        dropped;  // destroyed after the lock is released
    absl::MutexLock lock(&mutex_);
    dropped = programs_.Put(program_id, compiled.program, compiled.size_bytes);
    return compiled.program;
  });
}

}  // namespace actserve
