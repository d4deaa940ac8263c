#include "kernels/codegen/llvm/kernel_compiler.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/base/sha256.h"
#include "kernels/base/status_macros.h"
#include "kernels/codegen/llvm/emit.h"
#include "kernels/codegen/llvm/math_bitcode.h"
#include "kernels/codegen/llvm/narrow_arithmetic.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/PassInstrumentation.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Linker/Linker.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

// The targets that we use; llvm/Support/TargetSelect.h wants all that were
// built.
extern "C" {
void LLVMInitializeX86TargetInfo();
void LLVMInitializeX86Target();
void LLVMInitializeX86TargetMC();
void LLVMInitializeX86AsmPrinter();
}

namespace actserve {
namespace {

absl::Status InternalError(const char* what, llvm::Error error) {
  return absl::InternalError(
      absl::StrCat(what, ": ", llvm::toString(std::move(error))));
}

void InitializeTarget() {
  static const bool done = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    return true;
  }();
  (void)done;
}

// Brings in the functions of the shared math that `module` calls, and theirs,
// so that they are inlined and nothing of them is left.
absl::Status LinkMath(llvm::Module& module) {
  auto math = llvm::getLazyBitcodeModule(
      llvm::MemoryBufferRef(
          llvm::StringRef(MathBitcode().data(), MathBitcode().size()), "math"),
      module.getContext());
  if (!math) return InternalError("reading the math bitcode", math.takeError());
  (*math)->setDataLayout(module.getDataLayout());
  (*math)->setTargetTriple(module.getTargetTriple());
  if (llvm::Linker::linkModules(module, std::move(*math),
                                llvm::Linker::LinkOnlyNeeded)) {
    return absl::InternalError("linking the math bitcode failed");
  }
  for (llvm::Function& function : module) {
    if (function.isIntrinsic() || function.getName() == kKernelSymbol ||
        function.getName() == "body") {
      continue;
    }
    if (function.isDeclaration()) {
      return absl::InternalError(absl::StrCat("kernels/math does not define ",
                                              function.getName().str()));
    }
    // The generic x86-64 that the bitcode was compiled for would forbid
    // inlining into a function for this processor.
    for (const char* attribute :
         {"target-cpu", "target-features", "tune-cpu", "min-legal-vector-width",
          "frame-pointer", "stack-protector-buffer-size"}) {
      function.removeFnAttr(attribute);
    }
    function.removeFnAttr(llvm::Attribute::NoInline);
    function.addFnAttr(llvm::Attribute::AlwaysInline);
    function.setLinkage(llvm::Function::InternalLinkage);
  }
  return absl::OkStatus();
}

// Without a handler LLVM prints what it has to say and, at an error, ends the
// process. Remarks and warnings (a loop that is not vectorized) are of no use
// here.
void KeepError(const llvm::DiagnosticInfo* info, void* error) {
  if (info->getSeverity() != llvm::DS_Error) return;
  llvm::raw_string_ostream stream(*static_cast<std::string*>(error));
  llvm::DiagnosticPrinterRawOStream printer(stream);
  info->print(printer);
}

// Passes a StopToken on to LLVM, which asks before each of its passes: a few
// thousand times for a large program, most of them a microsecond apart.
class StopGate {
 public:
  explicit StopGate(const StopToken& stop) : stop_(stop) {}

  // False once the work is not wanted.
  bool MayGoOn() {
    if (!status_.ok()) return false;
    const absl::Time now = absl::Now();
    if (now < next_check_) return true;
    next_check_ = now + kInterval;
    status_ = stop_.Check();
    return status_.ok();
  }
  const absl::Status& status() const { return status_; }

 private:
  static constexpr absl::Duration kInterval = absl::Milliseconds(2);

  const StopToken& stop_;
  absl::Time next_check_ = absl::InfinitePast();
  absl::Status status_;
};

// Once the gate closes, skips the passes that are left, and the module is good
// for nothing.
void Optimize(llvm::Module& module, llvm::TargetMachine& target,
              StopGate& gate) {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = true;
  tuning.LoopInterleaving = true;
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager call_graph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassInstrumentationCallbacks callbacks;
  callbacks.registerShouldRunOptionalPassCallback(
      [&gate](llvm::StringRef, const llvm::Any&) { return gate.MayGoOn(); });
  // Without the target machine there is no cost model and no vector.
  llvm::PassBuilder passes(&target, tuning, std::nullopt, &callbacks);
  passes.registerModuleAnalyses(modules);
  passes.registerCGSCCAnalyses(call_graph);
  passes.registerFunctionAnalyses(functions);
  passes.registerLoopAnalyses(loops);
  passes.crossRegisterProxies(loops, functions, call_graph, modules);
  passes.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2)
      .run(module, modules);
}

