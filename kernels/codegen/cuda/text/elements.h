// The last part but the entries of texts whose elements do not meet: how tiles
// are read, computed and written. The generator prints `struct Program`
// (emit.cc) and, for each entry, a kernel of one line that calls a function
// from here.

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
  const Segment& segment;
  Number parameters[Room(kParameters)];
  Word draws[Room(Program::kDrawWords)];

  template <int kWidth>
  ACTSERVE_MEMBER void Apply(Word element, const Bits (*in)[kWidth],
                             Bits (*out)[kWidth]) const {
    Bits small[Room(kBroadcasts)][kWidth];
    ACTSERVE_UNROLL
    for (int b = 0; b < kBroadcasts; ++b) {
      ReadBroadcast<kWidth>(segment, b, element, small[b]);
    }
    ACTSERVE_UNROLL
    for (int e = 0; e < kWidth; ++e) {
      Number x[Room(Program::kGraphInputs)];
      ACTSERVE_UNROLL
      for (int i = 0; i < Program::kGraphInputs; ++i) {
        const Bits bits =
            i < kGraphTensors ? in[i][e] : small[i - kGraphTensors][e];
        x[i] = static_cast<Number>(Element::ToNumber(bits));
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
ACTSERVE_DEVICE void RunTile(const Segment& segment, Word tile, bool streaming,
                             const Operation& operation) {
  constexpr unsigned kTile = kThreads * kVectorElements * kVectors;
  const Word begin = tile * kTile;
  const Word left = segment.num_elements() - begin;
  const unsigned count = left < kTile ? static_cast<unsigned>(left) : kTile;
  const Bits* in[kInputs];
  Bits* out[Room(kOutputs)];
  Word addresses = 0;
  ACTSERVE_UNROLL
  for (int i = 0; i < kInputs; ++i) {
    in[i] = segment.address<const Bits>(kInputsAt + i) + begin;
    addresses |= segment.words[kInputsAt + i];
  }
  ACTSERVE_UNROLL
  for (int o = 0; o < kOutputs; ++o) {
    out[o] = segment.address<Bits>(kOutputsAt + o) + begin;
    addresses |= segment.words[kOutputsAt + o];
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
  const Segment segment = ReadSegment(argument, place.segment);
  Compute compute = {segment};
  segment.GetParameters(compute.parameters);
  ACTSERVE_UNROLL
  for (int d = 0; d < Program::kDrawWords; ++d) {
    compute.draws[d] = segment.words[kDrawsAt + d];
  }
  RunTile<kThreads, kUnrolled, kWidth, kVectors>(segment, place.tile,
                                                 argument.streaming(), compute);
}

// One thread is one lane of the tree and takes its elements in order; kRows of
// them are under way at once. Terms are summed, or kept if tensors broadcast.
template <int kRows>
ACTSERVE_DEVICE void RunSummed(const Argument& argument) {
  const Place place = FindTile(argument, BlockIndex());
  const Segment segment = ReadSegment(argument, place.segment);
  Number parameters[Room(kParameters)];
  segment.GetParameters(parameters);
  const Word begin = place.tile * kSumTile;
  const Word left = segment.num_elements() - begin;
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
            segment.address<const Bits>(kInputsAt + i) + begin + at;
        in[r][i] = at + r * kLanes < count ? Load(from + r * kLanes) : 0;
      }
    }
    ACTSERVE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Word element = begin + at + r * kLanes;
      Number x[kInputs + kBroadcasts];
      ACTSERVE_UNROLL
      for (int i = 0; i < kInputs; ++i) {
        x[i] = static_cast<Number>(Element::ToNumber(in[r][i]));
      }
      ACTSERVE_UNROLL
      for (int b = 0; b < kBroadcasts; ++b) {
        Bits small[1];
        ReadBroadcast<1>(segment, b, element, small);
        x[kInputs + b] = static_cast<Number>(Element::ToNumber(small[0]));
      }
      Number y[Room(kOutputs)];
      Number terms[Room(kSums)];
      Program::Evaluate(x, parameters, segment.words + kDrawsAt, element, y,
                        terms);
      const bool inside = at + r * kLanes < count;
      ACTSERVE_UNROLL
      for (int s = 0; s < kSums; ++s) {
        if constexpr (kHasTileSums) {
          const double sum = lane[s] + static_cast<double>(terms[s]);
          lane[s] = inside ? sum : lane[s];
        } else {
          Number* const to = segment.address<Number>(kScratchAt) +
                             s * segment.num_elements() + element;
          if (inside) Store(to, terms[s]);
        }
      }
      ACTSERVE_UNROLL
      for (int o = 0; o < kOutputs; ++o) {
        Bits* const to = segment.address<Bits>(kOutputsAt + o) + begin + at;
        if (inside) Store(to + r * kLanes, Element::FromNumber(y[o]));
      }
    }
  }

  if constexpr (!kHasTileSums) return;
  const Word num_tiles = (segment.num_elements() + (kSumTile - 1)) / kSumTile;
  ACTSERVE_UNROLL
  for (int s = 0; s < kSums; ++s) {
    const double sum = AddLanes(lane[s]);
    if (ThreadIndex() == 0) {
      segment.address<double>(kTileSumsAt)[s * num_tiles + place.tile] = sum;
    }
  }
}

template <int kThreads>
ACTSERVE_DEVICE void FillTable(const Argument& argument) {
  const Place place = FindTile(argument, BlockIndex());
  const Segment segment = ReadSegment(argument, place.segment);
  Number parameters[Room(kParameters)];
  segment.GetParameters(parameters);
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
    segment.address<Program::TableEntry>(kTableAt)[o * kPatterns + pattern] =
        entry;
  }
}

template <int kThreads, int kVectors>
ACTSERVE_DEVICE void RunTable(const Argument& argument) {
  const Place place = FindTile(argument, BlockIndex());
  const Segment segment = ReadSegment(argument, place.segment);
  const LookUp<GlobalTable> look_up = {
      {segment.address<const Program::TableEntry>(kTableAt)}};
  RunTile<kThreads, true, kVectorElements, kVectors>(
      segment, place.tile, argument.streaming(), look_up);
}

// The blocks stay, one a multiprocessor, and share the tiles out.
template <int kThreads, int kVectors>
ACTSERVE_DEVICE void RunSharedTable(const Argument& argument) {
  using Entry = Program::TableEntry;
  ACTSERVE_LAUNCHED_SHARED(shared);
  const unsigned size = argument.window_size;
  const Entry* const entries =
      ReadSegment(argument, 0).address<const Entry>(kTableAt);
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
    const Segment segment = ReadSegment(argument, place.segment);
    RunTile<kThreads, true, kVectorElements, kVectors>(
        segment, place.tile, argument.streaming(), look_up);
  }
}
