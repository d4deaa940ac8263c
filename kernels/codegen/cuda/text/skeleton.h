// The last part of every generated text but its entries: how tiles are found,
// read, computed and written. The generator prints `struct Program` (emit.cc)
// and, for each entry, a kernel of one line that calls a function from here.
//
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
// The places of the words in a row.
constexpr int kInputsAt = 1;
constexpr int kOutputsAt = kInputsAt + kInputs;
constexpr int kTableAt = kOutputsAt + kOutputs;
constexpr int kTileSumsAt = kTableAt + (Program::kHasTable ? 1 : 0);
constexpr int kSumsAt = kTileSumsAt + 1;
constexpr int kParametersAt = kTileSumsAt + (kSums > 0 ? 2 : 0);
constexpr int kDrawsAt = kParametersAt + kParameters;
constexpr int kRowWords = kDrawsAt + Program::kDrawWords;
// Patterns of 16 bits, and of one sign.
constexpr unsigned kPatterns = 65536;
constexpr unsigned kMagnitudes = 32768;
// The tree of parameter gradients (kernels/graph/summation.h).
constexpr unsigned kLanes = 128;
constexpr unsigned kSumTile = 4096;

// An array may not be empty.
constexpr int Room(int count) { return count > 0 ? count : 1; }

struct Argument {
  Word segments;
  unsigned num_segments;
  unsigned flags;
  Word num_tiles;
  unsigned window_begin;
  unsigned window_size;
  Word row[kRowWords];

  ACTSERVE_MEMBER bool streaming() const { return (flags & 1u) != 0; }
};

struct Row {
  Word words[kRowWords];

