// Rows of HDF5 files (.h5), as h5py writes them: a dataset of the root group per column. Tables of pretrained vectors
// are published so. Datasets of numbers and texts are read, [rows] or [rows, columns], each in one piece and not
// compressed, which are h5py's defaults. Groups and soft links are left out. Texts of any length are held in memory,
// which the size of the file bounds. Format: "HDF5 File Format Specification", version 3: superblocks 0 and 1, object
// headers of versions 1 and 2.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/raw/array_source.h"

namespace kdef::data {

class H5Reader : public ArraySource {
 public:
  /// Throws InputError for a file that is damaged, or of a form that h5py does not write by default.
  explicit H5Reader(const std::string& path);
  /// InputError also for a dataset that is not read.
  void select(const std::vector<std::string>& names) override;

 protected:
  Elements open_array(size_t column) const override;
  std::shared_ptr<const Values> texts(size_t column) const override { return texts_[column]; }

 private:
  std::vector<std::string> problems_;                 // by column: why it is not read; empty: it is
  std::vector<bool> any_length_;                      // by column: it holds texts of any length
  std::vector<std::shared_ptr<const Values>> texts_;  // by column: those, once it is selected
};

/// Whether a file that begins with `head` is HDF5.
bool is_h5(std::string_view head);

}  // namespace kdef::data
