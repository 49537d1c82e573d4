#include "kdef/study/labels.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "kdef/study/plot.h"

namespace kdef {

std::string ensemble_label(const ExperimentConfig& config) {
  std::string label = name_of(config.model.kind);
  if (config.model.kind == EnsembleKind::kdef) {
    const ObjectiveConfig& o = config.model.objective;
    label = "KDEF";
    if (!o.teach) label += o.peer ? ", DML only" : ", label loss only";
    if (o.teach && !o.peer) label += ", KD only";
    if (o.examination == Examination::detached) label += ", detached weights";
    if (o.examination == Examination::equal) label += ", equal weights";
  }
  if (!config.model.shared_embedding) label += ", own embeddings";
  return label;
}

int ensemble_style(EnsembleKind kind) {
  static constexpr EnsembleKind kByStyle[] = {EnsembleKind::mean,   EnsembleKind::concat, EnsembleKind::kdef,
                                              EnsembleKind::sum,    EnsembleKind::final,  EnsembleKind::self_ensemble,
                                              EnsembleKind::tri_bce};
  static_assert(std::size(kByStyle) <= plot::kColours);
  return static_cast<int>(std::find(std::begin(kByStyle), std::end(kByStyle), kind) - std::begin(kByStyle));
}

int student_style(size_t k) {
  const int kdef = ensemble_style(EnsembleKind::kdef), others = plot::kColours - 1;
  const int style = static_cast<int>(k), place = style % others;
  return style / others * plot::kColours + place + (place >= kdef ? 1 : 0);
}

std::string network_label(const StudentConfig& student) {
  std::string label = student.network;
  for (size_t i = 0; i < student.hidden_units.size(); ++i) label += cat(i == 0 ? " " : "-", student.hidden_units[i]);
  return label;
}

std::string networks_label(const ExperimentConfig& config, bool counted) {
  std::vector<std::pair<std::string, int>> kinds;
  for (const StudentConfig& student : config.model.students) {
    const std::string name = network_label(student);
    const auto known = std::find_if(kinds.begin(), kinds.end(), [&](const auto& kind) { return kind.first == name; });
    if (known == kinds.end())
      kinds.emplace_back(name, 1);
    else
      ++known->second;
  }
  std::string label;
  for (const auto& [name, count] : kinds) {
    label += cat(label.empty() ? "" : ", ", counted && count > 1 ? cat(count, " \u00d7 ") : "", name);
  }
  return label;
}

bool is_one_network(EnsembleKind kind, size_t students) {
  return students == 1 && ensemble_type(kind).label_loss_alone();
}

std::string run_label(const RunRecord& run) {
  const EnsembleConfig& model = run.config.model;
  return cat(is_one_network(model.kind, model.students.size()) ? kOneNetwork : ensemble_label(run.config), ", ",
             networks_label(run.config, true));
}

}  // namespace kdef
