#include "kernels/codegen/llvm/emit.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/codegen/llvm/power_of_two.h"
#include "kernels/graph/draws.h"
#include "kernels/graph/op.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/Function.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/IR/MDBuilder.h"

namespace actserve {
namespace {

// Emits one loop. Lives for one EmitKernel() call.
class Emitter {
 public:
  Emitter(const LoweredProgram& program, KernelVariant variant,
          llvm::Module& module)
      : program_(program),
        graph_(program.graph),
        variant_(variant),
        has_draws_(graph_.HasDraws()),
        has_rows_(program.num_row_inputs > 0),
        module_(module),
        context_(module.getContext()),
        builder_(context_),
        pointer_(builder_.getPtrTy()),
        compute_(program.compute == DType::kFloat64 ? builder_.getDoubleTy()
                                                    : builder_.getFloatTy()) {}

  void Emit(bool prefer_512) {
    llvm::Function* body = EmitBody();
    llvm::Function* kernel = EmitEntry(body);
    if (prefer_512) {
      body->addFnAttr("prefer-vector-width", "512");
      kernel->addFnAttr("prefer-vector-width", "512");
    }
  }

 private:
  int num_inputs() const { return static_cast<int>(graph_.inputs.size()); }

  bool IsOfRow(int input) const {
    return input >= num_inputs() - program_.num_row_inputs;
  }

  // Arguments: inputs, outputs, parameters, draws and the elements of a row if
  // there are any, and the number of elements. With rows it is a loop in a
  // loop.
  llvm::Function* EmitBody() {
    const size_t num_outputs = graph_.outputs.size();
    const size_t parameters_at = num_inputs() + num_outputs;
    const size_t num_pointers =
        parameters_at + 1 + (has_draws_ ? 1 : 0) + (has_rows_ ? 1 : 0);
    std::vector<llvm::Type*> types(num_pointers, pointer_);
    types.push_back(builder_.getInt64Ty());
    llvm::Function* body = llvm::Function::Create(
        llvm::FunctionType::get(builder_.getVoidTy(), types, false),
        llvm::Function::InternalLinkage, "body", module_);
    body->addFnAttr(llvm::Attribute::NoUnwind);
    body->addFnAttr(llvm::Attribute::NoInline);
    for (size_t i = 0; i < num_pointers; ++i) {
      body->addParamAttr(i, llvm::Attribute::NoAlias);
      body->addParamAttr(i, llvm::Attribute::NoCapture);
      const bool is_output =
          i >= static_cast<size_t>(num_inputs()) && i < parameters_at;
      if (!is_output) body->addParamAttr(i, llvm::Attribute::ReadOnly);
      if (is_output && variant_ == KernelVariant::kNonTemporal) {
        body->addParamAttr(
            i, llvm::Attribute::getWithAlignment(context_, llvm::Align(64)));
      }
    }

    auto* entry = llvm::BasicBlock::Create(context_, "entry", body);
    auto* exit = llvm::BasicBlock::Create(context_, "exit", body);
    llvm::Value* num_elements = body->getArg(num_pointers);
    builder_.SetInsertPoint(entry);
    LoadParameters(body->getArg(parameters_at));
    if (has_draws_) LoadDraws(body->getArg(parameters_at + 1));
    std::vector<llvm::Value*> tensors;
    for (size_t i = 0; i < parameters_at; ++i) {
      tensors.push_back(body->getArg(i));
    }
    if (has_rows_) {
      llvm::Value* row_size = body->getArg(num_pointers - 1);
      EmitRowsWithoutDivisions(tensors, row_size, num_elements, exit);
      EmitRows(tensors, row_size, num_elements, exit);
    } else {
      EmitLoop(tensors, std::vector<llvm::Value*>(num_inputs()), num_elements,
               exit);
    }
    builder_.SetInsertPoint(exit);
    builder_.CreateRetVoid();
    return body;
  }

