// The settings of a data set that its cache depends on.
#pragma once

#include <string>

#include "data/schema.h"

namespace kdef::data {

/// The settings that decide the content of a cache (prepare.h) beside its files, as JSON. Equal texts mean equal
/// settings.
std::string cache_settings(const DatasetConfig& config);

}  // namespace kdef::data
