// The messages of a stream: each is taken or refused as a model of the contract
// says, and slabs get the bytes that were sent, in their places.

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actserve/v1/service.pb.h"
#include "kernels/base/testing/fuzz_target.h"
#include "server/stream/chunks.h"
#include "server/testing/decoding.h"

namespace actserve {
namespace {

using testing::FuzzInput;

constexpr size_t kMaxMetadataBytes = SplitLimits{}.metadata_bytes;
constexpr int64_t kMaxSlabBytes = int64_t{8} << 20;

// The bytes that this client sends from an offset of a tensor on: at least a
// chunk of them, and one more.
const char* BytesAt(size_t tensor, int64_t offset) {
  // A prime, so that chunks of equal sizes differ.
  constexpr size_t kPeriod = 4093;
  static const std::string& bytes = *[] {
    auto* const made = new std::string(kPeriod + (1 << 20) + 1, '\0');
    for (size_t i = 0; i < made->size(); ++i) {
      (*made)[i] = static_cast<char>(i % kPeriod * 7 + i % kPeriod / 256);
    }
    return made;
  }();
  return bytes.data() +
         (static_cast<uint64_t>(offset) + 101 * tensor) % kPeriod;
}

std::vector<Fragment> Cut(const std::string& bytes, size_t piece_bytes) {
  std::vector<Fragment> fragments;
  for (size_t at = 0; at < bytes.size();) {
    const size_t run = std::min(bytes.size() - at, piece_bytes);
    fragments.push_back(
        {reinterpret_cast<const std::byte*>(bytes.data()) + at, run});
    at += run;
  }
  return fragments;
}

// The outputs of the request's program, which decide about slabs.
LoweredProgram ProgramOf(TensorMethod method, const TensorRequest& request) {
  LoweredProgram program;
  if (method == TensorMethod::kForward) program.graph.outputs.emplace_back();
  for (const int variable : request.variables) {
    Output& output = program.graph.outputs.emplace_back();
    output.summed = request.IsNumber(variable);
    for (size_t b = 0; b < request.broadcasts.size(); ++b) {
      if (request.broadcasts[b].variable != variable) continue;
      output.summed = true;
      output.like = static_cast<int>(b);
    }
  }
  return program;
}

// What the contract says about the chunks of the tensors.
class Model {
 public:
  explicit Model(const std::vector<int64_t>& sizes)
      : sizes_(sizes), received_(sizes.size()) {}

  bool Accepts(const RequestFrame& frame) const {
    if (frame.request.has_value() || frame.payload_bytes == 0) return false;
    if (frame.tensor < 0 || frame.tensor >= std::ssize(sizes_)) return false;
    const auto bytes = static_cast<int64_t>(frame.payload_bytes);
    const int64_t left = sizes_[frame.tensor] - received_[frame.tensor];
    return frame.offset == received_[frame.tensor] && bytes <= 1 << 20 &&
           bytes <= left && (bytes >= 4096 || bytes == left);
  }
  void Take(const RequestFrame& frame) {
    received_[frame.tensor] += static_cast<int64_t>(frame.payload_bytes);
  }
  int64_t received(size_t tensor) const {
    return tensor < received_.size() ? received_[tensor] : 0;
  }
  bool IsComplete() const { return received_ == sizes_; }

