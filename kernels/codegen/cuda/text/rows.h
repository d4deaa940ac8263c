// The part of texts that read rows before what is generated: for each stage of
// row_stages.h a `Stage<i>` (row_text.cc), which is arithmetic and where its
// operands lie, and kernels of one line that call a function from here.
//
// The threads that share a row are its lanes: lane l has the elements l, l +
// lanes, ... of it in every stage, so that what it kept in one it reads in the
// next without waiting for others.

template <int kStage>
struct Stage;

// A row takes so many tiles at most if one block does all of it.
constexpr unsigned kMaxTilesOfBlock = 4;

ACTSERVE_DEVICE Number LargerOrNaN(Number a, Number b) {
  return a < b || b != b ? b : a;
}
ACTSERVE_DEVICE Number NoMaximum() {
  return -static_cast<Number>(__builtin_inff());
}
ACTSERVE_DEVICE Word TilesOf(Word count) {
  return (count + (kSumTile - 1)) / kSumTile;
}
ACTSERVE_DEVICE Word Aligned(Word bytes) { return (bytes + 7) / 8 * 8; }

// What LaunchSegment::scratch holds.
struct Scratch {
  double* results;  // of long rows: [reduction][tile]
  Number* numbers;  // of long rows: [row][number]
  Number* kept;     // [array][element]
  Number* terms;    // [sum][element]
};

ACTSERVE_DEVICE Scratch FindScratch(const Segment& segment) {
  const Word size = segment.row_size();
  const Word num_rows = segment.num_elements() / size;
  const bool is_long = size > kMaxTilesOfBlock * kSumTile;
  Word at = segment.words[kScratchAt];
  Scratch scratch;
  scratch.results = reinterpret_cast<double*>(at);
  at += is_long ? 8 * Program::kReductions * num_rows * TilesOf(size) : 0;
  scratch.numbers = reinterpret_cast<Number*>(at);
  at += is_long ? Aligned(sizeof(Number) * Program::kNumbers * num_rows) : 0;
  scratch.kept = reinterpret_cast<Number*>(at);
  at += Aligned(sizeof(Number) * Program::kArrays * segment.num_elements());
  scratch.terms = reinterpret_cast<Number*>(at);
  return scratch;
}

// A random number of each element, computed again wherever it is read.
template <int kDraw>
struct DrawArray;

// Operands of moves, beside those.
template <int kArray>
struct KeptArray {
  template <typename Row>
  static ACTSERVE_MEMBER Number Get(const Row& row, Word k) {
    return *row.Kept(kArray, row.At(k));
  }
};
struct IndexArray {
  template <typename Row>
  static ACTSERVE_MEMBER Number Get(const Row&, Word k) {
    return static_cast<Number>(k);
  }
};

// A row as one of its threads sees it.
template <int kOfRow>
struct Row {
  const Segment& segment;
  Word size;
  // Element k of the row is element first + k step of each tensor, and of each
  // kept array element kept_first + k kept_step.
  Word first;
  Word step;
  Number* kept;
  Word kept_first;
  Word kept_step;
  Word kept_pitch;  // from one array to the next
  Number* terms;
  unsigned lane;
  unsigned lane_step;  // from the thread of a lane to that of the next
  bool valid;          // false: there is no such row, write nothing

  // Where element k lies.
  struct Spot {
    Word k;
    Word element;
    Word kept;
  };
  ACTSERVE_MEMBER Spot At(Word k) const {
    return {k, first + k * step, kept_first + k * kept_step};
  }

