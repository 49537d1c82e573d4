// Tuner files of FuxiCTR: a base experiment and a space of values, whose product is a list of experiments. The names of
// experiments and data sets and their order are those of autotuner.enumerate_params() (FuxiCTR 2.3).
//
//   base_config: ../config/            # folder of the base; default: the tuner file's own
//   base_expid: DCN_default
//   dataset_id: clicks                 # instead of the base's
//   dataset_config: {clicks: {...}}    # instead of the folder's; likewise model_config
//   tuner_space:
//       hidden_units: [[400, 400], [64]]   # a list has one value per experiment: a value that is a list stands in one
//       embedding_dim: 10                  # anything else is one value
//
// The product is over the keys of the base experiment (those of Base, then its own), the last fastest, then over the
// data sets that the keys of the data set give. A hash is MD5 of the sorted characters of the parameters as Python
// writes them in JSON; its first 8 digits stand in the name. Deviations, all where FuxiCTR fails or has no stable
// answer: the names of a run with debug_mode have no random part; several data sets are possible; a model_config inside
// of the file needs no model_id; data_format and debug_mode may be missing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kdef/config/config.h"

namespace kdef {

class TunerFile {
 public:
  /// A key with several values, as Python prints them: "[400, 400]", "0.0001".
  struct Key {
    std::string name;
    std::vector<std::string> values;
  };
  struct Experiment {
    std::string id;              // BASE_EXPID_001_<8 hexadecimal digits>
    std::string dataset_id;      // ID_<8 hexadecimal digits>; ID alone for data that is prepared already
    std::vector<size_t> values;  // the value of each key of keys()
  };

  /// Reads the file. `base_config` and `base_expid` replace those of the file unless they are empty. A relative
  /// base_config starts at the current directory, or else at the tuner file's. Throws InputError with the place for a
  /// file that is no tuner file, for a key of tuner_space that neither the experiment nor the data set has, and for
  /// more experiments than kMaxExperiments. Values are not looked at before load().
  explicit TunerFile(const std::string& path, const std::string& base_config = "", const std::string& base_expid = "");
  ~TunerFile();
  TunerFile(TunerFile&&) noexcept;

  static constexpr size_t kMaxExperiments = 100'000;

  /// The keys that vary, in the order of the product.
  const std::vector<Key>& keys() const;
  /// In the order of the product.
  const std::vector<Experiment>& experiments() const;
  const std::string& base_experiment() const;  // what the experiments' names begin with
  const std::string& dataset() const;          // what the data sets' names begin with
  /// Keys of the file that mean nothing.
  const std::vector<std::string>& ignored() const;

  /// The experiment with place `index` in experiments(). Overrides are those of load_experiment(), except that they
  /// cannot set dataset_id. Throws InputError as load_experiment() does.
  ExperimentConfig load(size_t index, const std::vector<std::string>& overrides = {}) const;

 private:
  struct Content;
  std::unique_ptr<Content> content_;
};

}  // namespace kdef