  // The loops of EmitRows() for parameters that are powers of two, as a
  // temperature of 1: they multiply by its reciprocal. What is emitted next
  // runs for other parameters.
  void EmitRowsWithoutDivisions(const std::vector<llvm::Value*>& tensors,
                                llvm::Value* row_size_at,
                                llvm::Value* num_elements,
                                llvm::BasicBlock* exit) {
    const std::vector<bool> live = graph_.LiveNodes();
    llvm::Value* all_are_powers = nullptr;
    reciprocals_.assign(parameters_.size(), nullptr);
    for (size_t id = 0; id < live.size(); ++id) {
      const Node& node = graph_.node(static_cast<NodeId>(id));
      if (!live[id] || node.op != Op::kDiv) continue;
      const Node& divisor = graph_.node(node.operands[1]);
      if (divisor.op != Op::kParameter) continue;
      llvm::Value* parameter = parameters_[divisor.index];
      llvm::Value* is_power = IsPowerOfTwo(builder_, parameter);
      all_are_powers = all_are_powers == nullptr
                           ? is_power
                           : builder_.CreateAnd(all_are_powers, is_power);
      reciprocals_[divisor.index] = builder_.CreateFDiv(Constant(1), parameter);
    }
    if (all_are_powers == nullptr) return;
    llvm::Function* body = exit->getParent();
    auto* multiply = llvm::BasicBlock::Create(context_, "multiply", body);
    auto* divide = llvm::BasicBlock::Create(context_, "divide", body);
    builder_.CreateCondBr(all_are_powers, multiply, divide);
    builder_.SetInsertPoint(multiply);
    EmitRows(tensors, row_size_at, num_elements, exit);
    reciprocals_.clear();
    builder_.SetInsertPoint(divide);
  }

  // A loop over rows of *`row_size` elements, around that over the elements.
  void EmitRows(const std::vector<llvm::Value*>& tensors,
                llvm::Value* row_size_at, llvm::Value* num_elements,
                llvm::BasicBlock* exit) {
    llvm::Type* const word = builder_.getInt64Ty();
    llvm::Function* body = exit->getParent();
    llvm::Value* row_size = builder_.CreateLoad(word, row_size_at);
    llvm::BasicBlock* before = builder_.GetInsertBlock();
    auto* row_loop = llvm::BasicBlock::Create(context_, "row", body);
    auto* row_end = llvm::BasicBlock::Create(context_, "row_end", body);
    builder_.CreateCondBr(
        builder_.CreateICmpSGT(num_elements, builder_.getInt64(0)), row_loop,
        exit);

    builder_.SetInsertPoint(row_loop);
    llvm::PHINode* row = builder_.CreatePHI(word, 2, "row");
    llvm::PHINode* first = builder_.CreatePHI(word, 2, "first");
    row->addIncoming(builder_.getInt64(0), before);
    first->addIncoming(builder_.getInt64(0), before);
    std::vector<llvm::Value*> of_row(num_inputs());
    std::vector<llvm::Value*> from;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const int input = static_cast<int>(i);
      if (input < num_inputs() && IsOfRow(input)) {
        of_row[i] = LoadElement(tensors[i], row, /*in_storage=*/false);
        from.push_back(nullptr);
      } else {
        from.push_back(builder_.CreateGEP(TypeOf(i), tensors[i], first));
      }
    }
    EmitLoop(from, of_row, row_size, row_end);

    builder_.SetInsertPoint(row_end);
    llvm::Value* next_row = builder_.CreateNSWAdd(row, builder_.getInt64(1));
    llvm::Value* next_first = builder_.CreateNSWAdd(first, row_size);
    row->addIncoming(next_row, row_end);
    first->addIncoming(next_first, row_end);
    builder_.CreateCondBr(builder_.CreateICmpSLT(next_first, num_elements),
                          row_loop, exit);
  }

  // The type in memory of an element of a tensor: inputs, then outputs.
  llvm::Type* TypeOf(size_t tensor) {
    const auto num_in_storage =
        static_cast<size_t>(num_inputs() - program_.num_compute_inputs);
    if (tensor < static_cast<size_t>(num_inputs())) {
      return tensor < num_in_storage ? StorageType() : compute_;
    }
    if (program_.rule == LoweredProgram::Rule::kDerivative16) {
      return builder_.getFloatTy();
    }
    return graph_.outputs[tensor - num_inputs()].summed ? compute_
                                                        : StorageType();
  }