  // Those that broadcast come after the others.
  ACTSERVE_MEMBER Number Tensor(int input, const Spot& spot) const {
    if (input >= kInputs) {
      Bits small[1];
      ReadBroadcast<1>(segment, input - kInputs, spot.element, small);
      return static_cast<Number>(Element::ToNumber(small[0]));
    }
    return static_cast<Number>(Element::ToNumber(
        Load(segment.address<const Bits>(kInputsAt + input) + spot.element)));
  }
  ACTSERVE_MEMBER Number* Kept(int array, const Spot& spot) const {
    return kept + array * kept_pitch + spot.kept;
  }
  ACTSERVE_MEMBER Number Index(const Spot& spot) const {
    return static_cast<Number>(spot.k);
  }
  ACTSERVE_MEMBER void Output(int output, const Spot& spot, Number y) const {
    Store(segment.address<Bits>(kOutputsAt + output) + spot.element,
          Element::FromNumber(y));
  }
  ACTSERVE_MEMBER void Term(int sum, const Spot& spot, Number y) const {
    terms[sum * segment.num_elements() + spot.element] = y;
  }

  // The sum over the lanes, by halving, for all of them.
  ACTSERVE_MEMBER double AddLanes(double mine) const {
    return Reduce(mine, [](double a, double b) { return a + b; });
  }
  ACTSERVE_MEMBER Number MaxOfLanes(Number mine) const {
    return static_cast<Number>(Reduce(mine, [](double a, double b) {
      return LargerOrNaN(static_cast<Number>(a), static_cast<Number>(b));
    }));
  }

  template <int kTo, typename A>
  ACTSERVE_MEMBER void Shift() const {
    ACTSERVE_LOOP
    for (Word k = lane; k < count(); k += kOfRow) {
      *Kept(kTo, At(k)) = k == 0 ? Number(0) : A::Get(*this, k - 1);
    }
    Barrier();
  }
  template <int kTo, typename A>
  ACTSERVE_MEMBER void ShiftBack() const {
    ACTSERVE_LOOP
    for (Word k = lane; k < count(); k += kOfRow) {
      *Kept(kTo, At(k)) = k + 1 == size ? Number(0) : A::Get(*this, k + 1);
    }
    Barrier();
  }

  // In the order of the definition, so by one thread.
  template <int kTo, bool kBack, typename A, typename B>
  ACTSERVE_MEMBER void Scan() const {
    if (lane == 0) {
      double sum = 0;
      ACTSERVE_LOOP
      for (Word n = 0; n < count(); ++n) {
        const Word k = kBack ? size - 1 - n : n;
        const double term = static_cast<double>(B::Get(*this, k));
        const double factor = static_cast<double>(A::Get(*this, k));
        const double next = factor * sum + term;
        sum = n == 0 ? term : next;
        *Kept(kTo, At(k)) = static_cast<Number>(sum);
      }
    }
    Barrier();
  }

  // `Keys` say how `Values` move: to the order of falling keys, or back.
  template <int kTo, typename Keys, typename Values>
  ACTSERVE_MEMBER void Sort() const {
    FindOrder<Keys>();
    ACTSERVE_LOOP
    for (Word k = lane; k < count(); k += kOfRow) {
      *Kept(kTo, At(k)) = Values::Get(*this, *Order(k));
    }
    Barrier();
  }
  template <int kTo, typename Keys, typename Values>
  ACTSERVE_MEMBER void Unsort() const {
    FindOrder<Keys>();
    ACTSERVE_LOOP
    for (Word k = lane; k < count(); k += kOfRow) {
      *Kept(kTo, At(*Order(k))) = Values::Get(*this, k);
    }
    Barrier();
  }

 private:
  ACTSERVE_MEMBER Word count() const { return valid ? size : 0; }

  template <typename Combine>
  ACTSERVE_MEMBER double Reduce(double mine, const Combine& combine) const {
    ACTSERVE_SHARED double lanes[kOfRow < 128 ? 128 : kOfRow];
    const unsigned me = ThreadIndex();
    lanes[me] = mine;
    Barrier();
    ACTSERVE_LOOP
    for (unsigned stride = kOfRow / 2; stride > 0; stride /= 2) {
      if (lane < stride) {
        lanes[me] = combine(lanes[me], lanes[me + stride * lane_step]);
      }
      Barrier();
    }
    const double all = lanes[me - lane * lane_step];
    Barrier();
    return all;
  }

