#include "kdef/method/ensembles.h"

#include <algorithm>

#include "core/base/names.h"
#include "nn/teaching.h"
#include "ops/reduce.h"

namespace kdef {

Tensor mean_of_students(const Tensor& z) { return ops::mean(z, 1, true); }
Tensor sum_of_students(const Tensor& z) { return ops::sum(z, 1, true); }
Tensor mean_of_probabilities(const Tensor& z) { return nn::logit_of_mean_probability(z); }

std::span<const EnsembleType> ensemble_types() {
  static constexpr EnsembleType kAll[] = {
#define KDEF_ROW(name, objective, combination, meaning) {EnsembleKind::name, #name, objective, combination, meaning},
      KDEF_ENSEMBLES(KDEF_ROW)
#undef KDEF_ROW
  };
  return kAll;
}

const EnsembleType& ensemble_type(EnsembleKind kind) { return ensemble_types()[static_cast<size_t>(kind)]; }

const char* name_of(EnsembleKind kind) { return ensemble_type(kind).name; }

std::string ensembles_where(bool (*chosen)(const EnsembleType& type)) {
  std::vector<std::string> names;
  for (const EnsembleType& type : ensemble_types()) {
    if (chosen(type)) names.emplace_back(type.name);
  }
  return either(names);
}

std::string ensemble_meanings(bool (*chosen)(const EnsembleType& type)) {
  std::vector<EnsembleType> some;
  for (const EnsembleType& type : ensemble_types()) {
    if (chosen(type)) some.push_back(type);
  }
  return meanings(some);
}

std::string refusal_of(EnsembleKind kind, const Task& task) {
  const char* reason = ensemble_type(kind).objective.clicks_only;
  if (reason == nullptr || task.labels == data::LabelKind::click) return "";
  const std::string others = ensembles_where(
      [](const EnsembleType& type) { return type.objective.clicks_only == nullptr && !type.label_loss_alone(); });
  return cat("task ", task.name, " cannot be trained by objective ", name_of(kind), ": ", reason, "; set objective to ",
             others, ", or to none with ensemble ",
             ensembles_where([](const EnsembleType& type) { return type.label_loss_alone(); }),
             " (in a sweep --ensembles)");
}

std::vector<const Objective*> objectives() {
  std::vector<const Objective*> all;
  for (const EnsembleType& type : ensemble_types()) {
    if (std::find(all.begin(), all.end(), &type.objective) == all.end()) all.push_back(&type.objective);
  }
  return all;
}

}  // namespace kdef