  // From here, a loop over elements, and on to `exit`. `of_row` has the inputs
  // that are the same for all.
  void EmitLoop(const std::vector<llvm::Value*>& tensors,
                const std::vector<llvm::Value*>& of_row,
                llvm::Value* num_elements, llvm::BasicBlock* exit) {
    llvm::BasicBlock* before = builder_.GetInsertBlock();
    auto* loop = llvm::BasicBlock::Create(context_, "loop", exit->getParent());
    builder_.CreateCondBr(
        builder_.CreateICmpSGT(num_elements, builder_.getInt64(0)), loop, exit);

    builder_.SetInsertPoint(loop);
    llvm::PHINode* index = builder_.CreatePHI(builder_.getInt64Ty(), 2, "i");
    index->addIncoming(builder_.getInt64(0), before);
    std::vector<llvm::Value*> inputs = of_row;
    for (int i = 0; i < num_inputs(); ++i) {
      if (inputs[i] != nullptr) continue;
      inputs[i] = LoadElement(tensors[i], index,
                              i < num_inputs() - program_.num_compute_inputs);
    }
    if (has_draws_) element_ = builder_.CreateAdd(first_element_, index);
    EmitNodes(inputs);
    for (size_t o = 0; o < graph_.outputs.size(); ++o) {
      StoreOutput(graph_.outputs[o], tensors[num_inputs() + o], index);
    }
    llvm::Value* next =
        builder_.CreateNSWAdd(index, builder_.getInt64(1), "next");
    index->addIncoming(next, loop);
    llvm::BranchInst* back = builder_.CreateCondBr(
        builder_.CreateICmpSLT(next, num_elements), loop, exit);
    back->setMetadata(llvm::LLVMContext::MD_loop, LoopMetadata());
  }

  llvm::Function* EmitEntry(llvm::Function* body) {
    llvm::Function* kernel = llvm::Function::Create(
        llvm::FunctionType::get(
            builder_.getVoidTy(),
            {pointer_, pointer_, pointer_, builder_.getInt64Ty()}, false),
        llvm::Function::ExternalLinkage, kKernelSymbol, module_);
    kernel->addFnAttr(llvm::Attribute::NoUnwind);
    builder_.SetInsertPoint(
        llvm::BasicBlock::Create(context_, "entry", kernel));
    std::vector<llvm::Value*> arguments;
    for (int i = 0; i < num_inputs(); ++i) {
      arguments.push_back(LoadPointer(kernel->getArg(0), i));
    }
    for (size_t o = 0; o < graph_.outputs.size(); ++o) {
      arguments.push_back(LoadPointer(kernel->getArg(1), o));
    }
    arguments.push_back(kernel->getArg(2));
    int input = num_inputs();
    if (has_draws_) {
      arguments.push_back(LoadPointer(kernel->getArg(0), input++));
    }
    if (has_rows_) {
      arguments.push_back(LoadPointer(kernel->getArg(0), input));
    }
    arguments.push_back(kernel->getArg(3));
    builder_.CreateCall(body, arguments);
    builder_.CreateRetVoid();
    return kernel;
  }

  llvm::Value* LoadPointer(llvm::Value* array, int64_t index) {
    return builder_.CreateLoad(
        pointer_, builder_.CreateConstGEP1_64(pointer_, array, index));
  }

  // Vectorise whatever the cost model thinks; interleaving hides the latency
  // of the long dependence chains that polynomials are.
  llvm::MDNode* LoopMetadata() {
    const auto flag = [&](const char* name, llvm::Constant* value) {
      return llvm::MDNode::get(context_,
                               {llvm::MDString::get(context_, name),
                                llvm::ConstantAsMetadata::get(value)});
    };
    llvm::MDNode* loop = llvm::MDNode::getDistinct(
        context_,
        {nullptr, flag("llvm.loop.vectorize.enable", builder_.getTrue()),
         flag("llvm.loop.interleave.count",
              builder_.getInt32(program_.interleave ? 4 : 1))});
    loop->replaceOperandWith(0, loop);
    return loop;
  }

  llvm::Type* StorageType() {
    switch (program_.storage) {
      case DType::kFloat16:
      case DType::kBFloat16:
        return builder_.getInt16Ty();
      case DType::kFloat32:
        return builder_.getFloatTy();
      case DType::kFloat64:
        return builder_.getDoubleTy();
    }
    return nullptr;
  }

  void LoadParameters(llvm::Value* array) {
    for (size_t p = 0; p < graph_.parameters.size(); ++p) {
      parameters_.push_back(builder_.CreateLoad(
          compute_, builder_.CreateConstGEP1_64(compute_, array, p)));
    }
  }

  // Reads what DrawWords() wrote.
  void LoadDraws(llvm::Value* array) {
    llvm::Type* const word = builder_.getInt64Ty();
    const auto load = [&](uint64_t at) {
      return builder_.CreateLoad(word,
                                 builder_.CreateConstGEP1_64(word, array, at));
    };
    first_element_ = load(0);
    seeds_.resize(graph_.parameters.size());
    uint64_t at = 1;
    for (const int32_t seed : SeedParameters(graph_)) seeds_[seed] = load(at++);
  }

