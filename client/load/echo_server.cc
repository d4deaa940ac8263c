// The ceiling of transport_benchmark: a server that sends every request of
// Forward back as it came, in the very slices that it received. No server that
// looks at its requests on this gRPC can be faster.
//
// Takes actserved's flags that say where to listen, and ignores the others.

#include <signal.h>

#include <fstream>
#include <iostream>
#include <string>

#include "CLI/CLI.hpp"
#include "actserve/v1/service.grpc.pb.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "kernels/base/process_options.h"

namespace actserve {
namespace {

class EchoService final
    : public v1::ActivationService::WithRawCallbackMethod_Forward<
          v1::ActivationService::Service> {
 public:
  grpc::ServerUnaryReactor* Forward(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    *response = *request;  // a reference to the slices, not a copy
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

int Main(int argc, char** argv) {
  SetProcessOptions();
  std::string listen = "127.0.0.1:0";
  std::string unix_socket;
  std::string port_file;
  CLI::App app("Sends every request of Forward back as it came.");
  app.add_option("--listen", listen,
                 "host:port to listen on; port 0 picks a free port");
  app.add_option("--unix_socket", unix_socket,
                 "Path of a unix socket to listen on as well");
  app.add_option("--port_file", port_file,
                 "File for the address that it listens on");
  app.allow_extras();  // flags of actserved that mean nothing here
  CLI11_PARSE(app, argc, argv);

  // Before any thread of gRPC exists, so that all of them inherit it.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  EchoService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  if (!unix_socket.empty()) {
    builder.AddListeningPort("unix:" + unix_socket,
                             grpc::InsecureServerCredentials());
  }
  builder.SetMaxReceiveMessageSize(-1);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::cerr << "echo_server: cannot listen on " << listen << "\n";
    return 1;
  }
  const std::string address =
      listen.substr(0, listen.rfind(':') + 1) + std::to_string(port);
  if (!port_file.empty()) std::ofstream(port_file) << address << "\n";
  // Logs the same event as actserved, for the process that waits for it.
  std::cerr << R"({"event":"serving","addresses":")" << address << R"("})"
            << std::endl;
  int signal = 0;
  sigwait(&signals, &signal);
  server->Shutdown();
  return 0;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
