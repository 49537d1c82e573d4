#include "data/raw/npz_reader.h"

#include <zip.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "core/base/error.h"

namespace kdef::data {
namespace {

constexpr const char* kRemedy = "; write it by numpy.savez or numpy.savez_compressed";
constexpr zip_int64_t kMaxMembers = 1 << 20;

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

}  // namespace

NpzReader::NpzReader(const std::string& path) : ArraySource(path, "an .npz file", kRemedy) {
  const Archive archive = open_archive(path);
  std::vector<std::string> names;
  std::vector<NpyArray> arrays;
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
    const NpyArray array = parse_npy(head, where(name));
    if (info.size != static_cast<zip_uint64_t>(array.header_bytes + array.rows() * array.row_bytes())) {
      throw InputError(cat(where(name), ": has ", info.size, " bytes, which are not those of its shape", kRemedy));
    }
    names.push_back(name);
    arrays.push_back(array);
    members_.push_back(index);
  }
  set_arrays(std::move(names), std::move(arrays));
}

ArraySource::Elements NpzReader::open_array(size_t column) const {
  struct Opened {
    Archive archive;
    Member file;
  };
  const auto opened = std::make_shared<Opened>();
  opened->archive = open_archive(path());
  opened->file.reset(zip_fopen_index(opened->archive.get(), members_[column], 0));
  const auto take = [opened, where = where(columns()[column])](char* out, size_t bytes) {
    if (opened->file && inflate(opened->file.get(), out, bytes) == bytes) return;
    throw InputError(cat(where, ": is damaged or ends too early", kRemedy));
  };
  std::vector<char> header(static_cast<size_t>(array(column).header_bytes));
  take(header.data(), header.size());
  return take;
}

}  // namespace kdef::data