  // The element as float32 or float64: 16-bit storage is widened to float32.
  llvm::Value* LoadElement(llvm::Value* base, llvm::Value* index,
                           bool in_storage) {
    llvm::Type* type = in_storage ? StorageType() : compute_;
    llvm::Value* value = builder_.CreateAlignedLoad(
        type, builder_.CreateGEP(type, base, index), llvm::Align(1));
    if (!in_storage || !Is16Bit(program_.storage)) return value;
    // By integer operations: conversions of `half` get narrowed to half
    // arithmetic, which is scalarised where the processor has none.
    return Call(program_.storage == DType::kBFloat16
                    ? "actserve_bf16_bits_to_f32"
                    : "actserve_f16_bits_to_f32",
                builder_.getFloatTy(), {value});
  }

  llvm::Value* Round16(llvm::Value* value) {
    return Call(
        absl::StrCat(
            "actserve_", value->getType()->isDoubleTy() ? "f64" : "f32", "_to_",
            program_.storage == DType::kBFloat16 ? "bf16" : "f16", "_bits"),
        builder_.getInt16Ty(), {value});
  }

  // The factor of a 16-bit gradient; the graph computes it in float64.
  llvm::Value* Derivative16(llvm::Value* value) {
    return Call("actserve_f64_derivative_to_f32", builder_.getFloatTy(),
                {value});
  }

  void StoreOutput(const Output& output, llvm::Value* base,
                   llvm::Value* index) {
    llvm::Value* value = values_[output.node];
    if (program_.rule == LoweredProgram::Rule::kDerivative16) {
      value = Derivative16(value);
    } else if (output.summed) {
      // Contributions keep the compute type.
    } else if (Is16Bit(program_.storage)) {
      value = Round16(value);
    } else {
      value = Convert(value, StorageType());
    }
    // The kernel is defined for aligned outputs under kNonTemporal only.
    builder_.CreateAlignedStore(
        value, builder_.CreateGEP(value->getType(), base, index),
        llvm::Align(1));
  }

  llvm::Value* Convert(llvm::Value* value, llvm::Type* type) {
    return builder_.CreateFPCast(value, type);
  }

  llvm::Value* Call(const std::string& name, llvm::Type* result,
                    const std::vector<llvm::Value*>& arguments) {
    std::vector<llvm::Type*> types;
    for (llvm::Value* argument : arguments) {
      types.push_back(argument->getType());
    }
    return builder_.CreateCall(
        module_.getOrInsertFunction(
            name, llvm::FunctionType::get(result, types, false)),
        arguments);
  }

  void EmitNodes(const std::vector<llvm::Value*>& inputs) {
    const std::vector<bool> live = graph_.LiveNodes();
    values_.assign(graph_.nodes().size(), nullptr);
    for (size_t id = 0; id < values_.size(); ++id) {
      if (!live[id]) continue;
      const Node& node = graph_.node(id);
      switch (node.op) {
        case Op::kInput:
          values_[id] = Convert(inputs[node.index], compute_);
          break;
        case Op::kParameter:
          values_[id] = parameters_[node.index];
          break;
        case Op::kUniform:
        case Op::kNormal:
          values_[id] = EmitDraw(node);
          break;
        default:
          values_[id] = EmitOp(node);
      }
    }
  }

  llvm::Value* EmitDraw(const Node& node) {
    const Node& seed = graph_.node(node.operands[0]);
    const double stream = graph_.node(node.operands[1]).constant;
    return CallMath(
        node.op, {seed.op == Op::kParameter
                      ? seeds_[seed.index]
                      : builder_.getInt64(static_cast<uint64_t>(seed.constant)),
                  builder_.getInt32(static_cast<uint32_t>(stream)), element_});
  }

  llvm::Value* Operand(const Node& node, int i) {
    return values_[node.operands[i]];
  }

