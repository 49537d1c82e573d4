#include "apps/cli.h"

#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <new>
#include <typeinfo>

#include "apps/process_group.h"
#include "apps/terminal.h"
#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/parallel.h"
#include "core/base/shortage.h"
#include "core/base/text.h"
#include "data/raw/part_files.h"

namespace kdef::apps {
namespace {

std::vector<std::string> option_names(const po::options_description& options) {
  std::vector<std::string> names;
  for (const auto& option : options.options()) names.push_back("--" + option->long_name());
  return names;
}

constexpr size_t kColumns = 80;

// Breaks lines at spaces outside of brackets. A line that starts with a space is kept; so is an empty line.
std::string wrapped(const std::string& text, const std::string& indent = "") {
  std::string result, line;
  const auto end_line = [&] {
    if (!line.empty()) result += line + "\n";
    line.clear();
  };
  for (const std::string& paragraph : split(text, '\n')) {
    if (paragraph.empty() || paragraph[0] == ' ') {
      end_line();
      result += paragraph + "\n";
      continue;
    }
    std::string word;
    for (const std::string& part : split(paragraph, ' ')) {
      word += (word.empty() ? "" : " ") + part;
      if (std::count(word.begin(), word.end(), '[') != std::count(word.begin(), word.end(), ']')) continue;
      if (line.size() + 1 + word.size() > kColumns) end_line();
      line += line.empty() ? (result.empty() ? "" : indent) + word : " " + word;
      word.clear();
    }
  }
  end_line();
  return result;
}

}  // namespace

std::string Parsed::text(const char* option) const {
  const std::string& value = options[option].as<std::string>();
  if (value.empty()) throw InputError(cat("--", option, ": expected a value, found an empty text"));
  return value;
}

int64_t Parsed::integer(const char* option, int64_t min) const {
  const int64_t value = options[option].as<int64_t>();
  if (value < min) throw InputError(cat("--", option, ": expected an integer of at least ", min, ", found ", value));
  return value;
}

namespace {
std::string g_program = "kdef";
char** g_command_line = nullptr;
}  // namespace
const std::string& program_name() { return g_program; }
void set_command_line(char** argv) {
  g_command_line = argv;
  g_program = argv[0];
}

// Libgomp reads the limit of spinning when it is loaded. Therefore the program starts itself again, with a limit of
// about 20 us, which costs nothing on an idle machine. If that fails, the program goes on without a limit. It also does
// so if the dynamic loader was started with the program as its argument: then AT_BASE is 0, and /proc/self/exe is the
// loader.
void limit_spinning() {
  if (num_threads() == 1 || g_command_line == nullptr) return;
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  if (::getauxval(AT_BASE) == 0) return;
  char self[4096];
  const ssize_t length = ::readlink("/proc/self/exe", self, sizeof self - 1);
  if (length <= 0 || ::setenv("GOMP_SPINCOUNT", "10000", 0) != 0) return;
  self[length] = '\0';
  ::execv(self, g_command_line);
}

// What an unknown option probably means: an option of FuxiCTR's scripts, a key of the experiment, which the command
// takes as KEY=VALUE, or a misspelt one of this command.
std::string hint_for(const std::string& option, const po::options_description& known, bool takes_keys) {
  const auto has = [&](const char* name) { return known.find_nothrow(name, false) != nullptr; };
  if (option == "--gpu" && has("device")) return "; FuxiCTR's --gpu 0 is --device cuda, and --gpu -1 the default here";
  if (option == "--config" && !has("config") && has("base-config"))
    return "; the tuner file is given without an option";
  std::string key = option.substr(std::min(option.find_first_not_of('-'), option.size()));
  std::replace(key.begin(), key.end(), '-', '_');
  if (takes_keys && is_key(key)) return cat("; ", key, " is a key of the experiment: write ", key, "=VALUE");
  return did_you_mean(option, option_names(known));
}

std::optional<Parsed> parse(const Synopsis& synopsis, const po::options_description& options,
                            const Arguments& arguments) {
  const std::string see = cat("; see kdef ", synopsis.command, " --help");
  using Rest = Synopsis::Rest;
  const bool overrides = synopsis.rest == Rest::overrides || synopsis.rest == Rest::file_and_overrides;
  po::options_description visible;
  visible.add(options).add_options()("help,h", "print this and stop");
  po::options_description all;
  all.add(visible).add_options()("rest", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("rest", -1);

  Parsed parsed;
  try {
    const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(arguments).options(all).positional(positional).style(style).run(),
              parsed.options);
    if (parsed.has("help")) {
      std::cout << wrapped(cat("usage: kdef ", synopsis.command, " ", synopsis.usage), "    ") << "\n"
                << wrapped(synopsis.description) << "\nOptions:\n"
                << visible;
      return std::nullopt;
    }
    po::notify(parsed.options);
  } catch (const po::unknown_option& e) {
    throw InputError(
        cat("unknown option '", e.get_option_name(), "'", hint_for(e.get_option_name(), visible, overrides), see));
  } catch (const po::invalid_option_value& e) {
    std::string name = e.get_option_name();
    name.erase(0, name.find_first_not_of('-'));
    const auto* value = dynamic_cast<const po::typed_value_base*>(visible.find(name, false).semantic().get());
    const bool whole = value != nullptr && value->value_type() == typeid(int64_t);
    throw InputError(cat(e.what(), whole ? ": expected an integer" : ": expected a number", see));
  } catch (const po::error& e) {
    throw InputError(cat(e.what(), see));
  }

  if (parsed.has("rest")) parsed.rest = parsed.options["rest"].as<std::vector<std::string>>();
  if (synopsis.rest == Rest::file_and_overrides) {
    if (parsed.rest.empty() || parsed.rest[0].empty()) throw InputError(cat("a file is missing", see));
    parsed.file = parsed.rest[0];
    parsed.rest.erase(parsed.rest.begin());
  }
  for (const std::string& word : parsed.rest) {
    const bool override_like = word.find('=') != std::string::npos && word[0] != '=';
    if (synopsis.rest == Rest::none || (overrides && !override_like)) {
      const bool key = overrides && is_key(word);
      throw InputError(cat("unexpected argument '", word, "'", key ? cat(": write ", word, "=VALUE") : "",
                           overrides && !key ? ": expected an option or KEY=VALUE" : "", see));
    }
  }
  return parsed;
}

void add_config_options(po::options_description& options, bool required) {
  auto* config = po::value<std::string>()->value_name("DIR");
  auto* expid = po::value<std::string>()->value_name("ID");
  if (required) {
    config->required();
    expid->required();
  }
  options.add_options()("config", config, "folder with model_config.yaml and dataset_config.yaml");
  options.add_options()("expid", expid, "the experiment: an entry of model_config.yaml");
}

void say_notes(const ExperimentConfig& config) {
  if (!config.ignored.empty()) std::cerr << "kdef: keys without effect here: " << joined(config.ignored) << "\n";
  for (const std::string& note : config.notes) std::cerr << "kdef: " << note << "\n";
}

ExperimentConfig load_config(const Parsed& parsed, bool dataset_required) {
  const ExperimentConfig config =
      load_experiment(parsed.text("config"), parsed.text("expid"), parsed.rest, dataset_required);
  say_notes(config);
  return config;
}

std::string run_data(const Parsed& parsed, const std::string& configured, const char* key) {
  if (parsed.has("data")) return parsed.text("data");
  if (configured.empty()) {
    throw InputError(cat("the configuration of the run has no ", key, "; give a file with --data"));
  }
  if (!data::any_file(configured)) {
    throw InputError(cat(configured, ": the ", key,
                         " of the run's configuration does not exist here (a relative path starts ",
                         "at the current folder); give a file with --data"));
  }
  return configured;
}

void add_threads_option(po::options_description& options) {
  options.add_options()("threads", po::value<int64_t>()->value_name("N"), "number of threads (default: one per core)");
}

void use_threads(const Parsed& parsed) {
  if (parsed.has("threads")) {
    constexpr int64_t kMax = 4096;
    const int64_t threads = parsed.integer("threads", 1);
    if (threads > kMax) throw InputError(cat("--threads: expected at most ", kMax, ", found ", threads));
    set_num_threads(static_cast<int>(threads));
  }
  limit_spinning();
}

void add_device_option(po::options_description& options) {
  options.add_options()("device", po::value<std::string>()->value_name("cpu|cuda")->default_value("cpu"),
                        "device to compute on");
}

Device use_device(const Parsed& parsed) { return parse_device(parsed.text("device"), local_process()); }

void say_warnings(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    std::cerr << "kdef: ";
    print_coloured(Stream::error, Colour::yellow, "warning:");
    std::cerr << " " << line << "\n";
  }
}

int report_exception() noexcept {
  const auto say = [](const char* message) { std::cerr << "kdef: " << message << std::endl; };
  try {
    throw;
  } catch (const InputError& e) {
    say(e.what());
    return kBadInput;
  } catch (const CheckError& e) {
    say(e.what());
    return kCheckFailed;
  } catch (const std::bad_alloc&) {
    std::cerr << "kdef: not enough memory" << kMemoryAdvice << std::endl;  // allocates nothing
  } catch (const std::exception& e) {
    say(e.what());
  } catch (...) {
    say("failed for an unknown reason");
  }
  return kSystemFailed;
}

}  // namespace kdef::apps
