#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_RUN_PIPELINED_RUN_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_RUN_PIPELINED_RUN_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/device/cuda/driver/cuda_context.h"
#include "kernels/device/cuda/program/cuda_program.h"
#include "kernels/device/cuda/run/chunk.h"
#include "kernels/device/cuda/run/device_pool.h"
#include "kernels/device/cuda/run/device_tables.h"
#include "kernels/device/cuda/run/resident.h"
#include "kernels/device/cuda/run/staging.h"
#include "kernels/device/device.h"

namespace actserve {

// The parts that all runs on one device share. Does not own them.
struct RunResources {
  CudaContext* context = nullptr;
  DevicePool* pool = nullptr;
  StagingRing* ring = nullptr;
  DeviceTables* tables = nullptr;
  // Launches of at least this many elements read tables from shared memory.
  int64_t shared_table_min_elements = 0;
};

// One CudaDevice::Run(). Chunks go through the slots of the ring, several at a
// time: while one is copied in, another is computed and a third is copied out.
// Fragments are copied once, into pinned memory. An item that is cut nowhere
// and fits no slot is copied whole, in slices, before it is computed. Tensors
// in device memory are used there.
//
// Used by one thread, once.
class PipelinedRun {
 public:
  // `items` must fit the program.
  PipelinedRun(const RunResources& resources, const CudaProgram& program,
               absl::Span<WorkItem> items);

  // Returns the errors of Device::Run(). In every case the device has no work
  // of it left, unless the device is lost.
  absl::Status Run();

 private:
  // A chunk on its way, in the order of its slot's stream.
  struct Flight {
    Chunk chunk;
    StagingSlot* slot = nullptr;
    std::vector<DeviceTables::Table> tables;
  };

  absl::Status CheckResident() const;
  absl::Status MakeRoomToKeep();
  absl::Status StartAll();
  absl::Status Start(Flight& flight);
  // Puts the tables of `launches` behind the inputs in the slot; the region is
  // at `memory`. Returns the bytes of the region that are to be copied in.
  static int64_t PlaceTables(const Flight& flight, CuDeviceAddress memory,
                             std::vector<PackedLaunch>& launches);
  void CopyIn(const Flight& flight);
  // The same for large chunks, in slices on the slot's stream.
  absl::Status CopyLargeIn(const Flight& flight, CuDeviceAddress memory);
  absl::Status CopyLargeOut(const Flight& flight, CuDeviceAddress out);
  // Puts copies on the stream, from the chunk's memory to the kept tensors.
  absl::Status Keep(const Flight& flight, CuDeviceAddress memory);
  // The piece's first element of a tensor of `inputs`.
  CuDeviceAddress InputAddress(const Piece& piece, size_t input,
                               CuDeviceAddress memory) const;
  absl::StatusOr<std::vector<PackedLaunch>> Pack(const Flight& flight,
                                                 CuDeviceAddress memory) const;
  KernelEntry ChooseEntry(const Flight& flight) const;
  absl::Status GetTables(Flight& flight);
  absl::Status FinishOldest();
  void CopyOut(const Flight& flight);
  void CountStages(const StagingSlot& slot);
  StagingSlot* NextSlot(absl::Status& status);

  const RunResources& resources_;
  CudaContext& context_;
  const CudaProgram& program_;
  const absl::Span<WorkItem> items_;
  ChunkCutter cutter_;
  std::deque<Flight> flights_;  // oldest first
  // By item; null for those that are not kept.
  std::vector<std::shared_ptr<const CudaResidentTensors>> kept_;
  // [item][sum][tile]; empty if tiles are not summed
  std::vector<std::vector<std::vector<double>>> tile_sums_;
  bool timed_ = false;
  Stages stages_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_RUN_PIPELINED_RUN_H_
