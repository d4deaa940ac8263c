#ifndef ACTSERVE_KERNELS_LANG_CANONICAL_H_
#define ACTSERVE_KERNELS_LANG_CANONICAL_H_

#include <string>

#include "kernels/lang/ast.h"

namespace actserve {

// Writes an activation in a form that does not depend on its spelling: an
// s-expression of its signature and trees. Locals and arguments become numbers,
// constants their float64 bits, and helpers the digest of their own form, with
// that of the gradient that the text declares for them.
// Inputs and parameters keep their names, because requests use them.
// `derivative` is the text given as derivative, or nullptr; `exact` is
// Activation::Options::exact.
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
