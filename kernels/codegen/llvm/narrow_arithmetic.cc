#include "kernels/codegen/llvm/narrow_arithmetic.h"

#include <map>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "llvm/ADT/STLExtras.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"

namespace actserve {
namespace {

// In operations per 64 bytes written, a rounding being two. With three (six of
// 256 bits) x - floor(x) still keeps pace with a copy in the second level
// cache and the full clock, on a Sapphire Rapids.
constexpr int kMaxOperationsPerStore = 3;

bool Is512BitFloat(llvm::Type* type) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
  return vector != nullptr && type->isFPOrFPVectorTy() &&
         vector->getPrimitiveSizeInBits() == 512;
}

// The cost of `instruction`: 0 if it is no 512-bit arithmetic, nothing if it is
// of a kind that is not to be halved.
std::optional<int> Operations(const llvm::Instruction& instruction) {
  if (!Is512BitFloat(instruction.getType())) return 0;
  if (const auto* intrinsic =
          llvm::dyn_cast<llvm::IntrinsicInst>(&instruction)) {
    switch (intrinsic->getIntrinsicID()) {
      case llvm::Intrinsic::fabs:
      case llvm::Intrinsic::copysign:
        return 0;
      case llvm::Intrinsic::floor:
      case llvm::Intrinsic::ceil:
      case llvm::Intrinsic::trunc:
      case llvm::Intrinsic::roundeven:
        return 2;
      default:
        return std::nullopt;
    }
  }
  switch (instruction.getOpcode()) {
    case llvm::Instruction::FAdd:
    case llvm::Instruction::FSub:
    case llvm::Instruction::FMul:
      return 1;
    case llvm::Instruction::FNeg:
    case llvm::Instruction::Load:
    case llvm::Instruction::Select:
    case llvm::Instruction::PHI:
    case llvm::Instruction::BitCast:
    case llvm::Instruction::ShuffleVector:
    case llvm::Instruction::InsertElement:
      return 0;
    default:
      return std::nullopt;
  }
}

bool FeedsOnlyArithmetic(const llvm::Instruction& load) {
  return llvm::all_of(load.users(), [](const llvm::User* user) {
    return Operations(*llvm::cast<llvm::Instruction>(user)) > 0;
  });
}

bool Pays(const llvm::BasicBlock& block) {
  int operations = 0;
  int stores = 0;
  for (const llvm::Instruction& instruction : block) {
    const std::optional<int> counted = Operations(instruction);
    if (!counted.has_value()) return false;
    // Otherwise its elements would be loaded twice, in halves and whole.
    if (llvm::isa<llvm::LoadInst>(instruction) &&
        Is512BitFloat(instruction.getType()) &&
        !FeedsOnlyArithmetic(instruction)) {
      return false;
    }
    operations += *counted;
    if (const auto* store = llvm::dyn_cast<llvm::StoreInst>(&instruction)) {
      stores += Is512BitFloat(store->getValueOperand()->getType());
    }
  }
  return operations > 0 && operations <= stores * kMaxOperationsPerStore;
}

// Halves the arithmetic of one block.
class Narrower {
 public:
  explicit Narrower(llvm::BasicBlock& block)
      : block_(block), builder_(block.getContext()) {}

  void Run() {
    std::vector<llvm::Instruction*> wide;
    for (llvm::Instruction& instruction : block_) {
      if (Operations(instruction) > 0) wide.push_back(&instruction);
    }
    for (llvm::Instruction* instruction : wide) Narrow(*instruction);
    // Backwards, as some are operands of later ones.
    for (llvm::Instruction& instruction :
         llvm::make_early_inc_range(llvm::reverse(block_))) {
      if (instruction.use_empty() && Is512BitFloat(instruction.getType()) &&
          !instruction.mayHaveSideEffects()) {
        instruction.eraseFromParent();
      }
    }
  }

 private:
  using Halves = std::pair<llvm::Value*, llvm::Value*>;

  void Narrow(llvm::Instruction& wide) {
    std::vector<Halves> operands;
    const bool is_call = llvm::isa<llvm::CallInst>(wide);
    const unsigned num_operands = is_call ? 1 : wide.getNumOperands();
    operands.reserve(num_operands);
    for (unsigned i = 0; i < num_operands; ++i) {
      operands.push_back(HalvesOf(wide.getOperand(i), wide));
    }
    builder_.SetInsertPoint(&wide);
    const auto half = [&](auto side) -> llvm::Value* {
      llvm::Value* result =
          is_call ? builder_.CreateUnaryIntrinsic(
                        llvm::cast<llvm::IntrinsicInst>(wide).getIntrinsicID(),
                        operands[0].*side)
                  : builder_.CreateBinOp(
                        llvm::cast<llvm::BinaryOperator>(wide).getOpcode(),
                        operands[0].*side, operands[1].*side);
      // The code generator joins equal operations on two halves unless told
      // to keep its hands off.
      return builder_.CreateArithmeticFence(result, result->getType());
    };
    const Halves halves = {half(&Halves::first), half(&Halves::second)};
    std::vector<int> all(
        llvm::cast<llvm::FixedVectorType>(wide.getType())->getNumElements());
    std::iota(all.begin(), all.end(), 0);
    llvm::Value* joined =
        builder_.CreateShuffleVector(halves.first, halves.second, all);
    halves_[joined] = halves;
    wide.replaceAllUsesWith(joined);
  }

  Halves HalvesOf(llvm::Value* value, llvm::Instruction& user) {
    auto [entry, added] = halves_.try_emplace(value);
    if (added) entry->second = Split(value, user);
    return entry->second;
  }

  Halves Split(llvm::Value* value, llvm::Instruction& user) {
    auto* type = llvm::cast<llvm::FixedVectorType>(value->getType());
    builder_.SetInsertPoint(&user);
    std::vector<int> lanes(type->getNumElements() / 2);
    std::iota(lanes.begin(), lanes.end(), 0);
    llvm::Value* first = builder_.CreateShuffleVector(value, lanes);
    for (int& lane : lanes) lane += lanes.size();
    return {first, builder_.CreateShuffleVector(value, lanes)};
  }

  llvm::BasicBlock& block_;
  llvm::IRBuilder<> builder_;
  std::map<llvm::Value*, Halves> halves_;
};

}  // namespace

void NarrowArithmetic(llvm::Function& function) {
  for (llvm::BasicBlock& block : function) {
    if (Pays(block)) Narrower(block).Run();
  }
}

}  // namespace actserve
