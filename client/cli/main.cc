// actctl: activations from the command line.
//
// Exit codes: 0 done; 1 it failed, and standard error says why; 2 the command
// line is wrong.

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cli/array.h"
#include "client/cli/commands.h"
#include "client/cli/server_flags.h"
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
              int64_t integer = 0;
              if (absl::SimpleAtoi(assignment.substr(equals + 1), &integer) &&
                  (*value >= 0x1p63 ||
                   static_cast<int64_t>(*value) != integer)) {
                throw CLI::ValidationError(
                    flag, assignment +
                              ": a float64 does not hold this integer exactly, "
                              "as it does those up to 2^53");
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
      .add_option("--cache_directory", flags.cache_directory,
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
  AddAssignments(command, "--parameter", flags.parameters,
                 "The value of a parameter; repeatable");
  command
      .add_option("--parameter_tensor", flags.parameter_tensors,
                  "Values of a parameter, one for each channel: an array that "
                  "lies on that axis of the inputs and those after it; "
                  "repeatable")
      ->type_name("NAME=FILE.npy|NUMBERS@AXIS")
      ->allow_extra_args(false);
  command
      .add_option("--axis", flags.axis,
                  "The axis along which rows run, for an activation that reads "
                  "rows: 0 is the first, -1 the last")
      ->type_name("NUMBER");
  command
      .add_option("--split_axis", flags.split_axis,
                  "One input holds all of the activation's, as equal parts "
                  "along this axis: 0 is the first, -1 the last. Names then "
                  "say * for all inputs")
      ->type_name("NUMBER");
  command
      .add_option("--element_offset", flags.element_offset,
                  "The place of the first element in the tensor that the "
                  "inputs are a piece of, for random numbers")
      ->type_name("NUMBER");
}

// The flags of every command. Parsing fills those of the command that it meets,
// and sets `action` to it.
struct CommandLine {
  ServerFlags server;
  std::string shown;
  NewTokenFlags token;
  TextFlags text;
  PrecompileFlags precompile;
  EvaluateFlags evaluate;
  AdviseFlags advise;
  std::function<absl::Status()> action;
};

template <typename Action>
CLI::App& AddCommand(CLI::App& app, CommandLine& line, const std::string& name,
                     const std::string& description, Action action) {
  CLI::App& command = *app.add_subcommand(name, description);
  command.callback([&line, action] { line.action = action; });
  return command;
}

// Commands that tell about activations and servers.
void AddInspectCommands(CLI::App& app, CommandLine& line) {
  AddCommand(
      app, line, "list",
      "List the built-ins, or with --address all activations of that server",
      [&line] { return List(line.server); });
  AddCommand(app, line, "show",
             "Show text, program, rewrites and gradient of an activation, and "
             "its measured accuracy if that needs no server",
             [&line] { return Show(line.server, line.shown); })
      .add_option("activation", line.shown,
                  "The name of a built-in, a .py file, or an id")
      ->required()
      ->type_name("NAME|FILE|ID");
  AddCommand(
      app, line, "health",
      "Ask whether the server takes requests; of several replicas, print "
      "the answer of each, and exit with 0 only if all of them do",
      [&line] { return Health(line.server); });
}

// Which way to an engine is the best one.
void AddAdviseCommand(CLI::App& app, CommandLine& line) {
  CLI::App& command = AddCommand(
      app, line, "advise",
      "Measure a training step by each way to an engine: in this process, "
      "through shared memory, sent to the server; and say which one to take",
      [&line] { return Advise(line.server, line.advise); });
  AdviseFlags& flags = line.advise;
  command
      .add_option("activation", flags.activation,
                  "The name of a built-in, or a .py file")
      ->required()
      ->type_name("NAME|FILE");
  command
      .add_option("--shape", flags.shape,
                  "The size of each dimension of an input, as in 1024,768")
      ->required()
      ->delimiter(',')
      ->type_name("NUMBERS");
  command.add_option("--dtype", flags.dtype, "The type of the elements")
      ->type_name("DTYPE")
      ->capture_default_str();
  command
      .add_option("--axis", flags.axis,
                  "The axis along which rows run, for an activation that reads "
                  "rows")
      ->type_name("NUMBER");
  command
      .add_option("--seconds", flags.seconds, "How long each way is measured")
      ->check(CLI::Range(0.01, 60.0))
      ->capture_default_str();
}

// Commands that take texts.
void AddTextCommands(CLI::App& app, CommandLine& line) {
  AddTextFlags(
      AddCommand(
          app, line, "check",
          "Compile and differentiate a text on this machine, without a server",
          [&line] { return Check(line.text); }),
      line.text);
  AddPrecompileFlags(
      AddCommand(
          app, line, "precompile",
          "Compile programs ahead of time into the cache of a server, or a "
          "pack",
          [&line] { return Precompile(line.precompile); }),
      line.precompile);
  AddTextFlags(AddCommand(app, line, "register",
                          "Register a text with the server and print its id",
                          [&line] { return Register(line.server, line.text); }),
               line.text);
}

// Commands that compute.
void AddEvaluateCommands(CLI::App& app, CommandLine& line) {
  CLI::App& forward =
      AddCommand(app, line, "forward", "Compute y = f(inputs)",
                 [&line] { return Forward(line.server, line.evaluate); });
  AddEvaluateFlags(forward, line.evaluate);
  forward
      .add_option("--tangent", line.evaluate.tangents,
                  "How an input or parameter moves, to compute the tangent of "
                  "y too; repeatable")
      ->type_name("NAME=FILE.npy|NUMBERS")
      ->allow_extra_args(false);
  forward
      .add_option("-o,--output", line.evaluate.outputs,
                  "Where to write y; y=FILE.npy and tangent=FILE.npy with "
                  "--tangent")
      ->type_name("[NAME=]FILE.npy")
      ->allow_extra_args(false);

  CLI::App& backward =
      AddCommand(app, line, "backward",
                 "Compute gradients: dL/d(input) from dL/dy and the inputs",
                 [&line] { return Backward(line.server, line.evaluate); });
  AddEvaluateFlags(backward, line.evaluate);
  backward
      .add_option("--grad_output", line.evaluate.grad_output,
                  "dL/dy: FILE.npy, or numbers separated by commas; default: "
                  "ones")
      ->type_name("FILE.npy|NUMBERS");
  backward
      .add_option("--wrt", line.evaluate.wrt,
                  "Names of inputs and parameters, separated by commas, and "
                  "with --order 2 dL/dy; default: all inputs")
      ->type_name("NAMES")
      ->delimiter(',')
      ->allow_extra_args(false);
  backward
      .add_option("--order", line.evaluate.order,
                  "2: the gradient of the sum of --cotangent times the "
                  "gradients")
      ->type_name("NUMBER")
      ->capture_default_str();
  backward
      .add_option("--cotangent", line.evaluate.cotangents,
                  "With --order 2: what the loss's gradient is with respect to "
                  "the gradient by that input or parameter; repeatable")
      ->type_name("NAME=FILE.npy|NUMBERS")
      ->allow_extra_args(false);
  backward
      .add_option(
          "-o,--output", line.evaluate.outputs,
          "Where to write a gradient; NAME=FILE.npy if there are several")
      ->type_name("[NAME=]FILE.npy")
      ->allow_extra_args(false);
}

// Negative infinities and NaNs look like flags to the parser, which knows only
// negative numbers with digits. A space in front makes them values until
// RestoreNumbers() takes it away.
std::vector<std::string> ShieldNumbers(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& argument : arguments) {
    const std::string first =
        absl::AsciiStrToLower(argument.substr(0, argument.find(',')));
    if (first == "-inf" || first == "-infinity" || first == "-nan") {
      argument.insert(0, " ");
    }
  }
  return arguments;
}