 private:
  const std::vector<int64_t> sizes_;
  std::vector<int64_t> received_;
};

// The bytes of slab `slab` are those of the client; then they are given up.
void CheckSlab(const Slabs& slabs, int64_t slab, Chunks& chunks) {
  const TensorInputs payloads = chunks.PayloadsOf(slab);
  for (size_t p = 0; p < payloads.size(); ++p) {
    const Slabs::Range range = slabs.BytesOf(slab, p);
    int64_t at = range.begin;
    for (const Fragment& fragment : payloads[p]) {
      ACTSERVE_FUZZ_CHECK(
          std::memcmp(fragment.data, BytesAt(p, at), fragment.size_bytes) == 0);
      at += static_cast<int64_t>(fragment.size_bytes);
    }
    ACTSERVE_FUZZ_CHECK(at == range.end);
  }
  const DecodedRequest request = slabs.RequestOf(slab, payloads);
  const Slabs::Range elements = slabs.ElementsOf(slab);
  ACTSERVE_FUZZ_CHECK(request.request.type.num_elements ==
                      elements.end - elements.begin);
  chunks.Drop(slab);
  ACTSERVE_FUZZ_CHECK(chunks.held_bytes() >= 0);
}

// A message: what the input says of a chunk, mostly a right one, or its bytes,
// which may be anything.
struct Message {
  std::string bytes;
  bool is_raw = false;
};

Message NextMessage(FuzzInput& input, const Model& model) {
  const auto kind = input.Get<uint8_t>();
  if (kind == 0) {
    return {std::string(input.Take(input.Get<uint8_t>())), /*is_raw=*/true};
  }
  v1::ForwardStreamRequest message;
  const int32_t tensor = static_cast<int8_t>(kind) / 16;
  const auto place = static_cast<size_t>(std::max(tensor, 0));
  const int64_t size_bytes = int64_t{input.Get<uint16_t>()}
                             << (kind % 16 < 4 ? 4 : 0);
  const int64_t offset =
      model.received(place) + (kind % 16 == 1 ? input.Get<int8_t>() : 0);
  message.set_tensor(tensor);
  message.set_offset(offset);
  message.set_payload(BytesAt(place, offset),
                      std::min<int64_t>(size_bytes, (1 << 20) + 1));
  return {message.SerializeAsString()};
}

void CheckStream(TensorMethod method, FuzzInput& input,
                 const StreamRequest& stream, size_t piece_bytes) {
  auto cut =
      Slabs::Cut(stream, ProgramOf(method, stream.request), kMaxSlabBytes);
  if (!cut.ok()) {
    ACTSERVE_FUZZ_CHECK(absl::IsInvalidArgument(cut.status()));
    return;
  }
  const Slabs slabs = *std::move(cut);
  ACTSERVE_FUZZ_CHECK(slabs.count() >= 1);
  static const std::shared_ptr<BufferPool> buffers = BufferPool::Create(0);
  // What is kept is charged to the client; this one has less.
  if (slabs.kept_bytes() > int64_t{64} << 20) return;
  Chunks chunks(&slabs, buffers.get());
  Model model(slabs.payload_bytes());
  int64_t next = 0;
  bool has_raw = false;
  while (!input.empty()) {
    Message message = NextMessage(input, model);
    has_raw |= message.is_raw;
    const auto bytes =
        std::make_shared<const std::string>(std::move(message.bytes));
    const auto frame = ReadFrame(Cut(*bytes, piece_bytes), kMaxMetadataBytes);
    if (!frame.ok()) {
      ACTSERVE_FUZZ_CHECK(absl::IsInvalidArgument(frame.status()));
      return;
    }
    const bool is_right = model.Accepts(*frame);
    const absl::Status status = chunks.Take(*frame, bytes);
    ACTSERVE_FUZZ_CHECK(status.ok() == is_right);
    if (!is_right) {
      ACTSERVE_FUZZ_CHECK(absl::IsInvalidArgument(status));
      return;
    }
    model.Take(*frame);
    while (next < slabs.count() && chunks.Has(next)) {
      if (has_raw) {
        chunks.Drop(next++);
      } else {
        CheckSlab(slabs, next++, chunks);
      }
    }
    ACTSERVE_FUZZ_CHECK(chunks.AreComplete() == model.IsComplete());
    ACTSERVE_FUZZ_CHECK(chunks.EndError().ok() == model.IsComplete());
    if (next < slabs.count()) {
      ACTSERVE_FUZZ_CHECK(!chunks.WindowError(next).ok());
    }
  }
  if (chunks.AreComplete()) ACTSERVE_FUZZ_CHECK(chunks.held_bytes() == 0);
}

// A byte that tells the method and how messages are cut; the length of the
// first message, and the message; then the others.
ACTSERVE_FUZZ_TARGET(stream) {
  const auto& [registry, residuals, limits] = testing::SharedDecoding();
  FuzzInput input(data, size);
  const auto choice = input.Get<uint8_t>();
  const auto method =
      choice % 2 == 0 ? TensorMethod::kForward : TensorMethod::kBackward;
  const size_t piece_bytes = choice / 2 == 0 ? size_t{1} << 30 : choice / 2;
  const std::string first(input.Take(input.Get<uint16_t>()));
  const auto frame = ReadFrame(Cut(first, piece_bytes), kMaxMetadataBytes);
  if (!frame.ok()) {
    ACTSERVE_FUZZ_CHECK(absl::IsInvalidArgument(frame.status()));
    return;
  }
  absl::StatusOr<StreamRequest> stream =
      DecodeStream(method, *frame, limits, registry, residuals);
  if (!stream.ok()) {
    ACTSERVE_FUZZ_CHECK(absl::IsInvalidArgument(stream.status()) ||
                        absl::IsNotFound(stream.status()));
    return;
  }
  CheckStream(method, input, *stream, piece_bytes);
}

}  // namespace
}  // namespace actserve
