// A file of rows, prepared into a cache, against the encoder of rows. The first four bytes of the input are settings,
// bit by bit; the rest is the file. What is prepared from the training file and from the validation file, which is the
// same file, and what the encoder gives for the rows of the file and for the same cells in memory is equal to the bit.
#include <cstring>

#include "data/encode/encoder.h"
#include "data/encode/prepare.h"
#include "data/raw/memory_rows.h"
#include "fuzz/fuzz.h"

namespace kdef::data {
namespace {

bool bit(uint8_t byte, int i) { return byte >> i & 1; }

FieldConfig categorical(uint8_t settings) {
  FieldConfig field;
  field.name = "c";
  field.cell = static_cast<CellType>((settings & 3) % 3);
  if (bit(settings, 2)) field.fill_na = "0";
  field.preprocess = static_cast<Preprocess>(settings >> 3 & 3);
  if (bit(settings, 5)) field.na_values = {"x", "NA"};
  if (bit(settings, 6)) field.min_categr_count = 2;
  return field;
}

FieldConfig sequence(uint8_t settings) {
  FieldConfig field;
  field.name = "s";
  field.type = FieldType::sequence;
  field.max_len = settings & 3;
  if (bit(settings, 2)) field.padding = Padding::pre;
  if (bit(settings, 3)) field.splitter = "||";
  if (bit(settings, 4)) field.fill_na = "-";
  if (bit(settings, 5)) field.share_embedding = "c";
  if (bit(settings, 6)) field.min_categr_count = 2;
  return field;
}

FieldConfig numeric(uint8_t settings) {
  FieldConfig field;
  field.name = "n";
  field.type = FieldType::numeric;
  field.cell = bit(settings, 2) ? CellType::integer : CellType::real;
  field.normalizer = static_cast<Normalizer>((settings & 3) % 3);
  if (bit(settings, 3)) field.fill_na = "0.5";
  if (bit(settings, 4)) field.na_values = {"x"};
  return field;
}

DatasetConfig config_of(std::string_view settings, const std::string& file) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(settings[i]); };
  DatasetConfig config;
  config.id = "set";
  config.train_data = config.valid_data = file;
  config.label = "y";
  if (bit(byte(0), 0)) config.quote = Quote::none;
  if (bit(byte(0), 1)) config.separator = ";";
  if (bit(byte(0), 2)) config.columns = {"y", "c", "s", "n", "w", "g"};
  if (bit(byte(0), 3)) config.weight = "w";
  if (bit(byte(0), 4)) config.group = "g";
  if (bit(byte(0), 5)) config.label_kind = LabelKind::number;
  if (bit(byte(0), 6)) config.label_positive = {"1", "yes"};
  if (bit(byte(3), 5) && !bit(byte(0), 6)) config.label_threshold = 2;
  config.fields = {categorical(byte(1)), sequence(byte(2)), numeric(byte(3))};
  return config;
}

template <class T>
bool same_bits(const T* a, const T* b, int64_t n) {
  return n == 0 || std::memcmp(a, b, static_cast<size_t>(n) * sizeof(T)) == 0;
}

// Whether `rows` gives the rows of `file`, in batches of `size`.
void compare(const EncodedFile& file, RawFile rows, int64_t size, const char* property) {
  const int64_t ids = file.id_columns(), numbers = file.numeric_columns();
  Batch batch;
  int64_t row = 0;
  while (rows.next(batch, size)) {
    fuzz::require(row + batch.rows <= file.rows(), "no more rows than were prepared");
    for (int64_t i = 0; i < batch.rows; ++i, ++row) {
      const size_t at = static_cast<size_t>(i);
      bool same = same_bits(file.ids(row), batch.ids.data() + i * ids, ids) &&
                  same_bits(file.numerics(row), batch.numerics.data() + i * numbers, numbers);
      const float label = file.label(row);
      same = same && same_bits(&label, &batch.labels[at], 1);
      if (file.layout().weights) same = same && file.weight(row) == batch.weights[at];
      if (file.layout().groups) same = same && file.group(row) == batch.groups[at];
      fuzz::require(same, property);
    }
  }
  fuzz::require(row == file.rows(), "as many rows as were prepared");
}

// The cells of the columns of `names`, row by row.
struct Cells {
  std::vector<std::string> names;
  std::vector<Chunk> chunks;  // hold the bytes
  std::vector<std::string_view> cells;
};

Cells cells_of(const DatasetConfig& config) {
  Cells all{{"c", "s", "n", "y"}, {}, {}};
  if (!config.weight.empty()) all.names.push_back(config.weight);
  if (!config.group.empty()) all.names.push_back(config.group);
  const auto source = open_rows(config.train_data, config);
  source->select(all.names);
  for (Chunk chunk; source->read(chunk);) all.chunks.push_back(std::move(chunk));
  for (Chunk& chunk : all.chunks) {
    source->parse(chunk);
    for (int64_t row = 0; row < chunk.rows(); ++row) {
      for (size_t i = 0; i < all.names.size(); ++i) all.cells.push_back(chunk.cell(row, static_cast<int64_t>(i)));
    }
  }
  return all;
}

void read(std::string_view input) {
  constexpr size_t kSettings = 4;
  if (input.size() < kSettings) return;
  const std::string_view text = input.substr(kSettings);
  if (text.starts_with("\x1F\x8B") || text.starts_with("\x28\xB5\x2F\xFD")) return;  // the target `compressed`
  const DatasetConfig config = config_of(input.substr(0, kSettings), fuzz::put("rows.csv", text));
  const std::string cache = fuzz::path("cache");
  std::filesystem::remove_all(cache);
  prepare(config, cache);
  fuzz::accepted("a file that was prepared is encoded", [&] {
    const PreparedData prepared = prepare_and_open(config, cache);
    prepared.verify();
    fuzz::require(!prepared.summary.made, "a cache that was just made is fresh");
    if (!prepared.train) return;
    const Encoder encoder = Encoder::load(cache);
    compare(*prepared.train, RawFile(encoder, config.train_data, true), 2, "training rows are those of the encoder");
    compare(*prepared.valid, RawFile(encoder, config.train_data, true), 4096, "validation rows, too");
    const Cells cells = cells_of(config);
    compare(*prepared.train, RawFile(encoder, std::make_unique<MemoryRows>(cells.names, cells.cells), true), 1,
            "rows of the same cells in memory are equal");
  });
}

}  // namespace
}  // namespace kdef::data

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::data::read);
}
