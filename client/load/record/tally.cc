#include "client/load/record/tally.h"

namespace actserve {

void Tally::Add(const CallEnd& outcome) {
  (outcome.ok ? ok : failed).Add(outcome.done_nanos - outcome.intended_nanos);
  unexpected += outcome.unexpected;
  blocked += outcome.blocked;
  resent += outcome.resent;
  if (outcome.ok) {
    bytes_sent += outcome.bytes_sent;
    bytes_received += outcome.bytes_received;
    elements += outcome.elements;
  }
  verified += outcome.verified != Verified::kNot;
  wrong += outcome.verified == Verified::kDifferent;
  ++codes[{outcome.code, outcome.reason}];
}

void Tally::Merge(const Tally& other) {
  ok.Merge(other.ok);
  failed.Merge(other.failed);
  unexpected += other.unexpected;
  blocked += other.blocked;
  resent += other.resent;
  bytes_sent += other.bytes_sent;
  bytes_received += other.bytes_received;
  elements += other.elements;
  verified += other.verified;
  wrong += other.wrong;
  for (const auto& [key, count] : other.codes) codes[key] += count;
}

}  // namespace actserve
