#include "data/encode/prepare.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "core/base/error.h"
#include "core/io/file.h"
#include "data/encode/cache.h"
#include "data/encode/encoder.h"
#include "data/encode/feature_map.h"
#include "data/encode/recent_cells.h"
#include "data/encode/vocabulary.h"
#include "data/raw/cells.h"
#include "data/raw/chunks.h"
#include "data/schema_json.h"

namespace kdef::data {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;  // of the preparation as a whole: raise it when the meaning of a cache changes
constexpr const char* kMarker = "prepared.json";
constexpr const char* kMapName = "feature_map.json";

std::string in_dir(const std::string& dir, const char* name) { return (fs::path(dir) / name).string(); }

// Everything that the content of a cache depends on.
Json fingerprint(const DatasetConfig& config) {
  Json json = {{"format", kFormat},
               {"cache_version", kCacheVersion},
               {"dataset", config.id},
               {"label", config.label},
               {"separator", config.separator},
               {"columns", config.columns},
               {"min_categr_count", config.min_categr_count},
               {"fields", Json::array()},
               {"files", Json::array()}};
  for (const FieldConfig& f : config.fields) {
    if (!f.active) continue;
    Json field = field_json(f);
    field["normalizer"] = f.normalizer;
    if (f.min_categr_count) field["min_categr_count"] = *f.min_categr_count;
    json["fields"].push_back(std::move(field));
  }
  for (const std::string* path : {&config.train_data, &config.valid_data, &config.test_data}) {
    struct stat info;
    if (path->empty() || ::stat(path->c_str(), &info) != 0) {
      json["files"].push_back(*path);
      continue;
    }
    json["files"].push_back({fs::weakly_canonical(fs::absolute(*path)).string(), static_cast<int64_t>(info.st_size),
                             static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec});
  }
  return json;
}

std::string dump(const Json& json, const DatasetConfig& config) {
  try {
    return json.dump(1) + "\n";
  } catch (const Json::type_error&) {
    throw InputError(cat("data set ", config.id, ": a name, path or fill_na is not valid UTF-8; change it"));
  }
}

std::vector<FieldConfig> active_fields(const DatasetConfig& config) {
  std::vector<FieldConfig> fields;
  std::set<std::string> names;
  for (const FieldConfig& field : config.fields) {
    if (!field.active) continue;
    const std::string where = cat(field.where.empty() ? "" : field.where + ": ", "field ", field.name, ": ");
    if (!names.insert(field.name).second) throw InputError(where + "the name stands twice in feature_cols");
    if (field.name == config.label) throw InputError(where + "the label is not a feature; take it out of feature_cols");
    if (!field.share_embedding.empty()) {
      const auto owner = std::find_if(fields.begin(), fields.end(),
                                      [&](const FieldConfig& other) { return other.name == field.share_embedding; });
      if (owner == fields.end() || !owner->share_embedding.empty() || owner->type == FieldType::numeric ||
          field.type == FieldType::numeric) {
        throw InputError(cat(where, "share_embedding is '", field.share_embedding,
                             "'; it must name an earlier categorical or sequence field that has its own embedding"));
      }
    }
    fields.push_back(field);
  }
  if (fields.empty()) throw InputError(cat("data set ", config.id, ": no active field in feature_cols"));
  return fields;
}

// Groups of rows under provisional numbers, each a text of columns (see FieldCount::packed), in a file
// without a name: gone when this ends, however it ends.
class Spool {
 public:
  struct Group {
    int64_t rows = 0;
    std::string columns;
  };

