// actctl: activations from the command line.
//
// Exit codes: 0 done; 1 it failed, and standard error says why; 2 the command
// line is wrong.

#include <iostream>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "client/cli/array.h"
#include "client/cli/commands.h"
#include "kernels/base/process_options.h"

namespace actserve {
namespace {

// Adds a repeatable flag NAME=NUMBER.
void AddAssignments(CLI::App& command, const std::string& flag,
                    std::map<std::string, double>& values,
                    const std::string& description) {
  command
      .add_option_function<std::vector<std::string>>(
          flag,
          [&values, flag](const std::vector<std::string>& assignments) {
            for (const std::string& assignment : assignments) {
              const size_t equals = assignment.find('=');
              const auto value =
                  equals == std::string::npos
                      ? absl::InvalidArgumentError("")
                      : ParseNumber(assignment.substr(equals + 1));
              if (equals == 0 || !value.ok()) {
                throw CLI::ValidationError(
                    flag, "'" + assignment + "' is not NAME=NUMBER");
              }
              const std::string name = assignment.substr(0, equals);
              if (!values.emplace(name, *value).second) {
                throw CLI::ValidationError(flag, name + " is given twice");
              }
            }
          },
          description)
      ->type_name("NAME=NUMBER")
      ->allow_extra_args(false);
}

// The flags that say how to read a text.
void AddReadingFlags(CLI::App& command, TextFlags& text) {
  command
      .add_option("--derivative", text.derivative_file,
                  "A file with the derivative, used instead of the derived one")
      ->type_name("FILE");
  AddAssignments(
      command, "--constant", text.constants,
      "A number for a name that the text does not define; repeatable");
  command.add_flag("--exact", text.exact,
                   "Keep the formula as written: no rewrites for accuracy");
}

void AddTextFlags(CLI::App& command, TextFlags& text) {
  command.add_option("file", text.file, "A Python file with the activation")
      ->required()
      ->type_name("FILE");
  AddReadingFlags(command, text);
}

void AddPrecompileFlags(CLI::App& command, PrecompileFlags& flags) {
  auto& what = *command.add_option_group("What to compile");
  what.require_option(1, 2);
  what.add_option("files", flags.files, "Python files, one activation each")
      ->type_name("FILE");
  what.add_flag("--builtins", flags.builtins, "All built-ins");
  AddReadingFlags(command, flags.text);
  command
      .add_option("--dtype", flags.dtypes,
                  "Element types, separated by commas; default: all four")
      ->type_name("DTYPES")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      .add_option("--arch", flags.architectures,
                  "Compute capabilities of the GPUs to compile for, such as "
                  "80,90; needs NVRTC; default: none")
      ->type_name("NUMBERS")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      .add_option("--cache_directory,--cache-directory", flags.cache_directory,
                  "The cache to fill; default: that of actserved, or none "
                  "with --pack")
      ->type_name("DIRECTORY");
  command
      .add_option("--pack", flags.pack,
                  "A file to write the code for --arch to; servers without "
                  "NVRTC read it (actserved --pack)")
      ->type_name("FILE");
}

void AddEvaluateFlags(CLI::App& command, EvaluateFlags& flags) {
  command
      .add_option(
          "activation", flags.activation,
          "The name of a built-in, an id, or a .py file to register first")
      ->required()
      ->type_name("NAME|ID|FILE");
  command.add_option("numbers", flags.numbers, "The elements of the one input")
      ->type_name("NUMBER");
  command
      .add_option("-i,--input", flags.inputs,
                  "One input: FILE.npy, or numbers separated by commas; repeat "
                  "the flag for further inputs")
      ->type_name("FILE.npy|NUMBERS")
      ->allow_extra_args(false);
  command
      .add_option("--dtype", flags.dtype,
                  "float16, bfloat16, float32 or float64; default: the type of "
                  "the files, or float32")
      ->type_name("DTYPE");
  AddAssignments(command, "--param", flags.parameters,
                 "The value of a parameter; repeatable");
}

int Main(int argc, char** argv) {
  SetProcessOptions();
  CLI::App app(
      "Checks activation functions written as Python text, and has a server "
      "compute them and their gradients.",
      "actctl");
  app.require_subcommand(1);
  app.fallthrough();
  ServerFlags server;
  app.add_option("--server", server.address,
                 "host:port or unix:PATH; default: $ACTSERVE_ADDRESS, then "
                 "the user's unix socket, then 127.0.0.1:50051")
      ->type_name("ADDRESS");
  app.add_option("--timeout", server.timeout_seconds,
                 "Time limit of one call, retries included")
      ->type_name("SECONDS")
      ->capture_default_str();

  absl::Status status;
  const auto run = [&](CLI::App& command, auto action) {
    command.callback([&status, action] { status = action(); });
  };

  auto& list = *app.add_subcommand(
      "list", "List the built-ins, or with --server all activations it knows");
  run(list, [&] { return List(server); });

  auto& show = *app.add_subcommand(
      "show",
      "Show text, program, rewrites and gradient of an activation, and its "
      "measured accuracy if that needs no server");
  std::string shown;
  show.add_option("activation", shown,
                  "The name of a built-in, a .py file, or an id")
      ->required()
      ->type_name("NAME|FILE|ID");
  run(show, [&] { return Show(server, shown); });

  auto& check = *app.add_subcommand(
      "check",
      "Compile and differentiate a text on this machine, without a server");
  TextFlags text;
  AddTextFlags(check, text);
  run(check, [&] { return Check(text); });

  auto& precompile = *app.add_subcommand(
      "precompile",
      "Compile programs ahead of time into the cache of a server, or a pack");
  PrecompileFlags precompiled;
  AddPrecompileFlags(precompile, precompiled);
  run(precompile, [&] { return Precompile(precompiled); });

  auto& registration = *app.add_subcommand(
      "register", "Register a text with the server and print its id");
  AddTextFlags(registration, text);
  run(registration, [&] { return Register(server, text); });

  EvaluateFlags evaluate;
  auto& forward = *app.add_subcommand("forward", "Compute y = f(inputs)");
  AddEvaluateFlags(forward, evaluate);
  forward.add_option("-o,--output", evaluate.outputs, "Where to write y")
      ->type_name("FILE.npy")
      ->expected(1);
  run(forward, [&] { return Forward(server, evaluate); });

  auto& backward = *app.add_subcommand(
      "backward", "Compute gradients: dL/d(input) from dL/dy and the inputs");
  AddEvaluateFlags(backward, evaluate);
  backward
      .add_option("--grad-output,--grad_output", evaluate.grad_output,
                  "dL/dy: FILE.npy, or numbers separated by commas; default: "
                  "ones")
      ->type_name("FILE.npy|NUMBERS");
  backward
      .add_option("--wrt", evaluate.wrt,
                  "Names of inputs and parameters, separated by commas; "
                  "default: all inputs")
      ->type_name("NAMES")
      ->delimiter(',')
      ->allow_extra_args(false);
  backward
      .add_option(
          "-o,--output", evaluate.outputs,
          "Where to write a gradient; NAME=FILE.npy if there are several")
      ->type_name("[NAME=]FILE.npy")
      ->allow_extra_args(false);
  run(backward, [&] { return Backward(server, evaluate); });

  auto& health =
      *app.add_subcommand("health", "Ask whether the server takes requests");
  run(health, [&] { return Health(server); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (status.ok()) return 0;
  std::cerr << "actctl: " << absl::StatusCodeToString(status.code()) << ": "
            << status.message() << "\n";
  return 1;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