  ACTSERVE_MEMBER Word num_elements() const { return words[0]; }
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

ACTSERVE_DEVICE Row ReadRow(const Argument& argument, unsigned segment) {
  Row row;
  if (argument.segments == 0) {
    ACTSERVE_UNROLL
    for (int i = 0; i < kRowWords; ++i) row.words[i] = argument.row[i];
  } else {
    const Word* const words = reinterpret_cast<const Word*>(argument.segments) +
                              argument.num_segments +
                              static_cast<Word>(segment) * kRowWords;
    ACTSERVE_UNROLL
    for (int i = 0; i < kRowWords; ++i) row.words[i] = Load(words + i);
  }
  return row;
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

// The elements of a vector.
constexpr int kVectorElements = 16 / static_cast<int>(sizeof(Bits));

ACTSERVE_DEVICE void Unpack(const Vector& vector, Bits* bits) {
  const unsigned words[4] = {vector.x, vector.y, vector.z, vector.w};
  ACTSERVE_UNROLL
  for (int i = 0; i < kVectorElements; ++i) {
    if constexpr (sizeof(Bits) == 2) {
      bits[i] = static_cast<Bits>(words[i / 2] >> (16 * (i % 2)));
    } else if constexpr (sizeof(Bits) == 4) {
      bits[i] = words[i];
    } else {
      bits[i] = words[2 * i] | static_cast<Word>(words[2 * i + 1]) << 32;
    }
  }
}

ACTSERVE_DEVICE Vector Pack(const Bits* bits) {
  unsigned words[4];
  ACTSERVE_UNROLL
  for (int w = 0; w < 4; ++w) {
    if constexpr (sizeof(Bits) == 2) {
      words[w] = bits[2 * w] | static_cast<unsigned>(bits[2 * w + 1]) << 16;
    } else if constexpr (sizeof(Bits) == 4) {
      words[w] = static_cast<unsigned>(bits[w]);
    } else {
      words[w] = static_cast<unsigned>(bits[w / 2] >> (32 * (w % 2)));
    }
  }
  return {words[0], words[1], words[2], words[3]};
}

// Operations: what happens to kWidth elements, from bits to bits. `element` is
// the place of the first in its segment.

// The program itself.
struct Compute {
  Number parameters[Room(kParameters)];
  Word draws[Room(Program::kDrawWords)];

  template <int kWidth>
  ACTSERVE_MEMBER void Apply(Word element, const Bits (*in)[kWidth],
                             Bits (*out)[kWidth]) const {
    ACTSERVE_UNROLL
    for (int e = 0; e < kWidth; ++e) {
      Number x[Room(Program::kGraphInputs)];
      ACTSERVE_UNROLL
      for (int i = 0; i < Program::kGraphInputs; ++i) {
        x[i] = static_cast<Number>(Element::ToNumber(in[i][e]));
      }
      Number y[Room(kOutputs)];
      Number terms[Room(kSums)];
      Program::Evaluate(x, parameters, draws, element + e, y, terms);
      ACTSERVE_UNROLL
      for (int o = 0; o < kOutputs; ++o) out[o][e] = Element::FromNumber(y[o]);
    }
  }
};

// Its table in global memory.
struct GlobalTable {
  using Entry = Program::TableEntry;
  const Entry* entries;

  template <int kWidth>
  ACTSERVE_MEMBER void Find(const Bits* x, int output, Entry* found) const {
    ACTSERVE_UNROLL
    for (int e = 0; e < kWidth; ++e) {
      found[e] = Load(entries + output * kPatterns + x[e]);
    }
  }
};

// A part of the table in shared memory: see TableWindow of launch.h. One branch
// for all elements, if any is outside of it.
struct SharedTable {
  GlobalTable global;
  const GlobalTable::Entry* shared;
  unsigned begin;
  unsigned size;

  template <int kWidth>
  ACTSERVE_MEMBER void Find(const Bits* x, int output,
                            GlobalTable::Entry* found) const {
    bool all_inside = true;
    ACTSERVE_UNROLL
    for (int e = 0; e < kWidth; ++e) {
      const unsigned at = (x[e] & (kMagnitudes - 1)) - begin;
      const unsigned half = 2 * output + (x[e] >> 15);
      const bool inside = at < size;
      found[e] = shared[half * size + (inside ? at : 0)];
      all_inside = all_inside && inside;
    }
    if (!all_inside) global.Find<kWidth>(x, output, found);
  }
};

template <typename Table>
struct LookUp {
  Table table;

  template <int kWidth>
  ACTSERVE_MEMBER void Apply(Word, const Bits (*in)[kWidth],
                             Bits (*out)[kWidth]) const {
    Program::TableEntry found[kWidth];
    ACTSERVE_UNROLL
    for (int o = 0; o < kOutputs; ++o) {
      table.template Find<kWidth>(in[0], o, found);
      ACTSERVE_UNROLL
      for (int e = 0; e < kWidth; ++e) {
        if constexpr (Program::kIsDerivative) {
          out[o][e] =
              Element::FromNumber(Element::ToNumber(in[1][e]) * found[e]);
        } else {
          out[o][e] = found[e];
        }
      }
    }
  }
};

// Reads kVectors vectors of each input, a block's width apart.
template <int kThreads, int kVectors>
ACTSERVE_DEVICE void LoadVectors(const Bits* const* in, bool streaming,
                                 Vector (*x)[kVectors]) {
  if (streaming) {
    ACTSERVE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      ACTSERVE_UNROLL
      for (int i = 0; i < kInputs; ++i) {
        x[i][v] = LoadStreaming(reinterpret_cast<const Vector*>(in[i]) +
                                v * kThreads + ThreadIndex());
      }
    }
  } else {
    ACTSERVE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      ACTSERVE_UNROLL
      for (int i = 0; i < kInputs; ++i) {
        x[i][v] = Load(reinterpret_cast<const Vector*>(in[i]) + v * kThreads +
                       ThreadIndex());
      }
    }
  }
}

// kWidth elements: a whole vector, or one by one as many as there are, `count`
// if that is less. (What is read for the others is any element: a load costs
// the compiler less time than a branch.)
template <int kWidth>
ACTSERVE_DEVICE void LoadElements(const Bits* from, bool whole, unsigned count,
                                  Bits* bits) {
  if constexpr (kWidth > 1) {
    if (whole) {
      Unpack(Load(reinterpret_cast<const Vector*>(from)), bits);
      return;
    }
  }
  ACTSERVE_UNROLL
  for (int e = 0; e < kWidth; ++e) {
    bits[e] = Load(from + (e < count ? e : count - 1));
  }
}
template <int kWidth>
ACTSERVE_DEVICE void StoreElements(Bits* to, bool whole, unsigned count,
                                   const Bits* bits) {
  if constexpr (kWidth > 1) {
    if (whole) {
      Store(reinterpret_cast<Vector*>(to), Pack(bits));
      return;
    }
  }
  ACTSERVE_UNROLL
  for (int e = 0; e < kWidth; ++e) {
    if (e < count) Store(to + e, bits[e]);
  }
}