  explicit Spool(const std::string& dir) : dir_(dir) {
    std::string name = in_dir(dir, ".spool.XXXXXX");
    fd_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd_ < 0) throw SystemError(cat(dir, ": no file can be made there: ", std::strerror(errno)));
    ::unlink(name.c_str());
  }
  ~Spool() { ::close(fd_); }
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  void write(int64_t rows, const std::vector<const std::string*>& columns) {
    int64_t bytes = 0;
    for (const std::string* column : columns) bytes += static_cast<int64_t>(column->size());
    const int64_t header[] = {rows, bytes};
    put(header, sizeof(header));
    for (const std::string* column : columns) put(column->data(), column->size());
  }
  void rewind() {
    if (::lseek(fd_, 0, SEEK_SET) != 0) throw SystemError(cat(dir_, ": cannot be read back: ", std::strerror(errno)));
  }
  bool read(Group& group) {
    int64_t header[2];
    if (!get(header, sizeof(header))) return false;
    group.rows = header[0];
    group.columns.resize(static_cast<size_t>(header[1]));
    if (!get(group.columns.data(), group.columns.size())) {
      throw SystemError("the temporary copy of the training rows was cut short; prepare the data again");
    }
    return true;
  }

 private:
  void put(const void* data, size_t bytes) {
    const char* p = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t n = ::write(fd_, p, std::min(bytes, size_t{1} << 30));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0)
        throw SystemError(
            cat(dir_, ": cannot be written: ", std::strerror(errno), "; free space or choose another folder"));
      p += n;
      bytes -= static_cast<size_t>(n);
    }
  }
  bool get(void* data, size_t bytes) {
    char* p = static_cast<char*>(data);
    for (size_t done = 0; done < bytes;) {
      const ssize_t n = ::read(fd_, p + done, std::min(bytes - done, size_t{1} << 30));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw SystemError(cat(dir_, ": cannot be read back: ", std::strerror(errno)));
      if (n == 0) return false;
      done += static_cast<size_t>(n);
    }
    return true;
  }

  std::string dir_;
  int fd_;
};

// Held while a cache is made. The file stays: removing it would let two holders in.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::string& dir) {
    const std::string path = in_dir(dir, ".lock");
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    int status = fd_ < 0 ? -1 : 0;
    while (status == 0 && (status = ::flock(fd_, LOCK_EX)) != 0 && errno == EINTR) status = 0;
    if (status != 0) {
      const int error = errno;
      if (fd_ >= 0) ::close(fd_);
      throw SystemError(cat(path, ": cannot be locked: ", std::strerror(error), "; choose a writable data_root"));
    }
  }
  ~DirectoryLock() { ::close(fd_); }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int fd_;
};

// The counting pass over one field of the training rows.
struct FieldCount {
  explicit FieldCount(const FieldConfig& field) : cells(field) {}

  CellReader cells;
  int64_t max_len = 1;
  StringSet words;
  std::vector<int64_t> counts;
  // Numeric: Welford's running mean and sum of squared deviations.
  int64_t values = 0;
  double mean = 0, squares = 0;
  double least = std::numeric_limits<double>::infinity(), most = -least;
  // Of the group at hand, [rows, max_len]: index in `words` + 1, 0 for padding; or numbers.
  std::vector<int32_t> ids;
  std::vector<float> numbers;
  std::vector<int32_t> tokens;
  RecentCells recent;
  // The same for the spool: ids in as many bytes as a first byte says, or the floats. `stored` is that of the group
  // before, which may be written meanwhile.
  std::string packed, stored;

  // The number of a word, not counted yet.
  int32_t number_of(std::string_view word) {
    const size_t index = static_cast<size_t>(words.insert(word));
    if (index == counts.size()) counts.push_back(0);
    return static_cast<int32_t>(index + 1);
  }
  int32_t count(int32_t number) {
    ++counts[static_cast<size_t>(number - 1)];
    return number;
  }

  void read(const std::vector<Chunk>& chunks, size_t n, int64_t slot, const std::string& path) {
    ids.clear();
    numbers.clear();
    for (size_t c = 0; c < n; ++c) {
      if (cells.field().type == FieldType::categorical && cells.verbatim()) {
        read_words(chunks[c], slot);
      } else {
        read_cells(chunks[c], slot, path);
      }
    }
    pack();
  }

