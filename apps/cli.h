// Options, overrides, help and exit statuses of all subcommands.
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
/// Limits how long waiting threads spin. Without a limit, threads of libgomp spin for milliseconds; on a busy machine
/// they take the processor from the thread that they wait for, and training took up to nine times as long. The limit
/// takes effect by starting the program again, so this must be called first; use_threads() calls it. Nothing happens
/// with one thread, or if the environment says how threads wait.
void limit_spinning();

using Arguments = std::vector<std::string>;  // after the subcommand's name

struct Synopsis {
  const char* command;      // "train"
  const char* usage;        // what follows the command: "--config DIR --expid ID [key=value...]"
  const char* description;  // for --help, which breaks its lines; a line that starts with a space is kept
  /// Arguments besides options.
  enum class Rest { none, overrides, paths, file_and_overrides } rest = Rest::none;
};

struct Parsed {
  po::variables_map options;
  std::string file;  // of Rest::file_and_overrides
  std::vector<std::string> rest;

  bool has(const char* option) const { return options.count(option) != 0; }
  /// The text of an option. Throws InputError if it is empty.
  std::string text(const char* option) const;
  bool flag(const char* option) const { return options[option].as<bool>(); }
  /// The number of an option. Throws InputError if it is below `min`.
  int64_t integer(const char* option, int64_t min) const;
};

/// Reads the arguments. Prints the help and returns nothing if they hold --help. Throws InputError, with the name of
/// the option, if an option is unknown, has no value or one of the wrong type, or is required and missing.
std::optional<Parsed> parse(const Synopsis& synopsis, const po::options_description& options,
                            const Arguments& arguments);

/// Adds --config and --expid.
void add_config_options(po::options_description& options, bool required = true);
/// Prints the keys of an experiment that have no effect, and its notes, on standard error.
void say_notes(const ExperimentConfig& config);
/// Loads the experiment that --config and --expid name, with `parsed.rest` as overrides, and does say_notes().
ExperimentConfig load_config(const Parsed& parsed, bool dataset_required = true);

/// The file that --data names; without --data `configured`, the value of `key` in the run's configuration. Throws
/// InputError if `configured` is empty or does not exist.
std::string run_data(const Parsed& parsed, const std::string& configured, const char* key);

/// Adds --threads; sets the number of threads.
void add_threads_option(po::options_description& options);
void use_threads(const Parsed& parsed);
/// Adds --device; returns that device. Throws InputError for a device that this build does not support.
void add_device_option(po::options_description& options);
Device use_device(const Parsed& parsed);

/// Prints each line on standard error, as a warning.
void say_warnings(const std::vector<std::string>& lines);

/// Prints the message of the current exception on standard error. Returns the exit status.
int report_exception() noexcept;

}  // namespace kdef::apps
