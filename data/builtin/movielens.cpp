#include "data/builtin/movielens.h"

#include <zip.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/io/file.h"
#include "data/builtin/yaml_files.h"
#include "data/encode/feature_map.h"
#include "data/raw/cells.h"

namespace kdef::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExpected =
    "; the MovieLens-1M archive of GroupLens (ml-1m.zip), or its unpacked folder, is expected";

// The most bytes of a file that is unpacked; the real files have 25 MB.
constexpr zip_uint64_t kMaxZipped = zip_uint64_t{1} << 28;

// The content of file `name` of the archive, in any folder of it.
std::string read_zipped(const std::string& path, const std::string& name) {
  int error = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_RDONLY, &error);
  if (archive == nullptr) {
    zip_error_t e;
    zip_error_init_with_code(&e, error);
    const std::string message = cat(path, ": not a readable zip archive: ", zip_error_strerror(&e), kExpected);
    zip_error_fini(&e);
    throw InputError(message);
  }
  std::string text;
  bool complete = false;
  const zip_int64_t index = zip_name_locate(archive, name.c_str(), ZIP_FL_NODIR);
  zip_stat_t info;
  if (index >= 0 && zip_stat_index(archive, static_cast<zip_uint64_t>(index), 0, &info) == 0 &&
      (info.valid & ZIP_STAT_SIZE) && info.size <= kMaxZipped) {
    if (zip_file_t* file = zip_fopen_index(archive, static_cast<zip_uint64_t>(index), 0)) {
      // The size is what the archive claims; memory is taken for bytes that are there.
      char block[65536];
      zip_int64_t n;
      while ((n = zip_fread(file, block, sizeof(block))) > 0 && text.size() + static_cast<size_t>(n) <= info.size) {
        text.append(block, static_cast<size_t>(n));
      }
      complete = n == 0 && text.size() == info.size;
      complete &= zip_fclose(file) == 0;
    }
  }
  zip_discard(archive);
  if (index < 0) throw InputError(cat(path, ": no ", name, " in the archive", kExpected));
  if (!complete) {
    throw InputError(cat(path, ": ", name, " cannot be unpacked, or has more than ", kMaxZipped >> 20,
                         " MiB; the archive is damaged, fetch it again"));
  }
  return text;
}

fs::path folder_of(const std::string& source) {
  return fs::exists(fs::path(source) / "ml-1m" / "ratings.dat") ? fs::path(source) / "ml-1m" : fs::path(source);
}

struct Table {
  std::string path, text;
};

Table read_table(const std::string& source, const std::string& name) {
  if (fs::is_directory(source)) {
    const fs::path path = folder_of(source) / name;
    if (!fs::exists(path)) throw InputError(cat(path.string(), ": no such file", kExpected));
    return {path.string(), read_text(path.string())};
  }
  if (!fs::exists(source)) throw InputError(cat(source, ": no such file or folder", kExpected));
  return {source + ":" + name, read_zipped(source, name)};
}

// Calls fn(cells, line) for every line of cells between "::".
void each_line(const Table& table, size_t width,
               const std::function<void(const std::vector<std::string_view>&, int64_t)>& fn) {
  std::string_view rest = table.text;
  std::vector<std::string_view> cells;
  for (int64_t line = 1; !rest.empty(); ++line) {
    const size_t end = rest.find('\n');
    std::string_view row = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (!row.empty() && row.back() == '\r') row.remove_suffix(1);
    if (row.empty()) continue;
    cells.clear();
    for (size_t at; (at = row.find("::")) != std::string_view::npos; row.remove_prefix(at + 2))
      cells.push_back(row.substr(0, at));
    cells.push_back(row);
    if (cells.size() != width) {
      throw InputError(
          cat(table.path, ":", line, ": ", cells.size(), " cells between '::', ", width, " are expected", kExpected));
    }
    fn(cells, line);
  }
}

int read_int(std::string_view text, const Table& table, int64_t line, const char* what) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw InputError(cat(table.path, ":", line, ": the ", what, " ", printable(text), " is not a number", kExpected));
  }
  return value;
}

// "Title (1995)" -> "1990".
std::string release(std::string_view title, const Table& table, int64_t line) {
  const size_t open = title.rfind('(');
  if (open == std::string_view::npos || open + 5 >= title.size() || title[open + 5] != ')') {
    throw InputError(
        cat(table.path, ":", line, ": the title ", printable(title), " does not end in a year (1995)", kExpected));
  }
  const int year = read_int(title.substr(open + 1, 4), table, line, "year");
  return std::to_string(std::clamp(year / 10 * 10, 1920, 1990));
}