  void read_words(const Chunk& chunk, int64_t slot) {
    std::array<std::string_view, 256> texts;
    const int64_t piece = static_cast<int64_t>(texts.size());
    for (int64_t first = 0; first < chunk.rows(); first += piece) {
      const size_t n = static_cast<size_t>(std::min(piece, chunk.rows() - first));
      for (size_t i = 0; i < n; ++i) {
        texts[i] = chunk.cell(first + static_cast<int64_t>(i), slot);
        if (texts[i].empty()) texts[i] = cells.missing();
      }
      ids.resize(ids.size() + n);
      int32_t* id = ids.data() + ids.size() - n;
      words.insert({texts.data(), n}, id);
      counts.resize(static_cast<size_t>(words.size()));
      for (size_t i = 0; i < n; ++i) ++counts[static_cast<size_t>(id[i]++)];
    }
  }

  void read_cells(const Chunk& chunk, int64_t slot, const std::string& path) {
    CellReader::Scratch scratch;
    for (int64_t row = 0; row < chunk.rows(); ++row) {
      const Place place{path, chunk.line(row)};
      const std::string_view cell = chunk.cell(row, slot);
      switch (cells.field().type) {
        case FieldType::categorical:
          ids.push_back(count(recent.id(cell, [&] { return number_of(cells.word(cell, place, scratch)); })));
          break;
        case FieldType::sequence:
          tokens.clear();
          cells.tokens(cell,
                       [&](std::string_view token) { tokens.push_back(token.empty() ? 0 : count(number_of(token))); });
          ids.resize(ids.size() + static_cast<size_t>(max_len));
          encode_sequence(tokens, max_len, cells.field().padding, ids.data() + ids.size() - max_len);
          break;
        case FieldType::numeric: {
          const float value = cells.number(cell, place);
          numbers.push_back(value);
          const double delta = value - mean;
          mean += delta / static_cast<double>(++values);
          squares += delta * (value - mean);
          least = std::min<double>(least, value);
          most = std::max<double>(most, value);
          break;
        }
      }
    }
  }

  void pack() {
    if (cells.field().type == FieldType::numeric) {
      packed.assign(reinterpret_cast<const char*>(numbers.data()), 4 * numbers.size());
    } else if (words.size() < 1 << 8) {
      narrow<uint8_t>();
    } else if (words.size() < 1 << 16) {
      narrow<uint16_t>();
    } else {
      narrow<int32_t>();
    }
  }
  template <class T>
  void narrow() {
    packed.resize(1 + ids.size() * sizeof(T));
    packed[0] = static_cast<char>(sizeof(T));
    char* out = packed.data() + 1;
    for (size_t i = 0; i < ids.size(); ++i) {
      const T id = static_cast<T>(ids[i]);
      std::memcpy(out + i * sizeof(T), &id, sizeof(T));
    }
  }

  // (x - shift) * scale. A constant column is only shifted.
  std::pair<double, double> scaling() const {
    switch (cells.field().normalizer) {
      case Normalizer::standard:
        return {mean, squares > 0 ? 1 / std::sqrt(squares / static_cast<double>(values)) : 1};
      case Normalizer::min_max:
        return {least, most > least ? 1 / (most - least) : 1};
      case Normalizer::none:
        break;
    }
    return {0, 1};
  }
};

// A packed column of ids, with a look-up for every number.
struct PackedIds {
  const char* data;  // behind the byte that says the width
  int width;
  int64_t max_len;
  const int32_t* table;

  // Rows [first, last) into a matrix of `stride` columns.
  void translate(int64_t first, int64_t last, int32_t* out, int64_t stride) const {
    if (width == 1) return translate_as<uint8_t>(first, last, out, stride);
    if (width == 2) return translate_as<uint16_t>(first, last, out, stride);
    translate_as<int32_t>(first, last, out, stride);
  }
  template <class T>
  void translate_as(int64_t first, int64_t last, int32_t* out, int64_t stride) const {
    for (int64_t row = first; row < last; ++row) {
      for (int64_t k = 0; k < max_len; ++k) {
        T number;
        std::memcpy(&number, data + static_cast<size_t>(row * max_len + k) * sizeof(T), sizeof(T));
        out[row * stride + k] = table[number];
      }
    }
  }
};