// Does one tile of kThreads * kVectors vectors. Within a tile all indices have
// 32 bits.
//
// A whole tile of aligned tensors is read by kVectors vectors a thread and
// tensor, all under way before the first is used (if kUnrolled). The remaining
// elements, and every tile of a misaligned segment, are done kWidth elements at
// a time.
template <int kThreads, bool kUnrolled, int kWidth, int kVectors,
          typename Operation>
ACTSERVE_DEVICE void RunTile(const Row& row, Word tile, bool streaming,
                             const Operation& operation) {
  constexpr unsigned kTile = kThreads * kVectorElements * kVectors;
  const Word begin = tile * kTile;
  const Word left = row.num_elements() - begin;
  const unsigned count = left < kTile ? static_cast<unsigned>(left) : kTile;
  const Bits* in[kInputs];
  Bits* out[Room(kOutputs)];
  Word addresses = 0;
  ACTSERVE_UNROLL
  for (int i = 0; i < kInputs; ++i) {
    in[i] = row.address<const Bits>(kInputsAt + i) + begin;
    addresses |= row.words[kInputsAt + i];
  }
  ACTSERVE_UNROLL
  for (int o = 0; o < kOutputs; ++o) {
    out[o] = row.address<Bits>(kOutputsAt + o) + begin;
    addresses |= row.words[kOutputsAt + o];
  }
  const bool aligned = (addresses & 15) == 0;

  if constexpr (kUnrolled) {
    if (aligned && count == kTile) {
      Vector x[kInputs][kVectors];
      LoadVectors<kThreads, kVectors>(in, streaming, x);
      ACTSERVE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        Bits input[kInputs][kWidth];
        Bits output[Room(kOutputs)][kWidth];
        ACTSERVE_UNROLL
        for (int i = 0; i < kInputs; ++i) Unpack(x[i][v], input[i]);
        operation.template Apply<kWidth>(
            begin + (v * kThreads + ThreadIndex()) * kWidth, input, output);
        ACTSERVE_UNROLL
        for (int o = 0; o < kOutputs; ++o) {
          Vector* const to =
              reinterpret_cast<Vector*>(out[o]) + v * kThreads + ThreadIndex();
          if (streaming) {
            StoreStreaming(to, Pack(output[o]));
          } else {
            Store(to, Pack(output[o]));
          }
        }
      }
      return;
    }
  }

  ACTSERVE_LOOP
  for (unsigned at = ThreadIndex() * kWidth; at < count;
       at += kThreads * kWidth) {
    const bool whole = kWidth > 1 && aligned && at + kWidth <= count;
    Bits input[kInputs][kWidth];
    Bits output[Room(kOutputs)][kWidth];
    ACTSERVE_UNROLL
    for (int i = 0; i < kInputs; ++i) {
      LoadElements<kWidth>(in[i] + at, whole, count - at, input[i]);
    }
    operation.template Apply<kWidth>(begin + at, input, output);
    ACTSERVE_UNROLL
    for (int o = 0; o < kOutputs; ++o) {
      StoreElements<kWidth>(out[o] + at, whole, count - at, output[o]);
    }
  }
}

// The bodies of the entries.

template <int kThreads, bool kUnrolled, int kWidth, int kVectors>
ACTSERVE_DEVICE void Run(const Argument& argument) {
  const Place place = FindTile(argument, BlockIndex());
  const Row row = ReadRow(argument, place.segment);
  Compute compute;
  row.GetParameters(compute.parameters);
  ACTSERVE_UNROLL
  for (int d = 0; d < Program::kDrawWords; ++d) {
    compute.draws[d] = row.words[kDrawsAt + d];
  }
  RunTile<kThreads, kUnrolled, kWidth, kVectors>(row, place.tile,
                                                 argument.streaming(), compute);
}

