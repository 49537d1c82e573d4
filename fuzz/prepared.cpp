// prepared.json, which says what a cache holds and what it was made from, in a folder with the other files of a cache.
#include "data/encode/prepare.h"
#include "fuzz/fuzz.h"

namespace kdef::data {
namespace {

DatasetConfig dataset() {
  DatasetConfig config;
  config.id = "set";
  config.train_data = fuzz::put("train.csv", "label,a,x\n1,u,0.5\n0,v,2\n1,u,-1\n");
  config.valid_data = config.train_data;
  for (const char* name : {"a", "x"}) {
    FieldConfig field;
    field.name = name;
    config.fields.push_back(field);
  }
  config.fields.back().type = FieldType::numeric;
  config.fields.back().cell = CellType::real;
  return config;
}

void read(std::string_view input) {
  static const DatasetConfig config = dataset();
  static const std::string cache = fuzz::path("cache");
  static const Prepared made = prepare(config, cache);
  fuzz::put("cache/prepared.json", input);
  is_fresh(config, cache);
  const Prepared prepared = open_prepared(cache);
  fuzz::require(prepared.train_rows == made.train_rows || prepared.train_rows == 0, "rows are those of the file");
}

}  // namespace
}  // namespace kdef::data

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::data::read);
}
