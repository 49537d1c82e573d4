#include "data/raw/svm_reader.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "core/base/error.h"
#include "data/raw/cells.h"

namespace kdef::data {
namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr const char* kQuery = "qid";
constexpr const char* kFeatures = "features";
constexpr const char* kValueOf = ":value";

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_real(std::string_view text) {
  if (text.size() > 1 && text.front() == '+') text.remove_prefix(1);
  double value;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  return read.ec != std::errc::invalid_argument && read.ptr == text.data() + text.size();
}

// The next token of a row, which is taken off it; empty at the end.
std::string_view next_token(std::string_view& row) {
  row.remove_prefix(std::min(row.size(), row.find_first_not_of(kBlanks)));
  const std::string_view token = row.substr(0, row.find_first_of(kBlanks));
  row.remove_prefix(token.size());
  return token;
}

std::string_view without_comment(std::string_view row) { return row.substr(0, row.find('#')); }

// FIELD:INDEX:VALUE, or INDEX:VALUE, whose field is empty.
struct Feature {
  std::string_view field, index, value;
};

bool read_feature(std::string_view token, Feature& feature) {
  const size_t first = token.find(':');
  if (first == std::string_view::npos) return false;
  const size_t second = token.find(':', first + 1);
  if (second == std::string_view::npos) {
    feature = {{}, token.substr(0, first), token.substr(first + 1)};
    return is_number(feature.index) && is_real(feature.value);
  }
  feature = {token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1)};
  return is_number(feature.field) && is_number(feature.index) && is_real(feature.value);
}

std::string name_without_zeros(std::string_view number) {
  const size_t first = std::min(number.find_first_not_of('0'), number.size() - 1);
  return std::string(number.substr(first));
}

}  // namespace

bool is_svm_text(std::string_view head) {
  while (!head.empty()) {
    const size_t end = std::min(head.find('\n'), head.size());
    const bool is_whole = end < head.size();
    std::string_view row = without_comment(head.substr(0, end));
    head.remove_prefix(std::min(head.size(), end + 1));
    std::string_view token = next_token(row);
    if (token.empty()) continue;
    if (!is_real(token)) return false;
    int features = 0;
    Feature feature;
    while (!(token = next_token(row)).empty()) {
      const bool is_feature = token.starts_with("qid:") || read_feature(token, feature);
      const bool may_be_cut = !is_whole && row.empty();  // the head may end in the middle of this token
      if (!is_feature && !may_be_cut) return false;
      features += is_feature;
    }
    return features > 0;
  }
  return false;
}

SvmReader::SvmReader(const std::string& path, const std::string& label)
    : RowSource(path), label_(label), source_(ByteSource::open(path)) {
  set_columns({label, kQuery, kFeatures});
}

// Any index may occur in a row that has not been read yet.
void SvmReader::select(const std::vector<std::string>& names) {
  std::vector<std::string> all = {label_, kQuery, kFeatures};
  for (const std::string& name : names) {
    const std::string_view number(name.data(), name.size() - (name.ends_with(kValueOf) ? 6 : 0));
    if (!is_number(number)) continue;
    if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(name);
  }
  set_columns(std::move(all));
  try {
    RowSource::select(names);
  } catch (const InputError& e) {
    throw InputError(cat(e.what(), "; columns of libsvm and libffm are named by numbers (data/raw/svm_reader.h)"));
  }
}

// A chunk ends with a row.
bool SvmReader::read(Chunk& chunk) {
  size_t whole = std::string::npos;
  while (!ended_ && (whole = pending_.rfind('\n')) == std::string::npos) {
    const size_t before = pending_.size();
    if (before > kMaxRowBytes) {
      throw InputError(cat(path(), ":", line_, ": this row is longer than 64 MiB; is the file libsvm or libffm text?"));
    }
    pending_.resize(before + kChunkBytes);
    pending_.resize(before + source_->read(pending_.data() + before, kChunkBytes));
    ended_ = pending_.size() < before + kChunkBytes;
  }
  whole = ended_ ? pending_.size() : whole + 1;
  // Chunks of bounded numbers of rows: `rows` lines, or all.
  int64_t rows = 0;
  size_t end = 0;
  while (end < whole && rows < max_rows_) {
    end = std::min(whole, pending_.find('\n', end) + 1);
    if (end == 0) end = whole;
    ++rows;
  }
  if (rows == 0) return false;
  chunk.source = this;
  chunk.first_line = line_;
  chunk.capacity = rows;
  chunk.text.assign(pending_, 0, end);
  pending_.erase(0, end);
  line_ += rows;
  return true;
}