  llvm::Value* EmitOp(const Node& node) {
    llvm::IRBuilder<>& b = builder_;
    llvm::Value* x = node.operands[0] == kNoNode ? nullptr : Operand(node, 0);
    llvm::Value* y = node.operands[1] == kNoNode ? nullptr : Operand(node, 1);
    llvm::Value* z = node.operands[2] == kNoNode ? nullptr : Operand(node, 2);
    switch (node.op) {
      case Op::kConstant:
        return Constant(node.constant);
      case Op::kBool:
        return b.getInt1(node.constant != 0);
      case Op::kAdd:
        return b.CreateFAdd(x, y);
      case Op::kSub:
        return b.CreateFSub(x, y);
      case Op::kMul:
        return b.CreateFMul(x, y);
      case Op::kDiv:
        if (llvm::Value* reciprocal = ReciprocalOf(node.operands[1])) {
          return b.CreateFMul(x, reciprocal);
        }
        return b.CreateFDiv(x, y);
      case Op::kNeg:
        return b.CreateFNeg(x);
      case Op::kAbs:
        return b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
      case Op::kFloor:
        return b.CreateUnaryIntrinsic(llvm::Intrinsic::floor, x);
      case Op::kCeil:
        return b.CreateUnaryIntrinsic(llvm::Intrinsic::ceil, x);
      case Op::kRound:
        return b.CreateUnaryIntrinsic(llvm::Intrinsic::roundeven, x);
      case Op::kTrunc:
        return b.CreateUnaryIntrinsic(llvm::Intrinsic::trunc, x);
      case Op::kSqrt:
        return b.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x);
      case Op::kSign:
        return b.CreateSelect(
            b.CreateFCmpOGT(x, Constant(0)), Constant(1),
            b.CreateSelect(b.CreateFCmpOLT(x, Constant(0)), Constant(-1), x));
      case Op::kMin:
        return b.CreateSelect(
            b.CreateOr(b.CreateFCmpOLT(x, y), b.CreateFCmpUNO(x, x)), x, y);
      case Op::kMax:
        return b.CreateSelect(
            b.CreateOr(b.CreateFCmpOLT(y, x), b.CreateFCmpUNO(x, x)), x, y);
      case Op::kLess:
        return b.CreateFCmpOLT(x, y);
      case Op::kLessEqual:
        return b.CreateFCmpOLE(x, y);
      case Op::kEqual:
        return b.CreateFCmpOEQ(x, y);
      case Op::kNotEqual:
        return b.CreateFCmpUNE(x, y);
      case Op::kAnd:
        return b.CreateAnd(x, y);
      case Op::kOr:
        return b.CreateOr(x, y);
      case Op::kNot:
        return b.CreateNot(x);
      case Op::kSelect:
        return b.CreateSelect(x, y, z);
      default:
        break;
    }
    std::vector<llvm::Value*> arguments = {x};
    if (Info(node.op).arity == 2) arguments.push_back(y);
    return CallMath(node.op, arguments);
  }

  // What to multiply with instead of dividing by `divisor`, or nullptr.
  llvm::Value* ReciprocalOf(NodeId divisor) const {
    const Node& node = graph_.node(divisor);
    return node.op == Op::kParameter && !reciprocals_.empty()
               ? reciprocals_[node.index]
               : nullptr;
  }

  // The function of kernels/math for `op`.
  llvm::Value* CallMath(Op op, const std::vector<llvm::Value*>& arguments) {
    return Call(absl::StrCat("actserve_", std::string(Info(op).name),
                             compute_->isDoubleTy() ? "_f64" : "_f32"),
                compute_, arguments);
  }

  // Rounded once to the compute type, as the interpreter does.
  llvm::Constant* Constant(double value) {
    return compute_->isDoubleTy()
               ? llvm::ConstantFP::get(context_, llvm::APFloat(value))
               : llvm::ConstantFP::get(
                     context_, llvm::APFloat(static_cast<float>(value)));
  }

  const LoweredProgram& program_;
  const Graph& graph_;
  const KernelVariant variant_;
  const bool has_draws_;
  const bool has_rows_;
  llvm::Module& module_;
  llvm::LLVMContext& context_;
  llvm::IRBuilder<> builder_;
  llvm::Type* const pointer_;
  llvm::Type* const compute_;
  std::vector<llvm::Value*> parameters_;
  std::vector<llvm::Value*> values_;  // by NodeId
  // By parameter, while the loops are emitted that multiply by them.
  std::vector<llvm::Value*> reciprocals_;
  // Of a graph with draws: the places of the first and of this element, and the
  // seeds, by parameter.
  llvm::Value* first_element_ = nullptr;
  llvm::Value* element_ = nullptr;
  std::vector<llvm::Value*> seeds_;
};

}  // namespace

void EmitKernel(const LoweredProgram& program, KernelVariant variant,
                bool prefer_512, llvm::Module& module) {
  Emitter(program, variant, module).Emit(prefer_512);
}

}  // namespace actserve
