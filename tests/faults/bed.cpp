#include "tests/faults/bed.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <regex>

#include "core/base/error.h"
#include "core/io/safetensors.h"

namespace kdef::test {
namespace {

namespace fs = std::filesystem;
constexpr unsigned kSeconds = 60;  // after which a process is taken to hang, and killed
constexpr const char *kWhole = "whole", *kDamaged = "damaged";

std::vector<std::string> words(const std::string& text, char separator) {
  std::vector<std::string> all;
  for (const std::string& word : split(text, separator)) {
    if (!word.empty()) all.push_back(word);
  }
  return all;
}

// The child's part of Bed::run().
[[noreturn]] void start(const std::string& folder, const std::vector<std::string>& arguments,
                        const std::map<std::string, std::string>& environment, const std::string& output) {
  for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
  const int fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  const int input = ::open("/dev/null", O_RDONLY);
  ::alarm(kSeconds);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  if (::chdir(folder.c_str()) == 0 && ::dup2(input, 0) == 0 && ::dup2(fd, 1) == 1 && ::dup2(fd, 2) == 2) {
    ::execv(argv[0], argv.data());
  }
  ::_exit(127);
}

// The number of whole records of a TensorBoard file: length (8 bytes), its checksum (4), bytes, their checksum (4).
std::string records(const std::string& bytes) {
  size_t at = 0, count = 0;
  for (; at + 12 <= bytes.size(); ++count) {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data() + at, 8);
    at += 16 + length;
  }
  return at == bytes.size() ? cat(count, " records") : kDamaged;
}

std::string checked(const std::string& path) {
  try {
    return SafetensorsFile(path).checked() ? kWhole : kDamaged;
  } catch (const Error&) {
    return kDamaged;
  }
}

// What a file says beside the clock.
std::string content_of(const fs::path& path) {
  static const std::regex seconds("\"seconds\":[^,]*,"), last_cells(",[^,\n]*,[^,\n]*\n"),
      last_columns("[^|\n]*\\|[^|\n]*\\|\n");
  const std::string name = path.filename().string(), bytes = read_file(path.string());
  if (name.ends_with(".jsonl")) return std::regex_replace(bytes, seconds, "");
  if (name == "sweep.csv") return std::regex_replace(bytes, last_cells, "\n");
  if (name == "sweep.md") return std::regex_replace(bytes, last_columns, "\n");
  if (name == "state.safetensors") return checked(path.string());
  if (name.ends_with(".safetensors")) return checked(path.string()) + bytes;
  if (name.find(".tfevents.") != std::string::npos) return records(bytes);
  return bytes;
}

bool are_lines_of(const std::string& part, const std::string& whole) {
  const std::vector<std::string> known = words(whole, '\n');
  for (const std::string& line : words(part, '\n')) {
    if (std::find(known.begin(), known.end(), line) == known.end()) return false;
  }
  return part.empty() || part.back() == '\n';
}

}  // namespace

Bed::Bed() {
  fs::create_directories(path("work"));
  put(path("shape.json"),
      R"({"dataset": "tiny", "label": "click", "fields": [{"name": "user", "type": "categorical", "vocab_size": 12},
          {"name": "item", "type": "categorical", "vocab_size": 9}, {"name": "age", "type": "numeric"}]})");
}

Outcome Bed::run(const std::string& arguments, const Injection& injection) const {
  std::vector<std::string> argv = {KDEF_PROGRAM};
  for (const std::string& word : words(arguments, ' ')) argv.push_back(word);
  const std::string output = folder_.path() + ".output", count_file = folder_.path() + ".counts";
  fs::remove(count_file);
  const std::map<std::string, std::string> environment = {{"OMP_NUM_THREADS", "1"},
                                                          {"LD_PRELOAD", KDEF_INJECT},
                                                          {"KDEF_FAULT_FOLDER", folder_.path()},
                                                          {"KDEF_FAULT_CALL", injection.call},
                                                          {"KDEF_FAULT_ERROR", injection.error},
                                                          {"KDEF_FAULT_AT", std::to_string(injection.at)},
                                                          {"KDEF_FAULT_COUNT_FILE", count_file}};
  const pid_t child = ::fork();
  if (child == 0) start(folder_.path(), argv, environment, output);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  Outcome outcome;
  if (WIFEXITED(status)) outcome.status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
  outcome.text = read_file(output);
  for (const std::string& line : words(read_file(count_file), '\n')) {
    const std::vector<std::string> parts = words(line, ' ');
    if (parts[0] == "hit") {
      outcome.hit_call = parts.at(1);
      const bool is_absolute = parts.at(2).starts_with(folder_.path() + "/");
      outcome.hit_path = is_absolute ? parts[2].substr(folder_.path().size() + 1) : parts[2];
      outcome.hit_writes = parts.at(3) == "write";
    } else {
      read_number(parts.at(1), outcome.counts[parts[0]]);
    }
  }
  return outcome;
}

void Bed::copy(const std::string& from, const std::string& to) const {
  fs::remove_all(path(to));
  fs::copy(path(from), path(to), fs::copy_options::recursive);
}

void Bed::age(const std::string& name) const {
  using namespace std::chrono_literals;
  for (const auto& entry : fs::recursive_directory_iterator(path(name))) {
    if (entry.is_regular_file()) fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - 1h);
  }
}

Files Bed::files(const std::string& name) const {
  Files all;
  for (const auto& entry : fs::recursive_directory_iterator(path(name))) {
    std::string file = fs::relative(entry.path(), path(name)).string();
    const size_t events = file.find("events.out.");
    if (events != std::string::npos && is_final(file)) file.resize(events + 6);  // the time is part of the name
    if (entry.is_directory()) {
      all[file + "/"] = "";
    } else {
      all[file] = content_of(entry.path());
    }
  }
  return all;
}

bool is_final(const std::string& name) {
  return name.find(".part-") == std::string::npos && !name.ends_with(".new") &&
         name.find(".temporary") == std::string::npos;
}

std::string without_parts(const std::string& name) {
  static const std::regex part("\\.part-[a-z]{6}"), fresh("\\.new$");
  return std::regex_replace(std::regex_replace(name, part, ""), fresh, "");
}

bool is_whole(const std::string& name, const std::string& content, const Files& before, const Files& after) {
  const auto found = [&](const Files& files) {
    const auto it = files.find(name);
    return it == files.end() ? std::string() : it->second;
  };
  const auto equals = [&](const Files& files) { return files.count(name) > 0 && files.at(name) == content; };
  if (equals(before) || equals(after)) return true;
  if (name.ends_with("/")) return true;
  // Logs grow by whole lines; the table of a sweep has a line for what is finished.
  if (name.ends_with(".jsonl") || name.ends_with("sweep.csv"))
    return are_lines_of(content, found(after) + found(before));
  if (name.ends_with("sweep.md"))
    return content.ends_with("- Seconds are those of training, evaluations included; a step is one batch.\n");
  if (name.ends_with(".safetensors")) return content.starts_with(kWhole);  // a model of an earlier epoch
  if (name.ends_with("events")) return content != kDamaged;
  return false;
}

}  // namespace kdef::test