  // The array behind the kept ones: Order(0) is the element that is first.
  ACTSERVE_MEMBER unsigned* Order(Word k) const {
    return reinterpret_cast<unsigned*>(Kept(Program::kArrays - 1, At(k)));
  }

  // A total order: NaN first, then falling keys, equal ones as they stand.
  template <typename Keys>
  ACTSERVE_MEMBER bool IsBefore(unsigned i, unsigned j) const {
    const Number a = Keys::Get(*this, i);
    const Number b = Keys::Get(*this, j);
    const bool a_is_nan = a != a;
    const bool b_is_nan = b != b;
    if (a_is_nan != b_is_nan) return a_is_nan;
    if (a != b && !a_is_nan) return b < a;
    return i < j;
  }
  template <typename Keys>
  ACTSERVE_MEMBER void Arrange(Word low, Word high) const {
    if (high >= size) return;
    unsigned* const first_one = Order(low);
    unsigned* const second = Order(high);
    const unsigned i = *first_one;
    const unsigned j = *second;
    if (IsBefore<Keys>(j, i)) {
      *first_one = j;
      *second = i;
    }
  }

  // A bitonic network in which the smaller place always gets the element that
  // is before, so that places beyond the row need no elements.
  template <typename Keys>
  ACTSERVE_MEMBER void FindOrder() const {
    ACTSERVE_LOOP
    for (Word k = lane; k < count(); k += kOfRow) {
      *Order(k) = static_cast<unsigned>(k);
    }
    Barrier();
    ACTSERVE_LOOP
    for (Word half = 1; half < size; half *= 2) {
      // Up to those of the last block, which may be cut.
      const Word pairs = valid ? (size & ~(2 * half - 1)) / 2 + half : 0;
      ACTSERVE_LOOP
      for (Word pair = lane; pair < pairs; pair += kOfRow) {
        const Word begin = (pair & ~(half - 1)) * 2;
        const Word at = pair & (half - 1);
        Arrange<Keys>(begin + at, begin + 2 * half - 1 - at);
      }
      Barrier();
      ACTSERVE_LOOP
      for (Word apart = half / 2; apart > 0; apart /= 2) {
        ACTSERVE_LOOP
        for (Word pair = lane; pair < pairs; pair += kOfRow) {
          const Word low = (pair & ~(apart - 1)) * 2 + (pair & (apart - 1));
          Arrange<Keys>(low, low + apart);
        }
        Barrier();
      }
    }
  }
};

