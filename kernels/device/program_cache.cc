#include "kernels/device/program_cache.h"

#include <optional>
#include <utility>

namespace actserve {

// One compilation, waited for by all who ask meanwhile.
struct ProgramCache::Flight {
  absl::Mutex mutex;
  std::optional<Result> result ABSL_GUARDED_BY(mutex);

  Result Wait() {
    const auto landed = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex) {
      return result.has_value();
    };
    absl::MutexLock lock(&mutex, absl::Condition(&landed));
    return *result;
  }
  void Land(Result landed) {
    absl::MutexLock lock(&mutex);
    result = std::move(landed);
  }
};

std::shared_ptr<const Program> ProgramCache::FindLocked(
    const std::string& program_id) {
  auto found = by_id_.find(program_id);
  if (found == by_id_.end()) return nullptr;
  programs_.splice(programs_.begin(), programs_, found->second);
  return found->second->compiled.program;
}

void ProgramCache::Remember(const std::string& program_id,
                            const Compiled& compiled) {
  programs_.push_front({program_id, compiled});
  by_id_[program_id] = programs_.begin();
  size_bytes_ += compiled.size_bytes;
  while (programs_.size() > 1 &&
         (static_cast<int>(programs_.size()) > options_.max_programs ||
          size_bytes_ > options_.max_size_bytes)) {
    size_bytes_ -= programs_.back().compiled.size_bytes;
    by_id_.erase(programs_.back().program_id);
    programs_.pop_back();
  }
}

std::shared_ptr<const Program> ProgramCache::Find(
    const std::string& program_id) {
  absl::MutexLock lock(&mutex_);
  return FindLocked(program_id);
}

ProgramCache::Result ProgramCache::FindOrCompile(
    const std::string& program_id,
    absl::FunctionRef<absl::StatusOr<Compiled>()> compile) {
  std::shared_ptr<Flight> flight;
  bool first = false;
  {
    absl::MutexLock lock(&mutex_);
    if (std::shared_ptr<const Program> found = FindLocked(program_id)) {
      return found;
    }
    std::shared_ptr<Flight>& slot = flights_[program_id];
    first = slot == nullptr;
    if (first) slot = std::make_shared<Flight>();
    flight = slot;
  }
  if (!first) return flight->Wait();

  const absl::StatusOr<Compiled> compiled = compile();
  {
    absl::MutexLock lock(&mutex_);
    if (compiled.ok()) Remember(program_id, *compiled);
    flights_.erase(program_id);
  }
  Result result =
      compiled.ok() ? Result(compiled->program) : Result(compiled.status());
  flight->Land(result);
  return result;
}

}  // namespace actserve
