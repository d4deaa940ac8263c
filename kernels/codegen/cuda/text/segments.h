// The second part of every generated text: storage types, the launch's argument
// and how a block finds its segment. Argument and segments are those of
// launch.h.

// Argument and rows are those of launch.h.

// Storage: elements travel as bits.
struct Float16 {
  using Bits = unsigned short;
  static ACTSERVE_MEMBER float ToNumber(Bits bits) {
    return ACTSERVE_FLOAT16_TO_FLOAT(bits);
  }
  static ACTSERVE_MEMBER Bits FromNumber(float x) {
    return ACTSERVE_FLOAT_TO_FLOAT16(x);
  }
  static ACTSERVE_MEMBER Bits FromNumber(double x) {
    return actserve_f64_to_f16_bits(x);
  }
};
struct BFloat16 {
  using Bits = unsigned short;
  static ACTSERVE_MEMBER float ToNumber(Bits bits) {
    return actserve_bf16_bits_to_f32(bits);
  }
  static ACTSERVE_MEMBER Bits FromNumber(float x) {
    return actserve_f32_to_bf16_bits(x);
  }
  static ACTSERVE_MEMBER Bits FromNumber(double x) {
    return actserve_f64_to_bf16_bits(x);
  }
};
struct Float32 {
  using Bits = unsigned;
  static ACTSERVE_MEMBER float ToNumber(Bits bits) {
    return __builtin_bit_cast(float, bits);
  }
  static ACTSERVE_MEMBER Bits FromNumber(float x) {
    return __builtin_bit_cast(Bits, x);
  }
};
struct Float64 {
  using Bits = Word;
  static ACTSERVE_MEMBER double ToNumber(Bits bits) {
    return __builtin_bit_cast(double, bits);
  }
  static ACTSERVE_MEMBER Bits FromNumber(double x) {
    return __builtin_bit_cast(Bits, x);
  }
};

using Element = Program::Element;
using Bits = Element::Bits;
using Number = Program::Number;

constexpr int kInputs = Program::kInputs;
constexpr int kOutputs = Program::kOutputs;
constexpr int kSums = Program::kSums;
constexpr int kParameters = Program::kParameters;
constexpr int kBroadcasts = Program::kBroadcasts;
constexpr int kGraphTensors = Program::kGraphInputs - kBroadcasts;
// Of a program with tensors that broadcast, terms are kept and summed later.
constexpr bool kHasTileSums = kSums > 0 && kBroadcasts == 0;
constexpr bool kHasScratch =
    Program::kHasRows || (kSums > 0 && kBroadcasts > 0);
// The places of the words of a segment.
constexpr int kInputsAt = 1;
constexpr int kOutputsAt = kInputsAt + kInputs;
constexpr int kTableAt = kOutputsAt + kOutputs;
constexpr int kTileSumsAt = kTableAt + (Program::kHasTable ? 1 : 0);
constexpr int kSumsAt = kTileSumsAt + 1;
constexpr int kRowSizeAt = kTileSumsAt + (kHasTileSums ? 2 : 0);
constexpr int kRowStrideAt = kRowSizeAt + 1;
constexpr int kScratchAt = kRowSizeAt + (Program::kHasRows ? 2 : 0);
constexpr int kBeginAt = kScratchAt + (kHasScratch ? 1 : 0);
constexpr int kBroadcastsAt = kBeginAt + (kBroadcasts > 0 ? 1 : 0);
constexpr int kBroadcastWords = 8;
constexpr int kParametersAt = kBroadcastsAt + kBroadcasts * kBroadcastWords;
constexpr int kDrawsAt = kParametersAt + kParameters;
constexpr int kSegmentWords = kDrawsAt + Program::kDrawWords;
// Patterns of 16 bits, and of one sign.
constexpr unsigned kPatterns = 65536;
constexpr unsigned kMagnitudes = 32768;

// An array may not be empty.
constexpr int Room(int count) { return count > 0 ? count : 1; }

struct Argument {
  Word segments;
  unsigned num_segments;
  unsigned flags;
  Word num_tiles;
  unsigned window_begin;
  unsigned window_size;
  unsigned stage;
  unsigned shared_bytes;
  Word segment[kSegmentWords];

  ACTSERVE_MEMBER bool streaming() const { return (flags & 1u) != 0; }
};

struct Segment {
  Word words[kSegmentWords];

  ACTSERVE_MEMBER Word num_elements() const { return words[0]; }
  ACTSERVE_MEMBER Word row_size() const { return words[kRowSizeAt]; }
  ACTSERVE_MEMBER Word row_stride() const { return words[kRowStrideAt]; }
  template <typename T>
  ACTSERVE_MEMBER T* address(int at) const {
    return reinterpret_cast<T*>(words[at]);
  }
  ACTSERVE_MEMBER void GetParameters(Number* parameters) const {
    ACTSERVE_UNROLL
    for (int p = 0; p < kParameters; ++p) {
      parameters[p] = static_cast<Number>(
          __builtin_bit_cast(double, words[kParametersAt + p]));
    }
  }
};

ACTSERVE_DEVICE Segment ReadSegment(const Argument& argument,
                                    unsigned segment) {
  Segment read;
  if (kBroadcasts > 0 || argument.segments == 0) {
    ACTSERVE_UNROLL
    for (int i = 0; i < kSegmentWords; ++i) read.words[i] = argument.segment[i];
  } else {
    const Word* const words = reinterpret_cast<const Word*>(argument.segments) +
                              argument.num_segments +
                              static_cast<Word>(segment) * kSegmentWords;
    ACTSERVE_UNROLL
    for (int i = 0; i < kSegmentWords; ++i) read.words[i] = Load(words + i);
  }
  return read;
}

// A tile of the launch as a tile of one segment.
struct Place {
  unsigned segment;
  Word tile;
};

ACTSERVE_DEVICE Place FindTile(const Argument& argument, Word tile) {
  if (argument.segments == 0) return {0, tile};
  const Word* const first_tiles =
      reinterpret_cast<const Word*>(argument.segments);
  // The last segment that begins at or before the tile: one that is empty
  // begins where the next does.
  unsigned low = 0;
  unsigned high = argument.num_segments;
  ACTSERVE_LOOP
  while (high - low > 1) {
    const unsigned middle = low + (high - low) / 2;
    if (Load(first_tiles + middle) <= tile) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return {low, tile - Load(first_tiles + low)};
}