// The parser would take the next argument for the value of `--name=`.
void CheckValues(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    const size_t equals = argument.find('=');
    if (argument.starts_with("--") && equals + 1 == argument.size()) {
      throw CLI::ArgumentMismatch(absl::StrCat(argument, ": no value follows"));
    }
  }
}

void RestoreNumbers(EvaluateFlags& flags) {
  const auto restore = [](std::string& value) {
    if (value.starts_with(" -")) value.erase(0, 1);
  };
  for (std::string& number : flags.numbers) restore(number);
  for (std::string& input : flags.inputs) restore(input);
  restore(flags.grad_output);
}

// Commands that make what an operator of a server needs.
void AddOperatorCommands(CLI::App& app, CommandLine& line) {
  CLI::App& token = *app.add_subcommand("token", "Tokens for a server");
  token.require_subcommand(1);
  CLI::App& made =
      AddCommand(token, line, "new",
                 "Print a random token, and the line with its digest for the "
                 "file of actserved --tokens",
                 [&line] { return NewToken(line.token); });
  made.add_option("--tenant", line.token.tenant, "Whose it is")
      ->required()
      ->type_name("NAME")
      ->check([](const std::string& name) {
        const bool fits = !name.empty() && name.size() <= 256 &&
                          std::ranges::all_of(name, absl::ascii_isgraph) &&
                          name.find_first_of("\"\\") == std::string::npos;
        return std::string(fits ? ""
                                : "a name has 1 to 256 characters of ASCII "
                                  "without spaces and quotes");
      });
  made.add_option("--roles", line.token.roles,
                  "What it may do: compute, register, admin")
      ->type_name("ROLES")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::IsMember({"compute", "register", "admin"}));
  made.add_option("--expires", line.token.expires,
                  "When a server takes it no more, in UTC: "
                  "2030-01-31T00:00:00Z; default: never")
      ->type_name("TIME")
      ->check([](const std::string& time) {
        absl::Time parsed;
        const bool fits =
            time.size() == 20 &&
            absl::ParseTime("%Y-%m-%dT%H:%M:%SZ", time, &parsed, nullptr);
        return std::string(fits ? ""
                                : "not a time such as "
                                  "2030-01-31T00:00:00Z");
      });
}

int Run(int argc, char** argv) {
  CLI::App app(
      "Checks activation functions written as Python text, and computes them "
      "and "
      "their gradients, here or on a server.",
      "actctl");
  app.require_subcommand(1);
  app.fallthrough();
  CommandLine line;
  AddServerFlags(app, line.server);
  AddInspectCommands(app, line);
  AddAdviseCommand(app, line);
  AddTextCommands(app, line);
  AddEvaluateCommands(app, line);
  AddOperatorCommands(app, line);
  try {
    // The parser takes its arguments from the back.
    std::vector<std::string> arguments = ShieldNumbers(argc, argv);
    CheckValues(arguments);
    std::reverse(arguments.begin(), arguments.end());
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  RestoreNumbers(line.evaluate);
  const absl::Status status = line.action();
  if (status.ok()) return 0;
  std::cerr << "actctl: " << absl::StatusCodeToString(status.code()) << ": "
            << status.message() << "\n";
  return 1;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) {
  actserve::SetProcessOptions();
  try {
    return actserve::Run(argc, argv);
  } catch (const std::exception& error) {
    // Exceptions come from the standard library or CLI11; our own errors are
    // statuses.
    std::cerr << "actctl: INTERNAL: " << error.what() << "\n";
    return 1;
  }
}
