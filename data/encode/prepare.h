// From raw files to an encoded cache. A cache directory holds
//   feature_map.json       what a model needs to know of the fields (feature_map.h)
//   vocabulary.kdefvoc     what encodes new rows (encoder.h)
//   train.kdefbin, valid.kdefbin, test.kdefbin   the encoded rows (cache.h)
//   prepared.json          what it was made from; written last, so that a cache without it is no cache
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "data/schema.h"

namespace kdef::data {

struct Prepared {
  FeatureMap map;
  int64_t train_rows = 0, valid_rows = 0, test_rows = 0;
  int64_t train_positives = 0, valid_positives = 0, test_positives = 0;  // rows with label 1
};

struct Progress {
  std::string stage;    // what is being done, as "reading train.csv"
  int64_t rows = 0;     // done in this stage
  double fraction = 0;  // of this stage, in [0, 1]
};

/// Files of a cache directory.
std::string train_file(const std::string& cache_dir);
std::string valid_file(const std::string& cache_dir);
std::string test_file(const std::string& cache_dir);

/// Makes the cache, unless a fresh one is there. The training file is read once for counting, its rows kept on disk
/// under provisional numbers that the second pass replaces by ids (a max_len of 0 costs a pass more); memory holds the
/// distinct values of the training file and some 50 MiB of buffers. The result does not depend on the number of
/// threads. Ids: 0 padding; words by descending count in the training file, then ascending bytes; last
/// out-of-vocabulary. Fields that share an embedding count separately; the words of the later follow those of the
/// earlier. Other processes wait for each other. `progress` may throw to cancel. Until all is written the old cache
/// stays. Throws InputError with file, line and column for bad input, SystemError when disk or permissions fail.
Prepared prepare(const DatasetConfig& config, const std::string& cache_dir,
                 const std::function<void(const Progress&)>& progress = {});

/// True if the cache was made by this version from the same settings and the same files (size and time of change).
bool is_fresh(const DatasetConfig& config, const std::string& cache_dir);

/// What a cache holds. InputError if there is none or it is damaged.
Prepared open_prepared(const std::string& cache_dir);

}  // namespace kdef::data
