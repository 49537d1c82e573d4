#include "data/raw/part_files.h"

#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/io/file.h"

namespace kdef::data {

namespace fs = std::filesystem;

namespace {

// The name of a file without the ending of its compression.
std::string plain_name(const fs::path& path) {
  const std::string last = lower_case(path.extension().string());
  return (last == ".gz" || last == ".zst" ? path.stem() : path.filename()).string();
}

// How the name of a file of rows ends, without the ending of its compression; empty for other names.
std::string ending_of_rows(const fs::path& path) {
  const std::string end = lower_case(fs::path(plain_name(path)).extension().string());
  for (const char* rows : kRowEndings) {
    if (end == rows) return end;
  }
  return "";
}

// The files that a pattern matches, by name.
std::vector<std::string> matches(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  globfree(&found);
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

bool names_part_files(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error) || (path.find_first_of("*?[") != std::string::npos && !fs::exists(path, error));
}

bool any_file(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error) || (names_part_files(path) && !matches(path).empty());
}

std::vector<std::string> part_files(const std::string& folder) {
  std::error_code none;
  if (!fs::is_directory(folder, none)) {
    std::vector<std::string> paths = matches(folder);
    if (paths.empty()) throw InputError(cat(folder, ": no file matches this pattern"));
    return paths;
  }
  std::vector<std::string> all, rows;
  std::map<std::string, std::string> forms;  // of the files of rows: the plain name, and the name
  for (const std::string& name : names_in(folder)) {
    const std::string path = (fs::path(folder) / name).string();
    const std::string end = ending_of_rows(path);
    if (name[0] == '.' || (name[0] == '_' && end.empty())) continue;  // as the _SUCCESS of Spark
    std::error_code unknown;
    if (fs::is_directory(path, unknown)) {
      throw InputError(
          cat(folder, ": holds the folder ", name, ", whose files are not read; move them into one folder"));
    }
    all.push_back(path);
    if (end.empty()) continue;
    const auto [same, is_new] = forms.emplace(plain_name(path), name);
    const std::string other = !is_new ? same->second : rows.empty() ? name : fs::path(rows[0]).filename().string();
    if (!is_new || ending_of_rows(other) != end) {
      throw InputError(cat(folder, ": ", other, " and ", name,
                           " may be the same rows in two forms; name the files that are meant by a pattern, as ",
                           (fs::path(folder) / ("*" + end)).string()));
    }
    rows.push_back(path);
  }
  if (all.empty()) throw InputError(cat(folder, ": is a folder without data files; name a file of rows"));
  return rows.empty() ? all : rows;
}

std::pair<size_t, size_t> files_of_member(const std::vector<int64_t>& sizes, int rank, int size) {
  const int64_t bytes = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  std::pair<size_t, size_t> files;
  int64_t before = 0;
  int member = 0;
  for (const int64_t file : sizes) {
    // Bytes are below 2^53.
    if (file > 0) member = static_cast<int>(static_cast<double>(before) / static_cast<double>(bytes) * size);
    files.first += member < rank;
    files.second += member <= rank;
    before += file;
  }
  return files;
}

PartFiles::PartFiles(const std::string& folder, std::vector<std::string> files, const DatasetConfig& config,
                     const std::string& optional)
    : RowSource(folder), config_(config), optional_(optional), paths_(std::move(files)), parts_(paths_.size()) {
  for (; at_ < paths_.size(); ++at_) {
    open(at_);
    if (parts_[at_]->columns().empty()) continue;
    set_columns(parts_[at_]->columns());
    return;
  }
  throw InputError(cat(folder, ": all of its files are empty; they need rows of cells"));
}

void PartFiles::open(size_t part) {
  parts_[part] = open_part(paths_[part], config_, optional_);
  parts_[part]->limit_rows(max_rows_);
  if (!selected_.empty() && !parts_[part]->columns().empty()) parts_[part]->select(selected_);
}

void PartFiles::select(const std::vector<std::string>& names) {
  selected_ = names;
  parts_[at_]->select(names);
}

void PartFiles::limit_rows(int64_t rows) {
  max_rows_ = rows;
  parts_[at_]->limit_rows(rows);
}

bool PartFiles::read(Chunk& chunk) {
  for (;;) {
    if (parts_[at_]->read(chunk)) return true;
    if (at_ + 1 == paths_.size()) return false;
    open(++at_);
  }
}

void PartFiles::parse_all(std::span<Chunk> chunks, const std::function<void(size_t)>& then) const {
  for_each_index(chunks.size(), [&](size_t i) {
    if (!chunks[i].source->parses_chunks()) return;
    chunks[i].source->parse(chunks[i]);
    if (then) then(i);
  });
  for (size_t first = 0, end = 0; first < chunks.size(); first = end) {
    const RowSource* part = chunks[first].source;
    while (end < chunks.size() && chunks[end].source == part) ++end;
    if (part->parses_chunks()) continue;
    part->parse_all(chunks.subspan(first, end - first), [&](size_t i) {
      if (then) then(first + i);
    });
  }
}

double PartFiles::fraction() const {
  return (static_cast<double>(at_) + parts_[at_]->fraction()) / static_cast<double>(paths_.size());
}

std::vector<FileState> PartFiles::files() const {
  std::vector<FileState> all;
  for (const auto& part : parts_) {
    if (part) all.push_back(part->files().at(0));
  }
  return all;
}

int64_t PartFiles::lines() const {
  int64_t sum = 0;
  for (const auto& part : parts_) sum += part ? part->lines() : 0;
  return sum;
}

std::vector<std::string> PartFiles::warnings() const {
  std::vector<std::string> all;
  for (const auto& part : parts_) {
    for (std::string& warning : part ? part->warnings() : std::vector<std::string>()) all.push_back(std::move(warning));
  }
  return all;
}

}  // namespace kdef::data