class Preparation {
 public:
  Preparation(const DatasetConfig& config, const std::string& dir, const std::function<void(const Progress&)>& progress)
      : config_(config), dir_(dir), progress_(progress) {}

  Prepared run() {
    if (config_.train_data.empty())
      throw InputError(cat("data set ", config_.id, ": train_data is missing; name a CSV file"));
    fields_ = active_fields(config_);
    for (const FieldConfig& field : fields_) counts_.emplace_back(field);
    const Json made_from = fingerprint(config_);
    // A missing file should be known before hours of counting.
    for (const std::string* path : {&config_.valid_data, &config_.test_data}) {
      if (!path->empty()) select(*open(*path));
    }
    resolve_lengths();

    Spool spool(dir_);
    count(spool);
    const Encoder encoder = make_encoder();
    EncodedWriter train(train_file(dir_), encoder.id_columns(), encoder.numeric_columns());
    replace_numbers(spool, encoder, train);
    Prepared result;
    result.map = encoder.feature_map();
    result.train_rows = train.rows();
    result.train_positives = train_positives_;
    std::optional<EncodedWriter> valid, test;
    encode(config_.valid_data, valid_file(dir_), encoder, valid, result.valid_rows, result.valid_positives);
    encode(config_.test_data, test_file(dir_), encoder, test, result.test_rows, result.test_positives);
    if (fingerprint(config_) != made_from) {
      throw InputError(
          cat("data set ", config_.id, ": a raw file changed while it was read; prepare again when it is complete"));
    }

    // The old cache ends where its marker goes; the new one begins when its marker is there.
    if (::unlink(in_dir(dir_, kMarker).c_str()) != 0 && errno != ENOENT) {
      throw SystemError(cat(in_dir(dir_, kMarker), ": cannot be replaced: ", std::strerror(errno)));
    }
    encoder.save(in_dir(dir_, Encoder::kFileName));
    save_feature_map(result.map, in_dir(dir_, kMapName));
    train.commit();
    commit_or_remove(valid, valid_file(dir_));
    commit_or_remove(test, test_file(dir_));
    const Json marker = {{"made_from", made_from},
                         {"train", {{"rows", result.train_rows}, {"positives", result.train_positives}}},
                         {"valid", {{"rows", result.valid_rows}, {"positives", result.valid_positives}}},
                         {"test", {{"rows", result.test_rows}, {"positives", result.test_positives}}}};
    write_file(in_dir(dir_, kMarker), dump(marker, config_));
    return result;
  }

 private:
  std::unique_ptr<RowSource> open(const std::string& path) const { return open_rows(path, config_); }
  void select(RowSource& source) const {
    std::vector<std::string> names;
    for (const FieldConfig& field : fields_) names.push_back(field.name);
    names.push_back(config_.label);
    source.select(names);
  }
  void tell(const std::string& stage, int64_t rows, double fraction) const {
    if (progress_) progress_({stage, rows, fraction});
  }
  // What is done with groups of parsed chunks.
  struct GroupWork {
    std::function<size_t(size_t chunks)> parts;
    std::function<void(const std::vector<Chunk>&, size_t chunks, size_t part)> part;  // on any thread
    std::function<void()> turn = [] {};   // between groups: what the parts made is what store() will find
    std::function<void()> store = [] {};  // beside the parts of the next group
  };
  // Group after group; the next one is read and the last one stored while the threads work on the parts of one.
  int64_t each_group(RowSource& source, const std::string& stage, const GroupWork& work) {
    std::vector<Chunk> chunks, ahead;
    int64_t rows = 0;
    bool unstored = false;
    for (size_t n = read_chunks(source, chunks); n > 0;) {
      for_each_index(n, [&](size_t i) { source.parse(chunks[i]); });
      size_t next = 0;
      std::exception_ptr unread;  // told after the faults of the rows before
      for_each_index(work.parts(n) + 2, [&](size_t i) {
        if (i == 0) {
          if (unstored) work.store();
        } else if (i == 1) {
          try {
            next = read_chunks(source, ahead);
          } catch (...) {
            unread = std::current_exception();
          }
        } else {
          work.part(chunks, n, i - 2);
        }
      });
      if (unread) std::rethrow_exception(unread);
      work.turn();
      unstored = true;
      for (size_t i = 0; i < n; ++i) rows += chunks[i].rows();
      tell(stage, rows, source.fraction());
      std::swap(chunks, ahead);
      n = next;
    }
    if (rows == 0) throw InputError(cat(source.path(), ": no rows after the header; the file needs at least one"));
    work.store();
    return rows;
  }
  std::string stage(const char* verb, const std::string& path) const {
    return cat(verb, " ", fs::path(path).filename().string());
  }

