// parquet.h of a program that is built without Arrow.
#include "core/base/error.h"
#include "data/raw/parquet.h"

namespace kdef::data {

bool reads_parquet() { return false; }

std::unique_ptr<RowSource> open_parquet(const std::string& path) {
  throw InputError(cat(path,
                       ": this is a Parquet file, and this kdef is built without Apache Arrow; build it with Arrow "
                       "C++ (-DKDEF_PARQUET=ON; third_party/README.md), or convert the rows, for instance in Python: "
                       "pandas.read_parquet(\"FILE.parquet\").to_csv(\"FILE.csv\", index=False)"));
}

}  // namespace kdef::data