// How far ahead of the loop the caches are told of what comes. Measured with
// relu in float32 on a Sapphire Rapids, G elements/s: 11.7 -> 12.5 at 128 KiB
// and 8.1 -> 8.9 at 1 MiB for writes, 1.85 -> 2.4 at 256 MiB past the caches
// for reads; memcpy has 12.4, 8.5 and 2.3.
constexpr int64_t kWriteAheadBytes = 1024;
constexpr int64_t kReadAheadBytes = 4096;

// Hints to the memory system about vector loads and stores. It comes after the
// pipeline, for on the scalar loop it would prevent vectorization.
//
// Plain: the output's lines are fetched for writing before they are written.
// Non-temporal: stores are marked (each address is the 64-byte aligned output
// plus a multiple of the store's size), and inputs are fetched into the second
// level cache, as there are no writes to keep the fetching units busy.
void TuneMemoryAccess(llvm::Module& module, bool non_temporal) {
  llvm::LLVMContext& context = module.getContext();
  llvm::IRBuilder<> builder(context);
  llvm::MDNode* mark = llvm::MDNode::get(
      context, llvm::ConstantAsMetadata::get(builder.getInt32(1)));
  const auto prefetch = [&](llvm::Instruction& before, llvm::Value* address,
                            int64_t ahead_bytes, bool write, int locality) {
    builder.SetInsertPoint(&before);
    builder.CreateIntrinsic(
        llvm::Intrinsic::prefetch, {address->getType()},
        {builder.CreateConstGEP1_64(builder.getInt8Ty(), address, ahead_bytes),
         builder.getInt32(write), builder.getInt32(locality),
         builder.getInt32(1)});
  };
  const auto vector_bytes = [&](llvm::Type* type) -> uint64_t {
    return type->isVectorTy()
               ? module.getDataLayout().getTypeStoreSize(type).getFixedValue()
               : 0;
  };
  for (llvm::BasicBlock& block : *module.getFunction("body")) {
    for (llvm::Instruction& instruction : block) {
      if (auto* load = llvm::dyn_cast<llvm::LoadInst>(&instruction)) {
        if (non_temporal && vector_bytes(load->getType()) >= 32) {
          prefetch(*load, load->getPointerOperand(), kReadAheadBytes, false, 2);
        }
      } else if (auto* store = llvm::dyn_cast<llvm::StoreInst>(&instruction)) {
        const uint64_t size = vector_bytes(store->getValueOperand()->getType());
        if (non_temporal && (size == 16 || size == 32 || size == 64)) {
          store->setAlignment(llvm::Align(size));
          store->setMetadata(llvm::LLVMContext::MD_nontemporal, mark);
        } else if (!non_temporal && size >= 32) {
          prefetch(*store, store->getPointerOperand(), kWriteAheadBytes, true,
                   3);
        }
      }
    }
  }
}

}  // namespace

struct KernelCompiler::State {
  llvm::orc::JITTargetMachineBuilder builder;
  std::string cpu;
  std::string fingerprint;
  bool has_avx512 = false;
  // By LLVM's own table: 512-bit arithmetic lowers the clock.
  bool slowed_by_512_bits = false;

  // A context, target machine and optimized module for one compilation.
  struct Work {
    // The compiler's reports while it works; "" if none.
    std::unique_ptr<std::string> error = std::make_unique<std::string>();
    std::unique_ptr<llvm::LLVMContext> context;
    std::unique_ptr<llvm::TargetMachine> target;
    std::unique_ptr<llvm::Module> module;
  };

  absl::StatusOr<std::unique_ptr<llvm::TargetMachine>> CreateTarget() const {
    auto target =
        llvm::orc::JITTargetMachineBuilder(builder).createTargetMachine();
    if (!target) return InternalError("target machine", target.takeError());
    return std::move(*target);
  }

