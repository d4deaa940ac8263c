#include "kernels/codegen/llvm/power_of_two.h"

#include <cstdint>

#include "llvm/IR/Constants.h"
#include "llvm/IR/Intrinsics.h"

namespace actserve {

llvm::Value* IsPowerOfTwo(llvm::IRBuilder<>& builder, llvm::Value* x) {
  llvm::Type* const type = x->getType();
  llvm::Type* const word = builder.getIntNTy(type->getScalarSizeInBits());
  const int fraction_bits = type->isDoubleTy() ? 52 : 23;
  llvm::Value* fraction = builder.CreateAnd(
      builder.CreateBitCast(x, word),
      llvm::ConstantInt::get(word, (uint64_t{1} << fraction_bits) - 1));
  llvm::Value* magnitude =
      builder.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
  const auto number = [&](double value) {
    return llvm::ConstantFP::get(type, value);
  };
  return builder.CreateAnd(
      builder.CreateICmpEQ(fraction, llvm::ConstantInt::get(word, 0)),
      builder.CreateAnd(builder.CreateFCmpOGE(magnitude, number(0x1p-100)),
                        builder.CreateFCmpOLE(magnitude, number(0x1p100))));
}

}  // namespace actserve