void write_split(const std::string& path, const std::vector<std::string>& rows, const std::vector<uint32_t>& order,
                 size_t first, size_t last) {
  std::string text = "Label,UserID,Gender,Age,Occupation,MovieID,Release,Genres\n";
  for (size_t i = first; i < last; ++i) text += rows[order[i]];
  write_file(path, text);
}

DatasetConfig dataset_config(const fs::path& out) {
  DatasetConfig config;
  config.id = "ML_1M";
  config.data_root = (out / "cache").string();
  config.train_data = (out / "train.csv").string();
  config.valid_data = (out / "valid.csv").string();
  config.test_data = (out / "test.csv").string();
  config.label = "Label";
  for (const char* name : {"UserID", "Gender", "Age", "Occupation", "MovieID", "Release", "Genres"}) {
    FieldConfig field;
    field.name = name;
    config.fields.push_back(field);
  }
  config.fields.back().type = FieldType::sequence;
  config.fields.back().max_len = 5;
  return config;
}

}  // namespace

bool is_movielens(const std::string& path) {
  return fs::is_directory(path) ? fs::exists(folder_of(path) / "ratings.dat")
                                : path.ends_with(".zip") && fs::exists(path);
}

MovieLensResult convert_movielens(const std::string& source, const std::string& out_dir, uint64_t seed,
                                  bool overwrite) {
  if (!overwrite) refuse_to_replace_data(out_dir);
  std::unordered_map<std::string, std::string> users, movies;  // id -> its cells of a row
  const Table user_table = read_table(source, "users.dat");
  each_line(user_table, 5, [&](const std::vector<std::string_view>& c, int64_t) {
    users[std::string(c[0])] = cat(",", c[1], ",", c[2], ",", c[3]);
  });
  const Table movie_table = read_table(source, "movies.dat");
  each_line(movie_table, 3, [&](const std::vector<std::string_view>& c, int64_t line) {
    std::string genres(c[2]);
    std::replace(genres.begin(), genres.end(), '|', '^');
    movies[std::string(c[0])] = cat(",", release(c[1], movie_table, line), ",", genres);
  });

  const Table ratings = read_table(source, "ratings.dat");
  std::vector<std::string> rows;
  each_line(ratings, 4, [&](const std::vector<std::string_view>& c, int64_t line) {
    const int rating = read_int(c[2], ratings, line, "rating");
    if (rating < 1 || rating > 5) {
      throw InputError(cat(ratings.path, ":", line, ": the rating ", rating, " is not between 1 and 5", kExpected));
    }
    if (rating == 3) return;
    const auto user = users.find(std::string(c[0]));
    const auto movie = movies.find(std::string(c[1]));
    if (user == users.end() || movie == movies.end()) {
      throw InputError(cat(ratings.path, ":", line, ": ", user == users.end() ? "user " : "movie ",
                           printable(user == users.end() ? c[0] : c[1]), " is not in ",
                           user == users.end() ? "users.dat" : "movies.dat", kExpected));
    }
    rows.push_back(cat(rating > 3 ? 1 : 0, ",", c[0], user->second, ",", c[1], movie->second, "\n"));
  });
  if (rows.size() < 10) throw InputError(cat(ratings.path, ": only ", rows.size(), " ratings other than 3", kExpected));

  std::vector<uint32_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0u);
  Random random(seed, kStreamShuffle);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);

  std::error_code error;
  fs::create_directories(out_dir, error);
  if (error) throw SystemError(cat(out_dir, ": the folder cannot be made: ", error.message()));
  const fs::path out = fs::absolute(out_dir).lexically_normal();
  MovieLensResult result;
  result.dataset = dataset_config(out);
  const size_t n = rows.size(), train = n * 8 / 10, valid = n / 10;
  write_split(result.dataset.train_data, rows, order, 0, train);
  write_split(result.dataset.valid_data, rows, order, train, train + valid);
  write_split(result.dataset.test_data, rows, order, train + valid, n);
  ExperimentSettings settings;
  settings.embedding_regularizer = 0.01;
  settings.net_dropout = 0.1;
  write_yaml_files(out.string(), result.dataset, settings);
  result.train_rows = static_cast<int64_t>(train);
  result.valid_rows = static_cast<int64_t>(valid);
  result.test_rows = static_cast<int64_t>(n - train - valid);
  return result;
}

}  // namespace kdef::data
