#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/terminal.h"
#include "core/base/parallel.h"
#include "data/builtin/benchmark.h"

namespace kdef::apps {
namespace {

void add_data_options(po::options_description& options, int64_t rows) {
  options.add_options()("shape", po::value<std::string>()->value_name("SHAPE")->default_value("criteo"),
                        "criteo, ml-1m, default, or the file of a feature map (JSON)");
  options.add_options()("rows", po::value<int64_t>()->value_name("N")->default_value(rows), "rows of synthetic data");
  options.add_options()("seconds", po::value<int64_t>()->value_name("S")->default_value(10),
                        "measure for about S seconds");
  options.add_options()("folder", po::value<std::string>()->value_name("DIR"),
                        "folder for the data, which is removed afterwards (default: the system's temporary folder)");
  add_threads_option(options);
}

data::DataBenchmarkConfig data_config(const Parsed& parsed) {
  data::DataBenchmarkConfig config;
  config.folder = parsed.has("folder") ? parsed.text("folder") : std::filesystem::temp_directory_path().string();
  config.shape = parsed.text("shape");
  config.rows = parsed.integer("rows", 10);
  config.seconds = static_cast<double>(parsed.integer("seconds", 1));
  return config;
}

void print_result(const data::DataBenchmark& r, const data::DataBenchmarkConfig& config, const char* doing) {
  print("%s %lld rows, shape %s, %d threads, %d repetitions\n", doing, static_cast<long long>(config.rows),
        config.shape.c_str(), num_threads(), r.repetitions);
  print("  %.3f s, %.3f s of processor time, %.0f rows/s, %.0f MB/s\n", r.seconds, r.cpu_seconds, r.rows_per_s,
        r.mb_per_s);
  const nlohmann::ordered_json json{
      {"rows_per_s", r.rows_per_s},   {"mb_per_s", r.mb_per_s}, {"peak_mib", r.peak_mib},  {"seconds", r.seconds},
      {"cpu_seconds", r.cpu_seconds}, {"rows", config.rows},    {"threads", num_threads()}};
  print("%s\n", json.dump().c_str());
}

}  // namespace

int bench_prepare(const Arguments& arguments) {
  po::options_description options;
  add_data_options(options, 1000000);
  const auto parsed = parse({"bench prepare", "[--shape criteo|ml-1m|FILE] [--rows N] [--threads N] [--folder DIR]",
                             "Times kdef prepare on synthetic tab-separated rows, train : valid : test as 8 : 1 : 1.\n"
                             "Each repetition starts without a cache. The last line is one JSON object: rows_per_s,\n"
                             "mb_per_s (of raw text), peak_mib (of the process), seconds, cpu_seconds."},
                            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  const data::DataBenchmarkConfig config = data_config(*parsed);
  print_result(data::benchmark_prepare(config), config, "Preparing");
  return kDone;
}

int bench_load(const Arguments& arguments) {
  po::options_description options;
  add_data_options(options, 4000000);
  options.add_options()("batch", po::value<int64_t>()->value_name("B")->default_value(10000), "rows per batch");
  options.add_options()("window", po::value<int64_t>()->value_name("ROWS"),
                        "rows that are shuffled together (default: all; for a file larger than half of the memory, a "
                        "quarter of the memory)");
  options.add_options()("cold", po::bool_switch(),
                        "read each epoch from disk: drop the file from the system's page cache first");
  const auto parsed =
      parse({"bench load", "[--shape criteo|ml-1m|FILE] [--rows N] [--batch B] [--window ROWS] [--cold]",
             "Times epochs of shuffled batches from an encoded file, loaded as in training. The last\n"
             "line is one JSON object: rows_per_s, mb_per_s (of encoded rows), peak_mib (of the\n"
             "process, including the mapped pages of the file), seconds, cpu_seconds."},
            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  data::DataBenchmarkConfig config = data_config(*parsed);
  config.batch_size = parsed->integer("batch", 1);
  if (parsed->has("window")) config.window = parsed->integer("window", 1);
  config.cold = parsed->flag("cold");
  print_result(data::benchmark_load(config), config, "Loading");
  return kDone;
}

}  // namespace kdef::apps
