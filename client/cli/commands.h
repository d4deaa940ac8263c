// The commands of actctl, without the parsing of flags. Each prints its result
// to standard output and remarks to standard error. main() prints a status that
// is not OK.

#ifndef ACTSERVE_CLIENT_CLI_COMMANDS_H_
#define ACTSERVE_CLIENT_CLI_COMMANDS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/cli/server_flags.h"

namespace actserve {

// Flags of `token new`.
struct NewTokenFlags {
  std::string tenant;
  std::vector<std::string> roles = {"compute", "register"};
  // As RFC 3339 writes it, in UTC; empty: never.
  std::string expires;
};

// Flags that say how to read a text.
struct TextFlags {
  std::string file;
  // A file with the derivative; empty: none.
  std::string derivative_file;
  std::map<std::string, double> constants;
  bool exact = false;
};

// Flags of `precompile`.
struct PrecompileFlags {
  std::vector<std::string> files;
  bool builtins = false;
  // How to read the files; `text.file` is not used.
  TextFlags text;
  std::vector<std::string> dtypes = {"float16", "bfloat16", "float32",
                                     "float64"};
  // Compute capabilities of GPUs: 90 is 9.0.
  std::vector<int> architectures;
  // The server's --cache_directory. Empty: the server's default directory, or
  // none with `pack`.
  std::string cache_directory;
  // A file for the GPU code; with it nothing is compiled for the processor.
  // Empty: none.
  std::string pack;
};

// Flags of `forward` and `backward`.
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
  // NAME=FILE.npy@AXIS or NAME=NUMBERS@AXIS.
  std::vector<std::string> parameter_tensors;
  // Along which rows run, for an activation that reads rows.
  std::optional<int> axis;
  // Along which the one input is cut into those of the activation.
  std::optional<int> split_axis;
  // The place of the first element, for random numbers.
  int64_t element_offset = 0;
  // FILE.npy, or NAME=FILE.npy where there are several results; empty: print.
  std::vector<std::string> outputs;
  // Forward only: NAME= and then like an input, or a number for a parameter.
  std::vector<std::string> tangents;
  // Backward only: like an input; empty: ones.
  std::string grad_output;
  // Backward only: inputs and parameters; empty: all inputs.
  std::vector<std::string> wrt;
  // Backward only: 1 or 2, and then the cotangents, like `tangents`.
  int order = 1;
  std::vector<std::string> cotangents;
};

// Flags of `advise`.
struct AdviseFlags {
  // A built-in's name, or a file with a text.
  std::string activation;
  // Of each input.
  std::vector<int64_t> shape;
  std::string dtype = "float32";
  std::optional<int> axis;
  // How long each way is measured.
  double seconds = 0.5;
};

// Lists the activations of the server, or without an address the built-ins of
// this program.
absl::Status List(const ServerFlags& server);

// Shows an activation. Without an address, this program shows built-ins and
// files itself, and asks the default server for ids.
absl::Status Show(const ServerFlags& server, const std::string& activation);

// Compiles and differentiates a text for this machine, in every dtype. Uses no
// server.
//   InvalidArgument  the text has errors; they were printed
absl::Status Check(const TextFlags& text);

// Compiles texts into a cache directory, from which a server of this user loads
// them: for this machine's processor and, with NVRTC, for GPUs, which this
// machine need not have. With `pack`, compiles them into that file instead and
// replaces it.
//   InvalidArgument     a text has errors, which were printed; wrong flags
//   Unavailable         GPUs were named, and there is no NVRTC
//   FailedPrecondition  NVRTC does not know such GPUs; an unsafe directory
absl::Status Precompile(const PrecompileFlags& flags);

absl::Status Register(const ServerFlags& server, const TextFlags& text);
absl::Status Forward(const ServerFlags& server, const EvaluateFlags& flags);
absl::Status Backward(const ServerFlags& server, const EvaluateFlags& flags);
// Measures the ways to an engine that there are from here, and prints which one
// to take.
absl::Status Advise(const ServerFlags& server, const AdviseFlags& flags);
// Describes the server, or prints a line for each of several replicas.
//   Unavailable  it is not serving, or not all of them are
absl::Status Health(const ServerFlags& server);

// Prints a random token, and the line with its digest for the file of tokens of
// a server. Nothing else remembers the token.
absl::Status NewToken(const NewTokenFlags& flags);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CLI_COMMANDS_H_
