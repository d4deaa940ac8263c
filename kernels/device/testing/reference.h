// Computes what every device must return, bit for bit: one element after the
// other, by the interpreter and the rules of lowered_program.h and summation.h.

#ifndef ACTSERVE_KERNELS_DEVICE_TESTING_REFERENCE_H_
#define ACTSERVE_KERNELS_DEVICE_TESTING_REFERENCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/device/device.h"
#include "kernels/graph/lowered_program.h"

namespace actserve::testing {

// Tensors are strings of bytes.
struct Results {
  std::vector<std::string> outputs;  // those that are not summed
  std::vector<double> sums;
};

// An input that broadcasts.
struct BroadcastTensor {
  std::string data;
  Broadcast shape;
};

// About a microsecond an element. `inputs` are those of the full shape.
Results RunReference(const LoweredProgram& program,
                     const std::vector<std::string>& inputs,
                     const std::vector<double>& parameters,
                     const Rows& rows = {},
                     const std::vector<BroadcastTensor>& broadcasts = {},
                     int64_t element_offset = 0);

// The same on `device`, each tensor in one fragment. Fails the test and
// returns nothing on an error.
Results RunOnDevice(Device& device, const LoweredProgram& program,
                    const std::vector<std::string>& inputs,
                    const std::vector<double>& parameters,
                    const Rows& rows = {},
                    const std::vector<BroadcastTensor>& broadcasts = {},
                    int64_t element_offset = 0);

// Sums `contributions` along the tree of summation.h, written as it is stated;
// and those of a tensor that broadcasts, as broadcast.h states it.
double SumByTheBook(const std::vector<double>& contributions);
std::vector<double> SumByTheBook(const Broadcast& shape,
                                 std::vector<double> contributions);

// "" if equal, any NaN being equal to any NaN; else the first difference.
std::string Difference(DType dtype, const std::string& got,
                       const std::string& want);
std::string Difference(const LoweredProgram& program, const Results& got,
                       const Results& want);

// Numbers of all kinds: zeros, subnormals, infinities, NaN, small integers and
// halves (where texts branch), moderate numbers, and random bits.
std::string RandomTensor(DType dtype, int64_t num_elements, uint32_t seed);

// Numbers of moderate size, some of them equal: of a row of RandomTensor(), one
// NaN would hide all others.
std::string OrdinaryTensor(DType dtype, int64_t num_elements, uint32_t seed);

// The program of `graph` for tensors of `storage`. One tensor input and
// nothing summed: a 16-bit program is kRoundOnce16, else kDirect. The id is
// made of `name` and `storage`. One that reads rows or draws is kDirect.
LoweredProgram MakeProgram(const std::string& name, Graph graph, DType storage);

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_DEVICE_TESTING_REFERENCE_H_
