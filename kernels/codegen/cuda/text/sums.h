// The tree of kernels/graph/summation.h, in texts that have sums.

// The sum of the lanes of a tile, one a thread, for thread 0.
ACTSERVE_DEVICE double AddLanes(double lane) {
  ACTSERVE_SHARED double lanes[kLanes];
  const unsigned me = ThreadIndex();
  lanes[me] = lane;
  Barrier();
  ACTSERVE_LOOP
  for (unsigned stride = kLanes / 2; stride > 0; stride /= 2) {
    if (me < stride) lanes[me] += lanes[me + stride];
    Barrier();
  }
  return lanes[0];
}

// Combines `count` tile sums, four levels of the tree at a time, in place: each
// group of 16 becomes one, and sums[0] the sum. Ends with a barrier.
template <int kThreads>
ACTSERVE_DEVICE void CombineTiles(double* sums, Word count) {
  constexpr int kGroup = 16;
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
}

// Combines the tile sums of one sum of one segment.
template <int kThreads>
ACTSERVE_DEVICE void FinishSums(const Argument& argument) {
  const Segment segment = ReadSegment(argument, BlockIndex() / kSums);
  const unsigned which = BlockIndex() % kSums;
  const Word num_tiles = (segment.num_elements() + (kSumTile - 1)) / kSumTile;
  double* const sums = segment.address<double>(kTileSumsAt) + which * num_tiles;
  CombineTiles<kThreads>(sums, num_tiles);
  if (ThreadIndex() == 0) {
    segment.address<double>(kSumsAt)[which] = num_tiles > 0 ? sums[0] : 0;
  }
}
