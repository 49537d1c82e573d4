#include "data/builtin/benchmark.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <optional>
#include <vector>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "core/io/file.h"
#include "core/io/temporary_folder.h"
#include "data/builtin/synth.h"
#include "data/encode/cache.h"
#include "data/encode/prepare.h"
#include "data/feed/batching.h"
#include "data/raw/byte_source.h"

namespace kdef::data {
namespace {

namespace fs = std::filesystem;

double cpu_seconds() {
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return 0.5 * (v[(v.size() - 1) / 2] + v[v.size() / 2]);
}

// Calls work(repetition) once to warm up, then until the time is over.
template <class Work>
DataBenchmark measure(const DataBenchmarkConfig& config, int64_t rows, int64_t bytes, Work&& work) {
  work(0);
  std::vector<double> walls, cpus;
  const double until = seconds_now() + config.seconds;
  for (int64_t i = 1; i <= 3 || seconds_now() < until; ++i) {
    const double wall = seconds_now(), cpu = cpu_seconds();
    work(i);
    walls.push_back(seconds_now() - wall);
    cpus.push_back(cpu_seconds() - cpu);
  }
  DataBenchmark result;
  result.seconds = median(walls);
  result.cpu_seconds = median(cpus);
  result.rows_per_s = static_cast<double>(rows) / result.seconds;
  result.mb_per_s = 1e-6 * static_cast<double>(bytes) / result.seconds;
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  result.peak_mib = static_cast<double>(usage.ru_maxrss) / 1024;
  result.repetitions = static_cast<int>(walls.size());
  return result;
}

// Rewrites a CSV file with tabs in place of commas. Synthetic rows of these shapes have no quoted cells.
std::string as_tsv(const std::string& csv) {
  const std::string tsv = fs::path(csv).replace_extension(".tsv").string();
  AtomicFile out(tsv);
  const auto in = ByteSource::open(csv);
  std::string block(size_t{1} << 20, '\0');
  while (const size_t n = in->read(block.data(), block.size())) {
    std::replace(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(n), ',', '\t');
    out.write(block.data(), n);
  }
  out.commit();
  fs::remove(csv);
  return tsv;
}

// Drops a file from the system's cache. The file must be on disk and not mapped.
void drop_from_memory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw SystemError(cat(path, ": cannot be opened: ", std::strerror(errno)));
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
}

}  // namespace

DataBenchmark benchmark_prepare(const DataBenchmarkConfig& config) {
  const TemporaryFolder folder(config.folder);
  SynthConfig synth;
  synth.shape = config.shape;
  synth.rows = config.rows;
  synth.seed = config.seed;
  synth.out_dir = folder.path();
  DatasetConfig dataset = synthesize(synth).dataset;
  int64_t bytes = 0;
  for (std::string* file : {&dataset.train_data, &dataset.valid_data, &dataset.test_data}) {
    *file = as_tsv(*file);
    bytes += static_cast<int64_t>(fs::file_size(*file));
  }
  const std::string cache = folder / "cache";
  return measure(config, config.rows, bytes, [&](int64_t) {
    fs::remove_all(cache);
    prepare(dataset, cache);
  });
}

DataBenchmark benchmark_load(const DataBenchmarkConfig& config) {
  const TemporaryFolder folder(config.folder);
  const std::string path = folder / "rows.kdefbin";
  const FeatureMap map = shape_feature_map(config.shape);
  const RowLayout layout = layout_of(map);
  EncodedWriter writer(path, layout);
  Random random(config.seed, kStreamSynth);
  Batch batch;
  for (int64_t first = 0; first < config.rows; first += kBlockRows) {
    batch.resize(std::min(kBlockRows, config.rows - first), layout);
    for (int32_t& id : batch.ids) id = static_cast<int32_t>(random.bits() >> 1);
    for (float& number : batch.numerics) number = static_cast<float>(random.uniform());
    for (float& label : batch.labels) label = static_cast<float>(random.bits() & 1);
    writer.append(batch);
  }
  writer.commit();
  uint64_t sum = 0;
  std::optional<EncodedFile> file(path);
  std::optional<Loader> loader;
  const DataBenchmark result =
      measure(config, config.rows, static_cast<int64_t>(fs::file_size(path)), [&](int64_t epoch) {
        if (config.cold) {
          loader.reset();
          file.reset();
          drop_from_memory(path);
          file.emplace(path);
        }
        if (!loader) loader.emplace(*file, config.batch_size, true, config.seed, config.window);
        loader->start_epoch(epoch);
        int64_t rows = 0;
        while (loader->next(batch)) {
          rows += batch.rows;
          sum = std::accumulate(batch.ids.begin(), batch.ids.end(), sum);
        }
        KDEF_CHECK(rows == config.rows, "benchmark_load: ", rows, " of ", config.rows, " rows came");
      });
  KDEF_CHECK(sum > 0, "benchmark_load: the rows are empty");
  return result;
}

}  // namespace kdef::data