  // A max_len of 0 becomes the length of the longest training row.
  void resolve_lengths() {
    std::vector<size_t> open_fields;
    for (size_t f = 0; f < fields_.size(); ++f) {
      if (fields_[f].type == FieldType::sequence && fields_[f].max_len == 0) open_fields.push_back(f);
    }
    if (!open_fields.empty()) {
      auto reader = open(config_.train_data);
      select(*reader);
      for (size_t f : open_fields) fields_[f].max_len = 1;
      GroupWork work;
      work.parts = [&](size_t) { return open_fields.size(); };
      work.part = [&](const std::vector<Chunk>& chunks, size_t n, size_t part) {
        const size_t f = open_fields[part];
        for (size_t c = 0; c < n; ++c) {
          for (int64_t row = 0; row < chunks[c].rows(); ++row) {
            int64_t length = 0;
            counts_[f].cells.tokens(chunks[c].cell(row, static_cast<int64_t>(f)), [&](std::string_view) { ++length; });
            fields_[f].max_len = std::max(fields_[f].max_len, length);
          }
        }
      };
      each_group(*reader, stage("measuring", config_.train_data), work);
    }
    for (size_t f = 0; f < fields_.size(); ++f) {
      counts_[f] = FieldCount(fields_[f]);
      if (fields_[f].type == FieldType::sequence) counts_[f].max_len = fields_[f].max_len;
    }
  }

  // One thread has a whole field: it needs no lock, and numbers its words in the order of the file.
  void count(Spool& spool) {
    auto reader = open(config_.train_data);
    select(*reader);
    const std::string& path = reader->path();
    std::string labels, stored_labels;  // a byte each
    std::vector<const std::string*> columns;
    for (const FieldCount& field : counts_) columns.push_back(&field.stored);
    columns.push_back(&stored_labels);
    GroupWork work;
    work.parts = [&](size_t) { return fields_.size() + 1; };
    work.part = [&](const std::vector<Chunk>& chunks, size_t n, size_t f) {
      if (f < fields_.size()) return counts_[f].read(chunks, n, static_cast<int64_t>(f), path);
      labels.clear();
      for (size_t c = 0; c < n; ++c) {
        for (int64_t row = 0; row < chunks[c].rows(); ++row) {
          const float label =
              parse_label(chunks[c].cell(row, static_cast<int64_t>(f)), config_.label, {path, chunks[c].line(row)});
          labels.push_back(static_cast<char>(label));
          train_positives_ += label > 0;
        }
      }
    };
    work.turn = [&] {
      for (FieldCount& field : counts_) field.packed.swap(field.stored);
      labels.swap(stored_labels);
    };
    work.store = [&] { spool.write(static_cast<int64_t>(stored_labels.size()), columns); };
    each_group(*reader, stage("counting", path), work);
  }

