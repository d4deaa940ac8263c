#include "kernels/device/cpu/compile/object_loader.h"

#include <atomic>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"
#include "llvm/ExecutionEngine/JITLink/JITLinkMemoryManager.h"
#include "llvm/ExecutionEngine/Orc/Core.h"
#include "llvm/ExecutionEngine/Orc/ExecutorProcessControl.h"
#include "llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h"
#include "llvm/Support/MemoryBuffer.h"

namespace actserve {
namespace {

absl::Status InternalError(const char* what, llvm::Error error) {
  return absl::InternalError(
      absl::StrCat(what, ": ", llvm::toString(std::move(error))));
}

}  // namespace

// ORC's linking layer without LLJIT around it: IR is compiled elsewhere, and
// kernels need no platform, no initializers and no symbols of the process.
class ObjectLoader::Session {
 public:
  static absl::StatusOr<std::shared_ptr<Session>> Create() {
    auto process = llvm::orc::SelfExecutorProcessControl::Create();
    if (!process) return InternalError("ORC", process.takeError());
    return std::make_shared<Session>(std::move(*process));
  }

  explicit Session(std::unique_ptr<llvm::orc::ExecutorProcessControl> process)
      : session_(std::move(process)), linker_(session_) {
    // Errors are returned by the lookup; nothing is printed.
    session_.setErrorReporter(
        [](llvm::Error error) { llvm::consumeError(std::move(error)); });
  }

  ~Session() { llvm::consumeError(session_.endSession()); }

  // A library of its own for each object, so that it can be unloaded.
  absl::StatusOr<llvm::orc::JITDylib*> Add(const std::string& object) {
    llvm::orc::JITDylib& library =
        session_.createBareJITDylib(absl::StrCat("kernel", next_++));
    llvm::orc::SymbolMap symbols;
    const auto define = [&](const char* name, auto* function) {
      symbols[session_.intern(name)] = {
          llvm::orc::ExecutorAddr::fromPtr(function),
          llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
    };
    define("memcpy", &std::memcpy);
    define("memmove", &std::memmove);
    define("memset", &std::memset);
    llvm::Error error =
        library.define(llvm::orc::absoluteSymbols(std::move(symbols)));
    if (!error) {
      error = linker_.add(library, llvm::MemoryBuffer::getMemBufferCopy(
                                       llvm::StringRef(object), "kernel"));
    }
    if (error) {
      Remove(library);
      return InternalError("loading an object", std::move(error));
    }
    return &library;
  }

  absl::StatusOr<KernelFunction> Find(llvm::orc::JITDylib& library) {
    auto symbol = session_.lookup({&library}, session_.intern(kKernelSymbol));
    if (!symbol) return InternalError("linking an object", symbol.takeError());
    return symbol->getAddress().toPtr<KernelFunction>();
  }

  void Remove(llvm::orc::JITDylib& library) {
    llvm::consumeError(session_.removeJITDylib(library));
  }

 private:
  std::atomic<int64_t> next_ = 0;
  llvm::orc::ExecutionSession session_;
  llvm::orc::ObjectLinkingLayer linker_;
};

class ObjectLoader::Kernel : public LoadedKernel {
 public:
  Kernel(std::shared_ptr<Session> session, llvm::orc::JITDylib& library)
      : session_(std::move(session)), library_(library) {}
  ~Kernel() override { session_->Remove(library_); }

  absl::Status Resolve() {
    ACTSERVE_ASSIGN_OR_RETURN(function_, session_->Find(library_));
    return absl::OkStatus();
  }

 private:
  const std::shared_ptr<Session> session_;
  llvm::orc::JITDylib& library_;
};

ObjectLoader::ObjectLoader(std::shared_ptr<Session> session)
    : session_(std::move(session)) {}

ObjectLoader::~ObjectLoader() = default;

absl::StatusOr<std::unique_ptr<ObjectLoader>> ObjectLoader::Create() {
  ACTSERVE_ASSIGN_OR_RETURN(std::shared_ptr<Session> session,
                            Session::Create());
  return std::unique_ptr<ObjectLoader>(new ObjectLoader(std::move(session)));
}

absl::StatusOr<std::unique_ptr<LoadedKernel>> ObjectLoader::Load(
    const std::string& object) {
  ACTSERVE_ASSIGN_OR_RETURN(auto library, session_->Add(object));
  auto kernel = std::make_unique<Kernel>(session_, *library);
  ACTSERVE_RETURN_IF_ERROR(kernel->Resolve());
  return kernel;
}

}  // namespace actserve