// Computes a tile of a row in one stage, kCopies elements of each thread under
// way at once. Gives the sums of this thread's lanes of the tree, and takes
// what it has into the maxima.
template <typename S, int kOfRow, int kCopies>
ACTSERVE_DEVICE void RunTile(const Row<kOfRow>& row, Word begin,
                             const Number* parameters, const Number* numbers,
                             double* sums, Number* maxima) {
  // Lanes of the tree that this thread has.
  constexpr int kShares = kLanes / kOfRow;
  static_assert(kCopies % kShares == 0, "a copy belongs to one lane");
  const Word left = row.size - begin;
  const unsigned count =
      left < kSumTile ? static_cast<unsigned>(left) : kSumTile;
  double lanes[Room(S::kSums)][kShares];
  ACTSERVE_UNROLL
  for (int s = 0; s < S::kSums; ++s) {
    ACTSERVE_UNROLL
    for (int i = 0; i < kShares; ++i) lanes[s][i] = 0;
  }
  ACTSERVE_LOOP
  for (unsigned at = 0; at < count; at += kCopies * kOfRow) {
    Number x[kCopies][Room(S::kReads)];
    ACTSERVE_UNROLL
    for (int c = 0; c < kCopies; ++c) {
      // What is read for elements that are not there is any.
      const unsigned i = at + c * kOfRow + row.lane;
      S::Read(row, row.At(begin + (i < count ? i : 0)), x[c]);
    }
    ACTSERVE_UNROLL
    for (int c = 0; c < kCopies; ++c) {
      if (at + c * kOfRow < count) {
        const unsigned i = at + c * kOfRow + row.lane;
        const bool inside = row.valid && i < count;
        Number y[Room(S::kResults)];
        S::Elements(x[c], parameters, numbers, y);
        ACTSERVE_UNROLL
        for (int s = 0; s < S::kSums; ++s) {
          double& lane = lanes[s][c % kShares];
          const double sum = lane + static_cast<double>(y[s]);
          lane = inside ? sum : lane;
        }
        ACTSERVE_UNROLL
        for (int m = 0; m < S::kMaxima; ++m) {
          const Number max = LargerOrNaN(maxima[m], y[S::kSums + m]);
          maxima[m] = inside ? max : maxima[m];
        }
        if (inside) S::Write(row, row.At(begin + i), y);
      }
    }
  }
  ACTSERVE_UNROLL
  for (int s = 0; s < S::kSums; ++s) {
    ACTSERVE_UNROLL
    for (int stride = kShares / 2; stride > 0; stride /= 2) {
      ACTSERVE_UNROLL
      for (int i = 0; i < stride; ++i) lanes[s][i] += lanes[s][i + stride];
    }
    sums[s] = lanes[s][0];
  }
}

// Stages kStage and all after it, of rows that their threads do alone.
template <int kStage, int kOfRow, int kCopies>
ACTSERVE_DEVICE void RunStages(const Row<kOfRow>& row, const Number* parameters,
                               Number* numbers) {
  if constexpr (kStage < Program::kStages) {
    using S = Stage<kStage>;
    S::Rows(parameters, numbers);
    // The sums so far, of the last tile, and of the last two pairs of tiles
    // that are not in one yet: the tree of at most four.
    double totals[Room(S::kSums)];
    double last[Room(S::kSums)];
    double pair[Room(S::kSums)];
    Number maxima[Room(S::kMaxima)];
    ACTSERVE_UNROLL
    for (int m = 0; m < S::kMaxima; ++m) maxima[m] = NoMaximum();
    ACTSERVE_LOOP
    for (unsigned tile = 0; tile * kSumTile < row.size; ++tile) {
      double sums[Room(S::kSums)];
      RunTile<S, kOfRow, kCopies>(row, tile * kSumTile, parameters, numbers,
                                  sums, maxima);
      ACTSERVE_UNROLL
      for (int s = 0; s < S::kSums; ++s) {
        const double sum = row.AddLanes(sums[s]);
        const double in_pair = tile % 2 == 1 ? last[s] + sum : sum;
        totals[s] = tile >= 2 ? pair[s] + in_pair : in_pair;
        last[s] = sum;
        if (tile < 2) pair[s] = in_pair;
      }
    }
    ACTSERVE_UNROLL
    for (int m = 0; m < S::kMaxima; ++m) maxima[m] = row.MaxOfLanes(maxima[m]);
    S::Finish(totals, maxima, numbers);
    if constexpr (S::kHasMoves) {
      Barrier();
      S::Move(row);
    }
    RunStages<kStage + 1, kOfRow, kCopies>(row, parameters, numbers);
  }
}