// One thread is one lane of the tree and takes its elements in order; kRows of
// them are under way at once.
template <int kRows>
ACTSERVE_DEVICE void RunSummed(const Argument& argument) {
  const Place place = FindTile(argument, BlockIndex());
  const Row row = ReadRow(argument, place.segment);
  Number parameters[Room(kParameters)];
  row.GetParameters(parameters);
  const Word begin = place.tile * kSumTile;
  const Word left = row.num_elements() - begin;
  const unsigned count =
      left < kSumTile ? static_cast<unsigned>(left) : kSumTile;
  double lane[Room(kSums)];
  ACTSERVE_UNROLL
  for (int s = 0; s < kSums; ++s) lane[s] = 0;

  ACTSERVE_LOOP
  for (unsigned at = ThreadIndex(); at < count; at += kRows * kLanes) {
    Bits in[kRows][kInputs];
    ACTSERVE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      ACTSERVE_UNROLL
      for (int i = 0; i < kInputs; ++i) {
        const Bits* const from =
            row.address<const Bits>(kInputsAt + i) + begin + at;
        in[r][i] = at + r * kLanes < count ? Load(from + r * kLanes) : 0;
      }
    }
    ACTSERVE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      Number x[kInputs];
      ACTSERVE_UNROLL
      for (int i = 0; i < kInputs; ++i) {
        x[i] = static_cast<Number>(Element::ToNumber(in[r][i]));
      }
      Number y[Room(kOutputs)];
      Number terms[Room(kSums)];
      Program::Evaluate(x, parameters, row.words + kDrawsAt,
                        begin + at + r * kLanes, y, terms);
      const bool inside = at + r * kLanes < count;
      ACTSERVE_UNROLL
      for (int s = 0; s < kSums; ++s) {
        const double sum = lane[s] + static_cast<double>(terms[s]);
        lane[s] = inside ? sum : lane[s];
      }
      ACTSERVE_UNROLL
      for (int o = 0; o < kOutputs; ++o) {
        Bits* const to = row.address<Bits>(kOutputsAt + o) + begin + at;
        if (inside) Store(to + r * kLanes, Element::FromNumber(y[o]));
      }
    }
  }

  ACTSERVE_SHARED double lanes[kLanes];
  const unsigned me = ThreadIndex();
  const Word num_tiles = (row.num_elements() + (kSumTile - 1)) / kSumTile;
  ACTSERVE_UNROLL
  for (int s = 0; s < kSums; ++s) {
    lanes[me] = lane[s];
    Barrier();
    ACTSERVE_LOOP
    for (unsigned stride = kLanes / 2; stride > 0; stride /= 2) {
      if (me < stride) lanes[me] += lanes[me + stride];
      Barrier();
    }
    if (me == 0) {
      row.address<double>(kTileSumsAt)[s * num_tiles + place.tile] = lanes[0];
    }
    Barrier();
  }
}

// One level of the tree: of the first `size` of kParts parts, pairs become one
// and an odd last one stays. All levels below kParts, into part[0].
template <int kParts>
ACTSERVE_DEVICE void Combine(double* part, unsigned size) {
  if constexpr (kParts > 1) {
    ACTSERVE_UNROLL
    for (int i = 0; i < kParts / 2; ++i) {
      const double pair = part[2 * i] + part[2 * i + 1];
      part[i] = 2 * i + 1 < size ? pair : part[2 * i];
    }
    Combine<kParts / 2>(part, (size + 1) / 2);
  }
}