  Encoder make_encoder() {
    std::vector<std::shared_ptr<Vocabulary>> vocabularies(fields_.size());
    for (size_t f = 0; f < fields_.size(); ++f) {
      const FieldConfig& field = fields_[f];
      if (field.type == FieldType::numeric) continue;
      if (field.share_embedding.empty()) {
        vocabularies[f] = std::make_shared<Vocabulary>();
      } else {
        for (size_t e = 0; e < f; ++e) {
          if (fields_[e].name == field.share_embedding) vocabularies[f] = vocabularies[e];
        }
      }
      vocabularies[f]->add(counts_[f].words, counts_[f].counts,
                           field.min_categr_count.value_or(config_.min_categr_count), counts_[f].cells.missing());
    }
    std::vector<Encoder::Column> columns;
    for (size_t f = 0; f < fields_.size(); ++f) {
      const auto [shift, scale] = counts_[f].scaling();
      columns.push_back({CellReader(fields_[f]), vocabularies[f], shift, scale});
    }
    return Encoder(config_, std::move(columns));
  }

  // The second pass: provisional numbers become ids.
  void replace_numbers(Spool& spool, const Encoder& encoder, EncodedWriter& out) {
    std::vector<std::vector<int32_t>> tables(fields_.size());
    for_each_index(fields_.size(), [&](size_t f) {
      const StringSet& words = counts_[f].words;
      if (fields_[f].type == FieldType::numeric) return;
      tables[f].push_back(0);
      for (int64_t i = 0; i < words.size(); ++i) tables[f].push_back(encoder.columns()[f].vocabulary->id(words[i]));
    });
    spool.rewind();
    Spool::Group group, ahead;
    Batch batch, unwritten;
    constexpr int64_t kPieceRows = 1024;
    for (bool more = spool.read(group); more;) {
      batch.resize(group.rows, encoder.id_columns(), encoder.numeric_columns());
      std::vector<PackedIds> ids;
      std::vector<const char*> numbers;
      const char* column = group.columns.data();
      for (size_t f = 0; f < fields_.size(); ++f) {
        const int64_t max_len = counts_[f].max_len;
        if (fields_[f].type == FieldType::numeric) {
          numbers.push_back(column);
          column += 4 * group.rows;
        } else {
          ids.push_back({column + 1, *column, max_len, tables[f].data()});
          column += 1 + *column * group.rows * max_len;
        }
      }
      const char* const labels = column;
      for_each_index(static_cast<size_t>(divide_up(group.rows, kPieceRows)) + 2, [&](size_t i) {
        if (i == 0) {
          if (unwritten.rows > 0) out.append(unwritten);
        } else if (i == 1) {
          more = spool.read(ahead);
        } else {
          const int64_t first = static_cast<int64_t>(i - 2) * kPieceRows;
          fill(encoder, ids, numbers, labels, first, std::min(first + kPieceRows, group.rows), batch);
        }
      });
      std::swap(batch, unwritten);
      std::swap(group, ahead);
      tell("writing train", out.rows(), 1);
    }
    out.append(unwritten);
  }

  // Rows [first, last) of a spooled group.
  static void fill(const Encoder& encoder, const std::vector<PackedIds>& ids, const std::vector<const char*>& numbers,
                   const char* labels, int64_t first, int64_t last, Batch& batch) {
    int32_t* id = batch.ids.data();
    for (const PackedIds& column : ids) {
      column.translate(first, last, id, encoder.id_columns());
      id += column.max_len;
    }
    size_t k = 0;
    for (const Encoder::Column& column : encoder.columns()) {
      if (column.cells.field().type != FieldType::numeric) continue;
      for (int64_t row = first; row < last; ++row) {
        float value;
        std::memcpy(&value, numbers[k] + 4 * row, 4);
        batch.numerics[static_cast<size_t>(row) * numbers.size() + k] =
            Encoder::scaled(value, column.shift, column.scale);
      }
      ++k;
    }
    for (int64_t row = first; row < last; ++row) batch.labels[static_cast<size_t>(row)] = labels[row];
  }

