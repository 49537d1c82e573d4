#include "ops/check/kinds.h"

#include <map>

#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/fused/distinct.h"
#include "ops/fused/field_attention.h"
#include "ops/fused/hidden_linear.h"
#include "ops/fused/outer_linear.h"
#include "ops/fused/stacked.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/loss.h"
#include "ops/norm.h"
#include "ops/pad.h"
#include "ops/pairs.h"
#include "ops/reduce.h"
#include "ops/softmax.h"

namespace kdef::ops {
namespace {

constexpr const char *kProduct = "GEMM", *kEmbedding = "embedding", *kNorm = "normalisation and activation",
                     *kElementwise = "elementwise", *kReduction = "reductions", *kLayout = "layout",
                     *kObjective = "objective";

std::map<std::string, const char*> all_kinds() {
  std::map<std::string, const char*> kinds;
#define KDEF_KIND(function, Functor, ...) kinds[k##Functor##Info.name] = kElementwise;
  KDEF_UNARY_OPS(KDEF_KIND)
  KDEF_SCALAR_OPS(KDEF_KIND)
  KDEF_BINARY_OPS(KDEF_KIND)
#undef KDEF_KIND
  const auto add = [&](const char* kind, std::initializer_list<const OpInfo*> ops) {
    for (const OpInfo* op : ops) kinds[op->name] = kind;
  };
  add(kProduct, {&kLinearInfo, &kMatmulInfo, &kStackedLinearInfo});
  add("hidden layers and products", {&kHiddenLinearInfo, &kStackedOutputInfo});
  add("first layer by distinct ids", {&kDistinctLinearInfo});
  add("products of pairs of fields", {&kOuterLinearInfo});
  add("attention of fields", {&kFieldAttentionInfo});
  add(kEmbedding, {&kEmbeddingInfo, &kEmbedFieldsInfo, &kEmbedDistinctInfo, &kPoolInfo});
  // Elementwise ops that networks use as activations are counted together with normalisation.
  add(kNorm, {&kBatchNormInfo, &kBatchNormEvalInfo, &kBatchNormReluDropoutInfo, &kStackedBatchNormReluDropoutInfo,
              &kLayerNormInfo, &kDropoutInfo, &kReluInfo, &kSigmoidInfo, &kTanhInfo, &kSiluInfo, &kGeluInfo,
              &kLeakyReluInfo, &kSoftmaxInfo, &kSoftminInfo});
  add(kReduction, {&kSumInfo, &kMeanInfo, &kMaxInfo, &kKMaxInfo});
  add(kLayout, {&kReshapeInfo, &kTransposeInfo, &kConcatInfo, &kSliceInfo, &kPadInfo, &kUpperTriangleInfo});
  add(kObjective, {&kBceInfo, &kBceWithLogitsInfo, &kMseInfo});
  return kinds;
}

}  // namespace

const char* kind_of(const std::string& op) {
  static const std::map<std::string, const char*> kinds = all_kinds();
  const auto found = kinds.find(op);
  return found == kinds.end() ? nullptr : found->second;
}

}  // namespace kdef::ops
