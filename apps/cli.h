// What the subcommands share: options, overrides, help, and exit statuses.
// A subcommand is one file with `int NAME(const Arguments& arguments)` and one row in the table of main.cpp.
#pragma once

#include <boost/program_options.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor/device.h"
#include "kdef/config/config.h"

namespace kdef::apps {

namespace po = boost::program_options;

enum ExitStatus { kDone = 0, kCheckFailed = 1, kBadInput = 2, kSystemFailed = 3, kInterrupted = 130 };

/// How the program was called ("build/bin/kdef"), for hints that can be pasted.
const std::string& program_name();
void set_command_line(char** argv);
/// The threads of libgomp wait for each other by spinning for milliseconds. On a machine with other work that takes the
/// processor from the very thread that is waited for: training was seen to take up to nine times as long. Limits it,
/// where there are several threads and the user has not said how they wait, by starting the program again: to be called
/// before anything is done. use_threads() does.
void limit_spinning();

using Arguments = std::vector<std::string>;  // after the subcommand's name

struct Synopsis {
  const char* command;      // "train"
  const char* usage;        // what follows it: "--config DIR --expid ID [key=value...]"
  const char* description;  // for --help
  enum class Rest { none, overrides, paths } rest = Rest::none;  // what may stand beside options
};

struct Parsed {
  po::variables_map options;
  std::vector<std::string> rest;

  bool has(const char* option) const { return options.count(option) != 0; }
  /// InputError where it is empty.
  std::string text(const char* option) const;
  bool flag(const char* option) const { return options[option].as<bool>(); }
  /// InputError below `min`.
  int64_t integer(const char* option, int64_t min) const;
};

/// Reads the arguments. Nothing: --help was asked for and has been printed. Throws InputError that names an option
/// which is unknown, lacks its value, has one of the wrong type, or is required and missing.
std::optional<Parsed> parse(const Synopsis& synopsis, const po::options_description& options,
                            const Arguments& arguments);

/// --config, --expid: required where `required`.
void add_config_options(po::options_description& options, bool required = true);
/// Loads the experiment that they name, with `parsed.rest` as overrides, and says on standard error what is ignored.
ExperimentConfig load_config(const Parsed& parsed, bool dataset_required = true);

/// The file that --data names, or else `configured`, which the run's configuration calls `key`; InputError where that
/// is empty or not there.
std::string run_data(const Parsed& parsed, const std::string& configured, const char* key);

/// --threads; sets their number.
void add_threads_option(po::options_description& options);
void use_threads(const Parsed& parsed);
/// --device; InputError for a device that this build has not.
void add_device_option(po::options_description& options);
Device use_device(const Parsed& parsed);

/// Says on standard error what the exception being handled is about, and returns its exit status.
int report_exception() noexcept;

}  // namespace kdef::apps