// Combines the tile sums of one sum of one segment, four levels of the tree at
// a time, in place: each group of 16 becomes one.
template <int kThreads>
ACTSERVE_DEVICE void FinishSums(const Argument& argument) {
  constexpr int kGroup = 16;
  const Row row = ReadRow(argument, BlockIndex() / kSums);
  const unsigned which = BlockIndex() % kSums;
  const Word num_tiles = (row.num_elements() + (kSumTile - 1)) / kSumTile;
  double* const sums = row.address<double>(kTileSumsAt) + which * num_tiles;
  Word count = num_tiles;
  ACTSERVE_LOOP
  while (count > 1) {
    const Word num_groups = (count + kGroup - 1) / kGroup;
    ACTSERVE_LOOP
    for (Word first = 0; first < num_groups; first += kThreads) {
      const Word group = first + ThreadIndex();
      const Word begin = group * kGroup;
      const Word left = begin < count ? count - begin : 0;
      const unsigned size =
          left < kGroup ? static_cast<unsigned>(left) : kGroup;
      double part[kGroup];
      ACTSERVE_UNROLL
      for (int i = 0; i < kGroup; ++i) {
        part[i] = i < size ? sums[begin + i] : 0;
      }
      Combine<kGroup>(part, size);
      // Groups are read before others are written over them.
      Barrier();
      if (size > 0) sums[group] = part[0];
      Barrier();
    }
    count = num_groups;
  }
  if (ThreadIndex() == 0) {
    row.address<double>(kSumsAt)[which] = num_tiles > 0 ? sums[0] : 0;
  }
}

template <int kThreads>
ACTSERVE_DEVICE void FillTable(const Argument& argument) {
  const Place place = FindTile(argument, BlockIndex());
  const Row row = ReadRow(argument, place.segment);
  Number parameters[Room(kParameters)];
  row.GetParameters(parameters);
  const unsigned pattern =
      static_cast<unsigned>(place.tile) * kThreads + ThreadIndex();
  const Number x = Element::ToNumber(static_cast<Bits>(pattern));
  Number y[Room(kOutputs)];
  Number terms[1];
  Program::Evaluate(&x, parameters, nullptr, 0, y, terms);
  ACTSERVE_UNROLL
  for (int o = 0; o < kOutputs; ++o) {
    Program::TableEntry entry;
    if constexpr (Program::kIsDerivative) {
      entry = actserve_f64_derivative_to_f32(y[o]);
    } else {
      entry = Element::FromNumber(y[o]);
    }
    row.address<Program::TableEntry>(kTableAt)[o * kPatterns + pattern] = entry;
  }
}

template <int kThreads, int kVectors>
ACTSERVE_DEVICE void RunTable(const Argument& argument) {
  const Place place = FindTile(argument, BlockIndex());
  const Row row = ReadRow(argument, place.segment);
  const LookUp<GlobalTable> look_up = {
      {row.address<const Program::TableEntry>(kTableAt)}};
  RunTile<kThreads, true, kVectorElements, kVectors>(
      row, place.tile, argument.streaming(), look_up);
}

// The blocks stay, one a multiprocessor, and share the tiles out.
template <int kThreads, int kVectors>
ACTSERVE_DEVICE void RunSharedTable(const Argument& argument) {
  using Entry = Program::TableEntry;
  ACTSERVE_LAUNCHED_SHARED(shared);
  const unsigned size = argument.window_size;
  const Entry* const entries =
      ReadRow(argument, 0).address<const Entry>(kTableAt);
  const unsigned vectors = size * sizeof(Entry) / sizeof(Vector);
  ACTSERVE_LOOP
  for (int half = 0; half < 2 * kOutputs; ++half) {
    const Vector* const from = reinterpret_cast<const Vector*>(
        entries + half * kMagnitudes + argument.window_begin);
    ACTSERVE_LOOP
    for (unsigned i = ThreadIndex(); i < vectors; i += kThreads) {
      shared[half * vectors + i] = Load(from + i);
    }
  }
  Barrier();

  LookUp<SharedTable> look_up;
  look_up.table.global.entries = entries;
  look_up.table.shared = reinterpret_cast<const Entry*>(shared);
  look_up.table.begin = argument.window_begin;
  look_up.table.size = size;
  ACTSERVE_LOOP
  for (Word tile = BlockIndex(); tile < argument.num_tiles;
       tile += GridSize()) {
    const Place place = FindTile(argument, tile);
    const Row row = ReadRow(argument, place.segment);
    RunTile<kThreads, true, kVectorElements, kVectors>(
        row, place.tile, argument.streaming(), look_up);
  }
}