  void encode(const std::string& path, const std::string& to, const Encoder& encoder, std::optional<EncodedWriter>& out,
              int64_t& rows, int64_t& positives) {
    if (path.empty()) return;
    out.emplace(to, encoder.id_columns(), encoder.numeric_columns());
    auto reader = open(path);
    encoder.select(*reader, true);
    std::vector<Batch> batches(kGroupChunks), unwritten(kGroupChunks);
    GroupWork work;
    work.parts = [](size_t n) { return n; };
    work.part = [&](const std::vector<Chunk>& chunks, size_t, size_t i) {
      encoder.encode(chunks[i], path, true, batches[i]);
    };
    work.turn = [&] {
      batches.swap(unwritten);
      for (Batch& batch : batches) batch.resize(0, 0, 0);
    };
    work.store = [&] {
      for (const Batch& batch : unwritten) {
        out->append(batch);
        positives += std::count(batch.labels.begin(), batch.labels.end(), 1.0f);
      }
    };
    rows = each_group(*reader, stage("encoding", path), work);
  }

  static void commit_or_remove(std::optional<EncodedWriter>& file, const std::string& path) {
    if (file) {
      file->commit();
    } else {
      ::unlink(path.c_str());
    }
  }

  const DatasetConfig& config_;
  const std::string& dir_;
  const std::function<void(const Progress&)>& progress_;
  std::vector<FieldConfig> fields_;
  std::vector<FieldCount> counts_;
  int64_t train_positives_ = 0;
};

}  // namespace

std::string train_file(const std::string& cache_dir) { return in_dir(cache_dir, "train.kdefbin"); }
std::string valid_file(const std::string& cache_dir) { return in_dir(cache_dir, "valid.kdefbin"); }
std::string test_file(const std::string& cache_dir) { return in_dir(cache_dir, "test.kdefbin"); }

Prepared prepare(const DatasetConfig& config, const std::string& cache_dir,
                 const std::function<void(const Progress&)>& progress) {
  std::error_code error;
  fs::create_directories(cache_dir, error);
  if (!fs::is_directory(cache_dir)) {
    throw SystemError(cat(cache_dir, ": the folder cannot be made: ", error.message(), "; choose another data_root"));
  }
  DirectoryLock lock(cache_dir);
  if (is_fresh(config, cache_dir)) return open_prepared(cache_dir);
  for (const char* file : {"train.kdefbin", "valid.kdefbin", "test.kdefbin", kMapName, kMarker, Encoder::kFileName}) {
    remove_leftovers(in_dir(cache_dir, file));
  }
  return Preparation(config, cache_dir, progress).run();
}

bool is_fresh(const DatasetConfig& config, const std::string& cache_dir) {
  const std::string marker = in_dir(cache_dir, kMarker);
  if (!fs::is_regular_file(marker)) return false;
  try {
    if (Json::parse(read_text(marker)).at("made_from") != fingerprint(config)) return false;
    open_prepared(cache_dir);
    return true;
  } catch (const InputError&) {
    return false;
  } catch (const Json::exception&) {
    return false;
  }
}

Prepared open_prepared(const std::string& cache_dir) {
  const std::string marker = in_dir(cache_dir, kMarker);
  if (!fs::is_regular_file(marker)) {
    throw InputError(cat(cache_dir, ": no complete cache there (", kMarker, " is missing); prepare the data first"));
  }
  Prepared result;
  result.map = load_feature_map(in_dir(cache_dir, kMapName));
  try {
    const Json json = Json::parse(read_text(marker));
    const auto read = [&](const char* split, const std::string& path, int64_t& rows, int64_t& positives) {
      rows = json.at(split).at("rows").get<int64_t>();
      positives = json.at(split).at("positives").get<int64_t>();
      if (rows == 0) return;
      const EncodedFile file(path);
      if (file.rows() != rows || file.id_columns() != id_columns(result.map) ||
          file.numeric_columns() != numeric_columns(result.map)) {
        throw InputError(
            cat(path, ": not the file that ", marker, " tells of; delete the folder and prepare the data again"));
      }
    };
    read("train", train_file(cache_dir), result.train_rows, result.train_positives);
    read("valid", valid_file(cache_dir), result.valid_rows, result.valid_positives);
    read("test", test_file(cache_dir), result.test_rows, result.test_positives);
  } catch (const Json::exception&) {
    throw InputError(cat(marker, ": damaged; delete the folder and prepare the data again"));
  }
  return result;
}

}  // namespace kdef::data
