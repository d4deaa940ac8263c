// How a program is told which server to call, and how to prove who calls.

#ifndef ACTSERVE_CLIENT_CLI_SERVER_FLAGS_H_
#define ACTSERVE_CLIENT_CLI_SERVER_FLAGS_H_

#include <string>

#include "CLI/CLI.hpp"
#include "client/cpp/connect/security.h"

namespace actserve {

// Flags of commands that call a server.
struct ServerFlags {
  // What Client::Connect() takes, or "local". Empty: the default server; where
  // none listens, forward and backward compute in this program.
  std::string address;
  double timeout_seconds = 60;
  // TLS and a token, which only a file can give: others can read the arguments
  // of a process.
  Security security;
};

// Adds the flags of `server` to `app`; parsing fills it, which must outlive
// `app`.
void AddServerFlags(CLI::App& app, ServerFlags& server);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CLI_SERVER_FLAGS_H_