// Rows of at most kMaxTilesOfBlock tiles: kOfRow threads for each, and in a
// block as many as there is room for. If they are interleaved, neighbouring
// threads take neighbouring rows.
template <int kThreads, int kOfRow, int kCopies>
ACTSERVE_DEVICE void RunRows(const Argument& argument) {
  constexpr unsigned kRowsAtOnce = kThreads / kOfRow;
  const Place place = FindTile(argument, BlockIndex());
  const Segment segment = ReadSegment(argument, place.segment);
  const Scratch scratch = FindScratch(segment);
  const Word size = segment.row_size();
  const Word stride = segment.row_stride();
  const Word num_rows = segment.num_elements() / size;
  const bool strided = stride > 1;
  const unsigned me = ThreadIndex();
  const unsigned slot = strided ? me % kRowsAtOnce : me / kOfRow;
  const Word wanted = place.tile * kRowsAtOnce + slot;
  const Word number = wanted < num_rows ? wanted : num_rows - 1;
  const Word first = number / stride * size * stride + number % stride;
  const Word in_shared = kRowsAtOnce * size;
  const bool shares =
      sizeof(Number) * Program::kArrays * in_shared <= argument.shared_bytes;
  ACTSERVE_LAUNCHED_SHARED(shared);
  const Row<kOfRow> row = {
      segment,
      size,
      first,
      stride,
      shares ? reinterpret_cast<Number*>(shared) : scratch.kept,
      !shares ? first : (strided ? slot : slot * size),
      !shares ? stride : (strided ? kRowsAtOnce : 1),
      shares ? in_shared : segment.num_elements(),
      scratch.terms,
      strided ? me / kRowsAtOnce : me % kOfRow,
      strided ? kRowsAtOnce : 1,
      wanted < num_rows};
  Number parameters[Room(kParameters)];
  segment.GetParameters(parameters);
  Number numbers[Program::kNumbers];
  numbers[0] = static_cast<Number>(size);
  RunStages<0, kOfRow, kCopies>(row, parameters, numbers);
}

// A long row as the threads of one block see it.
template <int kThreads>
ACTSERVE_DEVICE Row<kThreads> LongRow(const Segment& segment,
                                      const Scratch& scratch, Word number) {
  const Word size = segment.row_size();
  const Word stride = segment.row_stride();
  const Word first = number / stride * size * stride + number % stride;
  return {segment,       size,          first,  stride,
          scratch.kept,  first,         stride, segment.num_elements(),
          scratch.terms, ThreadIndex(), 1,      true};
}

// The numbers of a row that earlier stages found, and those that follow.
template <int kStage>
ACTSERVE_DEVICE void GetNumbers(const Segment& segment, const Number* known,
                                const Number* parameters, Number* numbers) {
  ACTSERVE_UNROLL
  for (int i = 0; i < Program::kNumbers; ++i) {
    numbers[i] = kStage == 0 ? Number(0) : known[i];
  }
  numbers[0] = static_cast<Number>(segment.row_size());
  Stage<kStage>::Rows(parameters, numbers);
}

// One stage of long rows: a block does one tile, and leaves what it reduced.
template <int kStage, int kCopies>
ACTSERVE_DEVICE void RunRowTiles(const Argument& argument) {
  if constexpr (kStage < Program::kStages) {
    if (argument.stage != kStage) {
      return RunRowTiles<kStage + 1, kCopies>(argument);
    }
    using S = Stage<kStage>;
    const Place place = FindTile(argument, BlockIndex());
    const Segment segment = ReadSegment(argument, place.segment);
    const Scratch scratch = FindScratch(segment);
    const Word tiles = TilesOf(segment.row_size());
    const Word number = place.tile / tiles;
    const auto row = LongRow<kLanes>(segment, scratch, number);
    Number parameters[Room(kParameters)];
    segment.GetParameters(parameters);
    Number numbers[Program::kNumbers];
    GetNumbers<kStage>(segment, scratch.numbers + number * Program::kNumbers,
                       parameters, numbers);
    double sums[Room(S::kSums)];
    Number maxima[Room(S::kMaxima)];
    ACTSERVE_UNROLL
    for (int m = 0; m < S::kMaxima; ++m) maxima[m] = NoMaximum();
    RunTile<S, kLanes, kCopies>(row, place.tile % tiles * kSumTile, parameters,
                                numbers, sums, maxima);
    const Word all = segment.num_elements() / row.size * tiles;
    double* const results = scratch.results + place.tile;
    ACTSERVE_UNROLL
    for (int s = 0; s < S::kSums; ++s) {
      const double sum = row.AddLanes(sums[s]);
      if (ThreadIndex() == 0) results[s * all] = sum;
    }
    ACTSERVE_UNROLL
    for (int m = 0; m < S::kMaxima; ++m) {
      const Number max = row.MaxOfLanes(maxima[m]);
      if (ThreadIndex() == 0) results[(S::kSums + m) * all] = max;
    }
  }
}

