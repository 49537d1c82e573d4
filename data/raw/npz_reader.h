// Rows of .npz files, as numpy.savez and numpy.savez_compressed write them. FuxiCTR writes its prepared data so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/raw/array_source.h"

namespace kdef::data {

class NpzReader : public ArraySource {
 public:
  /// Throws InputError for a file that is no archive of arrays.
  explicit NpzReader(const std::string& path);

 protected:
  Elements open_array(size_t column) const override;

 private:
  std::vector<uint64_t> members_;  // by column
};

}  // namespace kdef::data
