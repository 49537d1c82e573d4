// libsvm and libffm text: every cell is one of the text's, or its indices joined; chunks of any size give the same.
#include "data/raw/svm_reader.h"

#include "fuzz/fuzz.h"

namespace kdef::data {
namespace {

std::string cells(const std::string& path, int64_t limit) {
  const std::vector<std::string> names = {"y", "qid", "features", "0", "1", "2", "1:value"};
  SvmReader reader(path, "y");
  reader.select(names);
  reader.limit_rows(limit);
  std::string all;
  for (Chunk chunk; reader.read(chunk);) {
    reader.parse(chunk);
    for (int64_t row = 0; row < chunk.rows(); ++row) {
      all += std::to_string(chunk.line(row));
      for (size_t slot = 0; slot < names.size(); ++slot) {
        all += '\t';
        all += chunk.cell(row, static_cast<int64_t>(slot));
      }
    }
  }
  return all;
}

void read(std::string_view input) {
  if (input.starts_with("\x1F\x8B") || input.starts_with("\x28\xB5\x2F\xFD")) return;  // the target `compressed`
  const std::string path = fuzz::put("rows.svm", input);
  is_svm_text(input);
  const std::string whole = cells(path, int64_t{1} << 40);
  fuzz::accepted("chunks of two rows are read",
                 [&] { fuzz::require(cells(path, 2) == whole, "chunks of any size give the same cells"); });
}

}  // namespace
}  // namespace kdef::data

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::data::read);
}
