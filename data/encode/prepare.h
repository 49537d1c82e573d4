// From raw files to an encoded cache. A cache directory holds
//   kdef_feature_map.json  what a model needs to know of the fields (feature_map.h)
//   vocabulary.kdefvoc     what encodes new rows (encoder.h)
//   train.kdefbin, valid.kdefbin, test.kdefbin   the encoded rows (cache.h)
//   prepared.json          what the cache was made from; it is written last: a folder without it holds no cache
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/encode/cache.h"
#include "data/encode/progress.h"
#include "data/schema.h"

namespace kdef::data {

/// What a cache holds, in numbers.
struct Prepared {
  FeatureMap map;
  int64_t train_rows = 0, valid_rows = 0, test_rows = 0;
  int64_t train_positives = 0, valid_positives = 0, test_positives = 0;  // rows with label 1
  /// Of every field of `map`, how many distinct values the training rows have, in the vocabulary or not; -1 where
  /// nobody counted: numbers, ids, and caches of earlier versions.
  std::vector<int64_t> seen;
  std::vector<std::string> warnings;  // what the raw files were read in a way that their writer may not have meant
  bool made = false;                  // the call of prepare() made the cache; false: the cache was up to date
};

/// An open cache. Its files stay unchanged while this object lives, even if another process replaces the cache.
struct PreparedData {
  Prepared summary;
  std::optional<EncodedFile> train, valid, test;  // empty if the data set has no such rows
  std::string vocabulary;                         // the bytes of vocabulary.kdefvoc

  /// Reads all rows, and checks their checksums and that they fit the feature map. InputError for a damaged file.
  void verify() const;
};

/// Files of a cache directory.
std::string train_file(const std::string& cache_dir);
std::string valid_file(const std::string& cache_dir);
std::string test_file(const std::string& cache_dir);

/// Makes the cache if there is none or it is stale, and writes nothing if it is up to date (if the content of a raw
/// file had to be compared, the cache gets the new state of the file). A raw file may be a pipe, which is read once;
/// then a sequence of the training rows needs a max_len. The training file is read once for counting, and its rows are
/// kept on disk under provisional numbers, which the second pass replaces by ids (a max_len of 0 costs one more pass; a
/// file of ids whose numbers are known, and of numbers without normalizer, is encoded as it is read).
/// Memory holds the distinct values of the training file and some 50 MiB of buffers. The result does not depend on the
/// number of threads. Ids: 0 is padding; then the words by descending count in the training file, equal counts by
/// ascending bytes; the last id is out-of-vocabulary. With a base_vocabulary its ids stay what they are, and those of
/// grown words follow out-of-vocabulary, in the same order. Fields that share an embedding count separately; the words
/// of the later field follow those of the earlier one. One process prepares a cache at a time; the others wait. While
/// they wait, `progress` receives the stage "waiting for process 1234 (kdef), which prepares the same cache" several
/// times a second. In a group of processes all members call it. They divide the files of a folder or a pattern, and
/// leave the cache that one process makes, byte for byte; the first member reads what is one file, and all files where
/// the training rows are split, or have groups that are no input. Of several failures that of the lowest rank is thrown
/// there, and OtherMemberFailed in the others. An exception of `progress` ends the work. The old cache stays until the
/// new one is complete. Throws InputError with file, line and column for bad input, SystemError when disk or
/// permissions fail.
Prepared prepare(const DatasetConfig& config, const std::string& cache_dir, const ProgressListener& progress = {});

/// Does the same, and opens the cache before another process can replace it.
PreparedData prepare_and_open(const DatasetConfig& config, const std::string& cache_dir,
                              const ProgressListener& progress = {});

/// True if this version made the cache from the same settings and the same files. A file is the same if size, inode,
/// and times of modification and change are equal; otherwise the bytes are compared, by a hash that the cache holds. A
/// pipe is never the same.
bool is_fresh(const DatasetConfig& config, const std::string& cache_dir);

/// Whether the folder has FuxiCTR's feature map, or one of its name, and no cache of this program.
bool is_of_another_program(const std::string& dir);

/// What a cache holds. InputError if there is none or it is damaged.
Prepared open_prepared(const std::string& cache_dir);

}  // namespace kdef::data
