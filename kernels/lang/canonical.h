#ifndef ACTSERVE_KERNELS_LANG_CANONICAL_H_
#define ACTSERVE_KERNELS_LANG_CANONICAL_H_

#include <string>

#include "kernels/lang/ast.h"

namespace actserve {

// What an activation is, apart from how it is spelled: an s-expression of its
// signature and trees. Locals and arguments are numbers in it, constants their
// float64 bits, helpers the digest of their own form; names of inputs and
// parameters, which requests use, stay. `derivative` is the text given as
// derivative, or nullptr; `exact` is Activation::Options::exact.
//
// Frozen: ids in checkpoints and clients are digests of it. A change that
// alters the form of any module needs a new version word at its start.
//
// Precondition: Parse() returned the modules.
std::string CanonicalForm(const Module& module, const Module* derivative,
                          bool exact);

// "sha256:" and 64 hex digits: the digest of CanonicalForm().
std::string ContentId(const Module& module, const Module* derivative,
                      bool exact);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_LANG_CANONICAL_H_
