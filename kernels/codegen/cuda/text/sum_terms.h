// The kernels of sum_terms.h: what a text of their own has behind the prelude,
// the type `Number` of terms and tree.h.

// Of SumStep: `outer` blocks of `rows` rows of `width` numbers, each float64
// or, if `of_terms`, a Number. Results are float64.
struct Argument {
  Word from;
  Word to;
  Word outer;
  Word rows;
  Word width;
  Word of_terms;

  ACTSERVE_MEMBER double* result(Word i) const {
    return reinterpret_cast<double*>(to) + i;
  }
  ACTSERVE_MEMBER double Get(Word i) const {
    return of_terms != 0 ? static_cast<double>(
                               Load(reinterpret_cast<const Number*>(from) + i))
                         : Load(reinterpret_cast<const double*>(from) + i);
  }
};

// The sum of `count` numbers, `step` apart, in order, from +0.
ACTSERVE_DEVICE double AddInOrder(const Argument& argument, Word begin,
                                  Word step, Word count) {
  constexpr int kAtOnce = 8;
  double sum = 0;
  ACTSERVE_LOOP
  for (Word done = 0; done < count; done += kAtOnce) {
    double term[kAtOnce];
    ACTSERVE_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      term[i] = done + i < count ? argument.Get(begin + (done + i) * step) : 0;
    }
    ACTSERVE_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      const double next = sum + term[i];
      sum = done + i < count ? next : sum;
    }
  }
  return sum;
}

// The tile sums of `outer` runs of `rows` neighbours. The threads of a block
// are the lanes of a tile, or of as many runs as have room: the lanes that a
// short run has not are +0, and adding them would change nothing.
template <int kThreads>
ACTSERVE_DEVICE void SumRuns(const Argument& argument) {
  ACTSERVE_SHARED double lanes[kThreads];
  const Word run = argument.rows;
  const Word tiles_of_run = (run + (kSumTile - 1)) / kSumTile;
  const Word tiles = argument.outer * tiles_of_run;
  unsigned num_lanes = kLanes;
  while (num_lanes / 2 >= run) num_lanes /= 2;
  const unsigned me = ThreadIndex();
  const unsigned lane = me % num_lanes;
  const unsigned at_once = kThreads / num_lanes;
  ACTSERVE_LOOP
  for (Word first = static_cast<Word>(BlockIndex()) * at_once; first < tiles;
       first += static_cast<Word>(GridSize()) * at_once) {
    const Word tile = first + me / num_lanes;
    double sum = 0;
    if (tile < tiles) {
      const Word number = tiles_of_run == 1 ? tile : tile / tiles_of_run;
      const Word begin = (tile - number * tiles_of_run) * kSumTile;
      const Word end = run - begin < kSumTile ? run : begin + kSumTile;
      if (begin + lane < end) {
        const Word left = end - begin - lane;
        sum = AddInOrder(argument, number * run + begin + lane, num_lanes,
                         (left + (num_lanes - 1)) / num_lanes);
      }
    }
    lanes[me] = sum;
    Barrier();
    ACTSERVE_LOOP
    for (unsigned stride = num_lanes / 2; stride > 0; stride /= 2) {
      if (lane < stride) lanes[me] += lanes[me + stride];
      Barrier();
    }
    if (lane == 0 && tile < tiles) *argument.result(tile) = lanes[me];
    Barrier();
  }
}

// Calls `sum` with the place of the first number, and how many there are, of
// each column of each group of kGroup rows, one a thread.
template <int kThreads, int kGroup, typename Sum>
ACTSERVE_DEVICE void ForEachGroup(const Argument& argument, const Sum& sum) {
  const Word groups = (argument.rows + (kGroup - 1)) / kGroup;
  const Word results = argument.outer * groups * argument.width;
  ACTSERVE_LOOP
  for (Word i = static_cast<Word>(BlockIndex()) * kThreads + ThreadIndex();
       i < results; i += static_cast<Word>(GridSize()) * kThreads) {
    const Word group = i / argument.width;
    const Word column = i - group * argument.width;
    const Word block = group / groups;
    const Word row = (group - block * groups) * kGroup;
    const Word left = argument.rows - row;
    *argument.result(i) =
        sum((block * argument.rows + row) * argument.width + column,
            static_cast<unsigned>(left < kGroup ? left : kGroup));
  }
}

// Groups of kSumGroup rows of broadcast.h.
template <int kThreads>
ACTSERVE_DEVICE void SumRows(const Argument& argument) {
  ForEachGroup<kThreads, 64>(argument, [&](Word begin, unsigned count) {
    return AddInOrder(argument, begin, argument.width, count);
  });
}

// Four levels of the tree.
template <int kThreads>
ACTSERVE_DEVICE void FoldSums(const Argument& argument) {
  constexpr int kGroup = 16;
  ForEachGroup<kThreads, kGroup>(argument, [&](Word begin, unsigned count) {
    double part[kGroup];
    ACTSERVE_UNROLL
    for (int i = 0; i < kGroup; ++i) {
      part[i] = i < count ? argument.Get(begin + i * argument.width) : 0;
    }
    Combine<kGroup>(part, count);
    return part[0];
  });
}