// The end of a stage of long rows: the block of a row's first tile combines
// what the blocks of its tiles left, and moves what is to be moved.
template <int kStage, int kThreads>
ACTSERVE_DEVICE void FinishRows(const Argument& argument) {
  // Nothing comes after the last stage.
  if constexpr (kStage + 1 < Program::kStages) {
    if (argument.stage != kStage) {
      return FinishRows<kStage + 1, kThreads>(argument);
    }
    using S = Stage<kStage>;
    const Place place = FindTile(argument, BlockIndex());
    const Segment segment = ReadSegment(argument, place.segment);
    const Word tiles = TilesOf(segment.row_size());
    if (place.tile % tiles != 0) return;
    const Scratch scratch = FindScratch(segment);
    const Word number = place.tile / tiles;
    const auto row = LongRow<kThreads>(segment, scratch, number);
    const Word all = segment.num_elements() / row.size * tiles;
    double* const results = scratch.results + place.tile;
    double totals[Room(S::kSums)];
    ACTSERVE_UNROLL
    for (int s = 0; s < S::kSums; ++s) {
      CombineTiles<kThreads>(results + s * all, tiles);
      totals[s] = results[s * all];
    }
    Number maxima[Room(S::kMaxima)];
    ACTSERVE_UNROLL
    for (int m = 0; m < S::kMaxima; ++m) {
      Number max = NoMaximum();
      ACTSERVE_LOOP
      for (Word tile = ThreadIndex(); tile < tiles; tile += kThreads) {
        max = LargerOrNaN(
            max, static_cast<Number>(results[(S::kSums + m) * all + tile]));
      }
      maxima[m] = row.MaxOfLanes(max);
    }
    Number parameters[Room(kParameters)];
    segment.GetParameters(parameters);
    Number numbers[Program::kNumbers];
    Number* const known = scratch.numbers + number * Program::kNumbers;
    GetNumbers<kStage>(segment, known, parameters, numbers);
    S::Finish(totals, maxima, numbers);
    // All have read them.
    Barrier();
    if (ThreadIndex() == 0) {
      ACTSERVE_UNROLL
      for (int i = 0; i < Program::kNumbers; ++i) known[i] = numbers[i];
    }
    if constexpr (S::kHasMoves) S::Move(row);
  }
}

// The tile sums of what was to be summed over all elements.
template <int kThreads>
ACTSERVE_DEVICE void SumTerms(const Argument& argument) {
  const Place place = FindTile(argument, BlockIndex());
  const Segment segment = ReadSegment(argument, place.segment);
  const Word num_elements = segment.num_elements();
  const Word begin = place.tile * kSumTile;
  const Word left = num_elements - begin;
  const unsigned count =
      left < kSumTile ? static_cast<unsigned>(left) : kSumTile;
  const Number* const terms = FindScratch(segment).terms + begin;
  ACTSERVE_LOOP
  for (int s = 0; s < kSums; ++s) {
    double lane = 0;
    ACTSERVE_LOOP
    for (unsigned at = ThreadIndex(); at < count; at += kThreads) {
      lane += static_cast<double>(terms[s * num_elements + at]);
    }
    const double sum = AddLanes(lane);
    if (ThreadIndex() == 0) {
      segment.address<double>(
          kTileSumsAt)[s * TilesOf(num_elements) + place.tile] = sum;
    }
  }
}
