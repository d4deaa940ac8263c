// How tensors that broadcast are read (kernels/graph/broadcast.h): by index,
// from their few elements, which stay in the caches.
//
// The large shape is cut, from the inside: `run` neighbours read one element,
// `width` runs read neighbouring ones, and a block of them reads what the
// levels outside say. LaunchBroadcast of launch.h has the same cut.

// Words of a division, by multiplication. Exact below 2^63.
ACTSERVE_DEVICE Word Quotient(const Word* division, Word x) {
  return MultiplyHigh(2 * x, division[1]) >> division[2];
}

// Where one element is read.
struct SmallSpot {
  Word index;   // in the small tensor
  Word in_run;  // elements of its run before it
  Word column;  // runs of its block before its run
};

ACTSERVE_DEVICE SmallSpot FindSpot(const Word* shape, Word place) {
  const Word* const run = shape + 2;
  const Word* const width = shape + 5;
  SmallSpot spot;
  const Word number = Quotient(run, place);
  spot.in_run = place - number * run[0];
  Word outside = Quotient(width, number);
  spot.column = number - outside * width[0];
  spot.index = spot.column;
  const Word* const levels = reinterpret_cast<const Word*>(shape[1]);
  if (levels != nullptr) {
    const Word count = Load(levels);
    Word stride = width[0];
    ACTSERVE_LOOP
    for (Word l = 0; l < count; ++l) {
      Word words[6];
      ACTSERVE_UNROLL
      for (int i = 0; i < 6; ++i) words[i] = Load(levels + 1 + 6 * l + i);
      const Word repeated = Quotient(words, outside);
      outside = Quotient(words + 3, repeated);
      spot.index += (repeated - outside * words[3]) * stride;
      stride *= words[3];
    }
  }
  return spot;
}

// What kWidth neighbours from `element` of the segment on read of tensor
// `which`; there need not be so many. Piece by piece: a piece is the rest of a
// run, or of a width of runs of one element.
template <int kWidth>
ACTSERVE_DEVICE void ReadBroadcast(const Segment& segment, int which,
                                   Word element, Bits* bits) {
  const Word* const shape =
      segment.words + kBroadcastsAt + which * kBroadcastWords;
  const Bits* const tensor = reinterpret_cast<const Bits*>(shape[0]);
  const Word run = shape[2];
  const Word width = shape[5];
  const Word place = segment.words[kBeginAt] + element;
  if constexpr (kWidth == 1) {
    bits[0] = Load(tensor + FindSpot(shape, place).index);
    return;
  }
  int found = 0;
  ACTSERVE_LOOP
  do {
    const SmallSpot spot = FindSpot(shape, place + found);
    const Bits* const from = tensor + spot.index;
    const Word rest = run > 1 ? run - spot.in_run : width - spot.column;
    const int piece = rest < kWidth ? static_cast<int>(rest) : kWidth;
    if (run > 1) {
      const Bits value = Load(from);
      ACTSERVE_UNROLL
      for (int e = 0; e < kWidth; ++e) bits[e] = e < found ? bits[e] : value;
    } else {
      ACTSERVE_UNROLL
      for (int e = 0; e < kWidth; ++e) {
        // Of elements that are not in the piece, any.
        const int i = e - found;
        const int at = i < 0 ? 0 : i < piece ? i : piece - 1;
        const Bits value = Load(from + at);
        bits[e] = e < found ? bits[e] : value;
      }
    }
    found += piece;
  } while (found < kWidth);
}
