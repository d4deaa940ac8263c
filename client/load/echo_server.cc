// The ceiling of transport_benchmark: a server that sends every request of
// Forward back as it came, in the very slices that it received. No server that
// looks at its requests on this gRPC can be faster. With --touch it reads each
// byte once and writes it once, into memory of its own, as a server must that
// computes the cheapest function that there is.
//
// Takes actserved's flags that say where to listen, and ignores the others.

#include <signal.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "actserve/v1/service.grpc.pb.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "kernels/base/process_options.h"

namespace actserve {
namespace {

// Memory that is used again and again, so that no page of it is new.
class Buffers {
 public:
  using Buffer = std::vector<std::byte>;

  std::unique_ptr<Buffer> Get(size_t size_bytes) {
    std::unique_ptr<Buffer> buffer;
    {
      absl::MutexLock lock(&mu_);
      if (!idle_.empty()) {
        buffer = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (buffer == nullptr) buffer = std::make_unique<Buffer>();
    if (buffer->size() < size_bytes) buffer->resize(size_bytes);
    return buffer;
  }
  void Put(std::unique_ptr<Buffer> buffer) {
    absl::MutexLock lock(&mu_);
    idle_.push_back(std::move(buffer));
  }

 private:
  absl::Mutex mu_;
  std::vector<std::unique_ptr<Buffer>> idle_ ABSL_GUARDED_BY(mu_);
};

// Returns a copy of `message` in one slice.
grpc::ByteBuffer Copy(const grpc::ByteBuffer& message) {
  static auto* const buffers = new Buffers;
  std::vector<grpc::Slice> slices;
  (void)message.Dump(&slices);
  std::unique_ptr<Buffers::Buffer> buffer = buffers->Get(message.Length());
  std::byte* to = buffer->data();
  for (const grpc::Slice& slice : slices) {
    std::memcpy(to, slice.begin(), slice.size());
    to += slice.size();
  }
  Buffers::Buffer* const raw = buffer.release();
  const grpc::Slice copy(
      raw->data(), message.Length(),
      [](void* owner) {
        buffers->Put(std::unique_ptr<Buffers::Buffer>(
            static_cast<Buffers::Buffer*>(owner)));
      },
      raw);
  return grpc::ByteBuffer(&copy, 1);
}

class EchoService final
    : public v1::ActivationService::WithRawCallbackMethod_Forward<
          v1::ActivationService::Service> {
 public:
  explicit EchoService(bool touches) : touches_(touches) {}

  grpc::ServerUnaryReactor* Forward(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    // Untouched, it is a reference to the slices.
    *response = touches_ ? Copy(*request) : *request;
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  const bool touches_;
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
  bool touches = false;
  app.add_flag("--touch", touches, "Copy each byte to memory of its own");
  app.allow_extras();  // flags of actserved that mean nothing here
  CLI11_PARSE(app, argc, argv);

  // Before any thread of gRPC exists, so that all of them inherit it.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  EchoService service(touches);
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
