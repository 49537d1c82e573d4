// The official MovieLens-1M files (F. M. Harper, J. A. Konstan: "The MovieLens Datasets", ACM TiiS 5(4), 2015) as
// click data: a rating above 3 is 1, below 3 is 0, and 3 is dropped.
#pragma once

#include <cstdint>
#include <string>

#include "data/schema.h"

namespace kdef::data {

struct MovieLensResult {
  DatasetConfig dataset;  // as dataset_config.yaml has it
  int64_t train_rows = 0, valid_rows = 0, test_rows = 0;
};

/// `source`: ml-1m.zip as GroupLens publishes it, or a folder with ratings.dat, users.dat and movies.dat (also in its
/// subfolder ml-1m). Writes train.csv, valid.csv and test.csv (Label, UserID, Gender, Age, Occupation, MovieID,
/// Release, Genres), dataset_config.yaml and model_config.yaml with the settings of the published runs into `out_dir`.
/// The rows are shuffled by `seed` and split floor(0.8 n), floor(0.1 n), rest. Release is the film's decade, before
/// 1930 as 1920 and from 2000 as 1990. Throws InputError with file and line for files of another form.
MovieLensResult convert_movielens(const std::string& source, const std::string& out_dir, uint64_t seed = 2024,
                                  bool overwrite = false);

/// True if `path` is an archive, or a folder with the files, that convert_movielens() can read.
bool is_movielens(const std::string& path);

}  // namespace kdef::data
