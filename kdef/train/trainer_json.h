// A line of metrics.jsonl as a JSON value. Private to the library.
#pragma once

#include "kdef/measure/evaluation_json.h"
#include "kdef/train/trainer.h"

namespace kdef {

/// {"step":..,"epoch":..,"seconds":..,"lr":..,"train_loss":..,"valid":{..}}; `improved` and `stopped` are not kept.
void to_json(Json& json, const TrainingListener::Evaluated& e);
void from_json(const Json& json, TrainingListener::Evaluated& e);

}  // namespace kdef
