#include "data/encode/spool.h"

#include "core/base/error.h"

namespace kdef::data {

// A group: the number of rows, the number of columns, the size of each column, the bytes of each column.
void Spool::write(const Group& group) {
  std::vector<int64_t> header = {group.rows, static_cast<int64_t>(group.columns.size())};
  for (const std::string& column : group.columns) header.push_back(static_cast<int64_t>(column.size()));
  file_.write(header.data(), header.size() * sizeof(int64_t));
  for (const std::string& column : group.columns) file_.write(column.data(), column.size());
}

bool Spool::read(Group& group) {
  int64_t header[2];
  if (!file_.read(header, sizeof(header))) return false;
  group.rows = header[0];
  group.columns.resize(static_cast<size_t>(header[1]));
  std::vector<int64_t> sizes(group.columns.size());
  bool whole = file_.read(sizes.data(), sizes.size() * sizeof(int64_t));
  for (size_t c = 0; whole && c < sizes.size(); ++c) {
    group.columns[c].resize(static_cast<size_t>(sizes[c]));
    whole = file_.read(group.columns[c].data(), group.columns[c].size());
  }
  if (!whole) throw SystemError("the temporary copy of the training rows was cut short; prepare the data again");
  return true;
}

}  // namespace kdef::data
