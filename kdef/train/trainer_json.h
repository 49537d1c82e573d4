// A line of metrics.jsonl, and one of collapse.jsonl, as JSON values. Private to the library.
#pragma once

#include "kdef/measure/collapse_json.h"
#include "kdef/measure/evaluation_json.h"
#include "kdef/train/trainer.h"

namespace kdef {

/// {"step":..,"epoch":..,"seconds":..,"lr":..,"train_loss":..,"train":{"logloss":..},"valid":{..}}; the other members
/// are not kept. Files of earlier versions have no "train".
void to_json(Json& json, const TrainingListener::Evaluated& e);
void from_json(const Json& json, TrainingListener::Evaluated& e);

/// {"step":..,"epoch":.., and to_json(report)}.
void to_json(Json& json, const CollapseRecord& record);
void from_json(const Json& json, CollapseRecord& record);

}  // namespace kdef
