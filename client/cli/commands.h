// The commands of actctl, apart from their flags. Each prints its result to
// standard output and remarks to standard error; a status that is not OK is
// for main to print.

#ifndef ACTSERVE_CLIENT_CLI_COMMANDS_H_
#define ACTSERVE_CLIENT_CLI_COMMANDS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace actserve {

struct ServerFlags {
  // "host:port" or "unix:PATH"; empty: the default server.
  std::string address;
  double timeout_seconds = 60;
};

// How to read a text.
struct TextFlags {
  std::string file;
  // A file with the derivative; empty: none.
  std::string derivative_file;
  std::map<std::string, double> constants;
  bool exact = false;
};

struct PrecompileFlags {
  std::vector<std::string> files;
  bool builtins = false;
  // How to read the files; `text.file` is not used.
  TextFlags text;
  std::vector<std::string> dtypes = {"float16", "bfloat16", "float32",
                                     "float64"};
  // Compute capabilities of GPUs: 90 is 9.0.
  std::vector<int> architectures;
  // Empty: that of a server that is not told, or none if there is a pack.
  std::string cache_directory;
  // A file for the code for GPUs, and nothing is compiled for the processor;
  // empty: none.
  std::string pack;
};

struct EvaluateFlags {
  // A built-in's name, an id, or a file with a text, which is registered.
  std::string activation;
  // The one input, as numbers.
  std::vector<std::string> numbers;
  // Or each input: a .npy file, or numbers separated by commas.
  std::vector<std::string> inputs;
  // Empty: that of the .npy files, else float32.
  std::string dtype;
  std::map<std::string, double> parameters;
  // FILE.npy, or NAME=FILE.npy where there are several gradients; empty:
  // print.
  std::vector<std::string> outputs;
  // Backward only: like an input; empty: ones.
  std::string grad_output;
  // Backward only: inputs and parameters; empty: all inputs.
  std::vector<std::string> wrt;
};

// Without an address: the built-ins, from this program.
absl::Status List(const ServerFlags& server);

// Without an address, built-ins and files are shown by this program itself;
// ids are asked of the default server.
absl::Status Show(const ServerFlags& server, const std::string& activation);

// Compiles and differentiates a text, and compiles the result for this
// machine in every dtype. Uses no server.
//   InvalidArgument  the text has errors; they were printed
absl::Status Check(const TextFlags& text);

// Compiles texts into the cache on disk from which a server of this user, with
// that directory, then loads them: for a processor as this machine's, and with
// NVRTC for GPUs, of which none need be here. Or compiles them into a pack,
// which replaces what was there.
//   InvalidArgument     a text has errors, which were printed; wrong flags
//   Unavailable         GPUs were named, and there is no NVRTC
//   FailedPrecondition  NVRTC does not know such GPUs; an unsafe directory
absl::Status Precompile(const PrecompileFlags& flags);

absl::Status Register(const ServerFlags& server, const TextFlags& text);
absl::Status Forward(const ServerFlags& server, const EvaluateFlags& flags);
absl::Status Backward(const ServerFlags& server, const EvaluateFlags& flags);
absl::Status Health(const ServerFlags& server);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CLI_COMMANDS_H_
