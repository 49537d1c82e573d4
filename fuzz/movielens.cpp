// MovieLens-1M. An input that begins with "PK" is an archive; another one has the three .dat files as its parts: users,
// movies, ratings.
#include "data/builtin/movielens.h"

#include "fuzz/fuzz.h"

namespace kdef::data {
namespace {

void read(std::string_view input) {
  std::string source = fuzz::path("ml-1m.zip");
  if (input.starts_with("PK")) {
    fuzz::put("ml-1m.zip", input);
  } else {
    source = fuzz::path("ml-1m");
    std::filesystem::create_directories(source);
    std::vector<std::string> files = fuzz::parts(input, 3);
    files.resize(3);
    fuzz::put("ml-1m/users.dat", files[0]);
    fuzz::put("ml-1m/movies.dat", files[1]);
    fuzz::put("ml-1m/ratings.dat", files[2]);
  }
  fuzz::require(is_movielens(source), "the source is recognised by its names");
  const MovieLensResult result = convert_movielens(source, fuzz::path("out"), 1, true);
  fuzz::require(result.train_rows >= result.valid_rows && result.test_rows >= 0, "the rows are split");
}

}  // namespace
}  // namespace kdef::data

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::data::read);
}