// A row that is being parsed, and where its cells go.
struct SvmReader::Row {
  Chunk& chunk;
  const std::vector<Chunk::Cell*> places;
  std::unordered_map<std::string, size_t> columns;
  std::vector<std::vector<std::string_view>> parts;  // of the cell of each column
  std::vector<size_t> filled;                        // the columns that have parts
  std::string joined;                                // cells that do not stand in the text, which they will follow
  int64_t line = 0;

  // The parts of a cell; nullptr where the column is not selected.
  std::vector<std::string_view>* cell(const std::string& column) {
    const auto found = columns.find(column);
    if (found == columns.end() || places[found->second] == nullptr) return nullptr;
    if (parts[found->second].empty()) filled.push_back(found->second);
    return &parts[found->second];
  }
  void set(const std::string& column, std::string_view text) {
    if (auto* c = cell(column)) c->assign(1, text);
  }
  void add(const std::string& column, std::string_view text) {
    if (auto* c = cell(column)) c->push_back(text);
  }
  void add_first(const std::string& column, std::string_view text) {
    if (auto* c = cell(column); c != nullptr && c->empty()) c->push_back(text);
  }
  // Writes the cells, and makes room for the next row.
  void end() {
    const size_t row = chunk.lines.size();
    for (Chunk::Cell* cells : places) {
      if (cells != nullptr) cells[row] = {0, 0};
    }
    for (const size_t column : filled) {
      std::vector<std::string_view>& texts = parts[column];
      size_t begin = static_cast<size_t>(texts[0].data() - chunk.text.data()), size = texts[0].size();
      if (texts.size() > 1) {
        begin = chunk.text.size() + joined.size();
        for (size_t i = 0; i < texts.size(); ++i) joined.append(i == 0 ? "" : "^").append(texts[i]);
        size = chunk.text.size() + joined.size() - begin;
      }
      places[column][row] = {static_cast<uint32_t>(begin), static_cast<uint32_t>(size)};
      texts.clear();
    }
    filled.clear();
    chunk.lines.push_back(line);
  }
};

void SvmReader::parse(Chunk& chunk) const {
  Row row{chunk, make_cells(chunk, chunk.capacity), {}, {}, {}, {}};
  for (size_t c = 0; c < columns().size(); ++c) row.columns.emplace(columns()[c], c);
  row.parts.resize(columns().size());
  row.line = chunk.first_line;
  std::string_view text = chunk.text;
  for (; !text.empty(); ++row.line) {
    const size_t end = std::min(text.find('\n'), text.size());
    parse_row(row, without_comment(text.substr(0, end)));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  chunk.text += row.joined;
}

void SvmReader::parse_row(Row& row, std::string_view text) const {
  const std::string_view label = next_token(text);
  if (label.empty()) return;
  row.set(label_, label);
  for (std::string_view token; !(token = next_token(text)).empty();) parse_token(row, token);
  row.end();
}

void SvmReader::parse_token(Row& row, std::string_view token) const {
  if (token.starts_with("qid:")) return row.set(kQuery, token.substr(4));
  Feature feature;
  if (!read_feature(token, feature)) {
    throw InputError(cat(path(), ":", row.line, ": ", printable(token),
                         " is neither INDEX:VALUE (libsvm) nor FIELD:INDEX:VALUE (libffm); correct the row"));
  }
  if (feature.field.empty()) {
    row.set(name_without_zeros(feature.index), feature.value);
    row.add(kFeatures, feature.index);
  } else {
    const std::string field = name_without_zeros(feature.field);
    row.add_first(field + kValueOf, feature.value);
    row.add(field, feature.index);
  }
}

}  // namespace kdef::data
