#include "kernels/codegen/cuda/testing/cubin_facts.h"

#include <elf.h>

#include <cstring>
#include <vector>

#include "absl/status/status.h"

namespace actserve::testing {
namespace {

constexpr char kTextPrefix[] = ".text.";
constexpr int kInstructionBytes = 16;
// Attributes of .nv.info: a byte for the form, one for the attribute, two for
// the size of what follows. These have a symbol's index and a value.
constexpr uint8_t kSizedValue = 4;
constexpr uint8_t kFrameSize = 0x11;
constexpr uint8_t kRegisterCount = 0x2f;

// Reads structs out of bytes; beyond the end they are all zeros.
class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}

  template <typename T>
  T At(uint64_t offset) const {
    T value = {};
    if (offset <= bytes_.size() && sizeof(T) <= bytes_.size() - offset) {
      std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    }
    return value;
  }

  std::string TextAt(uint64_t offset) const {
    if (offset >= bytes_.size()) return "";
    const size_t end = bytes_.find('\0', offset);
    return end == std::string::npos ? "" : bytes_.substr(offset, end - offset);
  }

 private:
  const std::string& bytes_;
};

class Cubin {
 public:
  explicit Cubin(const std::string& bytes)
      : reader_(bytes), header_(reader_.At<Elf64_Ehdr>(0)) {
    for (uint64_t i = 0; i < header_.e_shnum; ++i) {
      sections_.push_back(
          reader_.At<Elf64_Shdr>(header_.e_shoff + i * sizeof(Elf64_Shdr)));
    }
  }

  bool IsElf() const {
    return std::memcmp(header_.e_ident, ELFMAG, SELFMAG) == 0;
  }

  std::map<std::string, KernelFacts> Facts() const {
    std::map<std::string, KernelFacts> facts;
    for (const Elf64_Shdr& section : sections_) {
      const std::string name = SectionName(section);
      if (name.rfind(kTextPrefix, 0) == 0) {
        facts[name.substr(sizeof(kTextPrefix) - 1)].instructions =
            static_cast<int>(section.sh_size / kInstructionBytes);
      }
    }
    for (const Elf64_Shdr& section : sections_) {
      if (SectionName(section) == ".nv.info") ReadAttributes(section, facts);
    }
    return facts;
  }

 private:
  std::string SectionName(const Elf64_Shdr& section) const {
    if (header_.e_shstrndx >= sections_.size()) return "";
    return reader_.TextAt(sections_[header_.e_shstrndx].sh_offset +
                          section.sh_name);
  }

  std::string SymbolName(uint32_t index) const {
    for (const Elf64_Shdr& section : sections_) {
      if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections_.size())
        continue;
      const auto symbol = reader_.At<Elf64_Sym>(
          section.sh_offset + uint64_t{index} * sizeof(Elf64_Sym));
      return reader_.TextAt(sections_[section.sh_link].sh_offset +
                            symbol.st_name);
    }
    return "";
  }

  void ReadAttributes(const Elf64_Shdr& section,
                      std::map<std::string, KernelFacts>& facts) const {
    uint64_t at = section.sh_offset;
    const uint64_t end = section.sh_offset + section.sh_size;
    while (at + 4 <= end) {
      const auto form = reader_.At<uint8_t>(at);
      const auto attribute = reader_.At<uint8_t>(at + 1);
      const auto size = reader_.At<uint16_t>(at + 2);
      at += 4;
      if (form != kSizedValue) continue;
      const auto symbol = reader_.At<uint32_t>(at);
      const auto value = reader_.At<uint32_t>(at + 4);
      at += size;
      const auto found = facts.find(SymbolName(symbol));
      if (found == facts.end()) continue;
      if (attribute == kRegisterCount) found->second.registers = value;
      if (attribute == kFrameSize) found->second.stack_bytes = value;
    }
  }

  Reader reader_;
  Elf64_Ehdr header_;
  std::vector<Elf64_Shdr> sections_;
};

}  // namespace

absl::StatusOr<std::map<std::string, KernelFacts>> ReadCubin(
    const std::string& bytes) {
  const Cubin cubin(bytes);
  if (!cubin.IsElf()) return absl::InvalidArgumentError("not an ELF file");
  return cubin.Facts();
}

}  // namespace actserve::testing