  absl::StatusOr<Work> Build(const LoweredProgram& program,
                             KernelVariant variant,
                             const StopToken& stop) const {
    ACTSERVE_RETURN_IF_ERROR(stop.Check());
    Work work;
    ACTSERVE_ASSIGN_OR_RETURN(work.target, CreateTarget());
    work.context = std::make_unique<llvm::LLVMContext>();
    work.context->setDiscardValueNames(true);
    work.context->setDiagnosticHandlerCallBack(&KeepError, work.error.get());
    work.module = std::make_unique<llvm::Module>("kernel", *work.context);
    work.module->setDataLayout(work.target->createDataLayout());
    work.module->setTargetTriple(work.target->getTargetTriple().str());

    EmitKernel(program, variant, has_avx512, *work.module);
    ACTSERVE_RETURN_IF_ERROR(LinkMath(*work.module));
    std::string problem;
    llvm::raw_string_ostream stream(problem);
    if (llvm::verifyModule(*work.module, &stream)) {
      return absl::InternalError(absl::StrCat("generated IR: ", problem));
    }
    StopGate gate(stop);
    Optimize(*work.module, *work.target, gate);
    ACTSERVE_RETURN_IF_ERROR(gate.status());
    if (variant == KernelVariant::kPlain && slowed_by_512_bits) {
      NarrowArithmetic(*work.module->getFunction("body"));
    }
    TuneMemoryAccess(*work.module, variant == KernelVariant::kNonTemporal);
    if (!work.error->empty()) {
      return absl::InternalError(absl::StrCat("optimizing: ", *work.error));
    }
    return work;
  }
};

KernelCompiler::KernelCompiler(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

KernelCompiler::~KernelCompiler() = default;

absl::StatusOr<std::unique_ptr<KernelCompiler>> KernelCompiler::Create(
    const Options& options) {
  InitializeTarget();
  auto host = llvm::orc::JITTargetMachineBuilder::detectHost();
  if (!host) return InternalError("detecting the host", host.takeError());
  if (!options.cpu.empty()) {
    host->setCPU(options.cpu);
    host->getFeatures() = llvm::SubtargetFeatures();
  }
  host->setCodeGenOptLevel(llvm::CodeGenOptLevel::Default);
  host->setCodeModel(llvm::CodeModel::Small);
  host->setRelocationModel(llvm::Reloc::PIC_);
  // The numbers are defined operation by operation.
  host->getOptions().AllowFPOpFusion = llvm::FPOpFusion::Strict;

  auto state = std::make_unique<State>(State{std::move(*host), "", "", false});
  ACTSERVE_ASSIGN_OR_RETURN(std::unique_ptr<llvm::TargetMachine> target,
                            state->CreateTarget());
  const llvm::MCSubtargetInfo& subtarget = *target->getMCSubtargetInfo();
  state->cpu = target->getTargetCPU().str();
  if (!subtarget.checkFeatures("+fma")) {
    return absl::FailedPreconditionError(absl::StrCat(
        "processor ", state->cpu,
        ": no fused multiply-add (FMA3), which the shared math needs"));
  }
  state->has_avx512 = subtarget.checkFeatures("+avx512f") &&
                      subtarget.checkFeatures("+avx512vl") &&
                      subtarget.checkFeatures("+avx512bw") &&
                      subtarget.checkFeatures("+avx512dq");
  state->slowed_by_512_bits =
      state->has_avx512 && subtarget.checkFeatures("+prefer-256-bit");
  state->fingerprint =
      absl::StrCat(state->cpu, ";", target->getTargetFeatureString().str(), ";",
                   LLVM_VERSION_STRING, ";", Sha256Hex(MathBitcode()), ";",
                   ACTSERVE_CODEGEN_DIGEST);
  return std::unique_ptr<KernelCompiler>(new KernelCompiler(std::move(state)));
}

absl::StatusOr<std::string> KernelCompiler::Compile(
    const LoweredProgram& program, KernelVariant variant,
    const StopToken& stop) const {
  ACTSERVE_ASSIGN_OR_RETURN(State::Work work,
                            state_->Build(program, variant, stop));
  ACTSERVE_RETURN_IF_ERROR(stop.Check());

  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager passes;
  if (work.target->addPassesToEmitFile(passes, stream, nullptr,
                                       llvm::CodeGenFileType::ObjectFile)) {
    return absl::InternalError("the target cannot emit object files");
  }
  passes.run(*work.module);
  if (!work.error->empty()) {
    return absl::InternalError(absl::StrCat("generating: ", *work.error));
  }
  return std::string(object.data(), object.size());
}

absl::StatusOr<std::string> KernelCompiler::Print(const LoweredProgram& program,
                                                  KernelVariant variant) const {
  ACTSERVE_ASSIGN_OR_RETURN(State::Work work,
                            state_->Build(program, variant, StopToken()));

  std::string text;
  llvm::raw_string_ostream stream(text);
  work.module->print(stream, nullptr);
  return text;
}

const std::string& KernelCompiler::fingerprint() const {
  return state_->fingerprint;
}
const std::string& KernelCompiler::cpu() const { return state_->cpu; }
bool KernelCompiler::has_avx512() const { return state_->has_avx512; }

}  // namespace actserve
