#include "data/raw/npz_reader.h"

#include <zip.h>

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "data/raw/cells.h"

namespace kdef::data {
namespace {

constexpr const char* kRemedy = "; write it by numpy.savez or numpy.savez_compressed";
constexpr zip_int64_t kMaxMembers = 1 << 20;
constexpr int64_t kMaxRowBytes = int64_t{1} << 26;

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using Archive = std::unique_ptr<zip_t, Discard>;
using Member = std::unique_ptr<zip_file_t, Discard>;

Archive open_archive(const std::string& path) {
  int error = 0;
  Archive archive(zip_open(path.c_str(), ZIP_RDONLY, &error));
  if (archive) return archive;
  zip_error_t e;
  zip_error_init_with_code(&e, error);
  const std::string message = cat(path, ": not a readable .npz file: ", zip_error_strerror(&e), kRemedy);
  zip_error_fini(&e);
  throw InputError(message);
}

// Reads `bytes` bytes, or up to the end.
size_t inflate(zip_file_t* file, char* out, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    const zip_int64_t n = zip_fread(file, out + done, bytes - done);
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

class ArrayStream : public ColumnStream {
 public:
  ArrayStream(const std::string& path, std::string where, uint64_t member, const NpyArray& array)
      : where_(std::move(where)),
        array_(array),
        archive_(open_archive(path)),
        file_(zip_fopen_index(archive_.get(), member, 0)) {
    buffer_.resize(static_cast<size_t>(array.header_bytes));
    take(buffer_.size());
  }

  TypedColumn read(int64_t rows) override {
    TypedColumn column;
    auto values = std::make_shared<Values>();
    values->kind = array_.kind();
    buffer_.resize(static_cast<size_t>(rows * array_.row_bytes()));
    take(buffer_.size());
    array_.append(buffer_.data(), rows * array_.columns(), *values);
    column.values = std::move(values);
    column.lists = array_.columns() != 1;
    for (int64_t row = 1; column.lists && row <= rows; ++row) column.ends.push_back(row * array_.columns());
    return column;
  }

 private:
  void take(size_t bytes) {
    if (file_ && inflate(file_.get(), buffer_.data(), bytes) == bytes) return;
    throw InputError(cat(where_, ": is damaged or ends too early", kRemedy));
  }

  const std::string where_;
  const NpyArray array_;
  const Archive archive_;
  const Member file_;
  std::vector<char> buffer_;
};

}  // namespace

NpzReader::NpzReader(const std::string& path) : ColumnSource(path, "an .npz file") {
  const Archive archive = open_archive(path);
  std::vector<std::string> names;
  std::string head;
  const zip_int64_t members = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < std::min(members, kMaxMembers); ++i) {
    const zip_uint64_t index = static_cast<zip_uint64_t>(i);
    zip_stat_t info;
    if (zip_stat_index(archive.get(), index, 0, &info) != 0) continue;
    std::string name = info.name;
    if (!name.ends_with(".npy")) continue;
    name.resize(name.size() - 4);
    const Member file(zip_fopen_index(archive.get(), index, 0));
    head.resize(kMaxNpyHeader);
    head.resize(file ? inflate(file.get(), head.data(), head.size()) : 0);
    const std::string where = cat(path, ": array ", printable(name));
    const NpyArray array = parse_npy(head, where);
    if (info.size != static_cast<zip_uint64_t>(array.header_bytes + array.rows() * array.row_bytes())) {
      throw InputError(cat(where, ": has ", info.size, " bytes, which are not those of its shape", kRemedy));
    }
    if (array.row_bytes() > kMaxRowBytes) throw InputError(cat(where, ": a row has more than 64 MiB"));
    names.push_back(name);
    arrays_.push_back(array);
    members_.push_back(index);
  }
  if (names.empty()) throw InputError(cat(path, ": holds no arrays (NAME.npy)", kRemedy));
  set_columns(std::move(names));
}

void NpzReader::select(const std::vector<std::string>& names) {
  RowSource::select(names);
  std::vector<size_t> selected = selected_columns();
  if (selected.empty()) selected.push_back(0);
  int64_t row_bytes = 1;
  for (const size_t c : selected) {
    if (arrays_[c].rows() != arrays_[selected[0]].rows()) {
      throw InputError(cat(path(), ": array ", printable(columns()[c]), " has ", arrays_[c].rows(), " rows, ",
                           printable(columns()[selected[0]]), " has ", arrays_[selected[0]].rows(), kRemedy));
    }
    row_bytes += arrays_[c].row_bytes();
  }
  set_parts({arrays_[selected[0]].rows()}, std::max<int64_t>(1, kMaxRowBytes / row_bytes));
}

std::unique_ptr<ColumnStream> NpzReader::open_column(size_t, size_t column) const {
  return std::make_unique<ArrayStream>(path(), cat(path(), ": array ", printable(columns()[column])), members_[column],
                                       arrays_[column]);
}

}  // namespace kdef::data
