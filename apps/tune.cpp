#include <filesystem>
#include <iostream>

#include "apps/commands.h"
#include "apps/sweep_runner.h"
#include "core/base/error.h"
#include "core/base/names.h"
#include "kdef/study/tuner_plan.h"

namespace kdef::apps {
namespace {

// The tuner file's path without .yaml, as FuxiCTR names the folder.
std::string default_directory(const std::string& file) {
  const std::filesystem::path path(file);
  return (path.parent_path() / path.stem()).string();
}

void list_names(const TunerFile& file) {
  for (const TunerFile::Experiment& e : file.experiments()) std::cout << e.id << "  " << e.dataset_id << "\n";
}

}  // namespace

int tune(const Arguments& arguments) {
  po::options_description options;
  const auto text = [](const char* name) { return po::value<std::string>()->value_name(name); };
  options.add_options()("base-config", text("DIR"), "folder of the base experiment, instead of the file's base_config");
  options.add_options()("base-expid", text("ID"), "the base experiment, instead of the file's base_expid");
  options.add_options()("tag", text("TEXT"), "only experiments whose names contain this text");
  options.add_options()("names", po::bool_switch(), "list the names of experiments and data sets, and stop");
  add_sweep_options(options, "FILE without .yaml");
  const auto parsed = parse({"tune", "FILE [--out DIR] [--jobs N] [key=value...]",
                             "Trains the experiments of a tuner file of FuxiCTR: the product of the values in its\n"
                             "tuner_space, with FuxiCTR's names and in its order, into DIR/runs. Data sets are\n"
                             "prepared first, each once. key=value holds for every experiment, and changes no\n"
                             "name. Writes DIR/sweep.csv and DIR/sweep.md (a line for every choice of values) and\n"
                             "DIR/fuxictr.csv (the line that FuxiCTR writes for every experiment). Run the same\n"
                             "command again to continue after Ctrl-C or kill. An experiment that fails does not\n"
                             "stop the others; the exit status is that of the gravest failure. kdef report DIR\n"
                             "shows the result as a page.",
                             Synopsis::Rest::file_and_overrides},
                            options, arguments);
  if (!parsed) return kDone;
  const auto given = [&](const char* option) { return parsed->has(option) ? parsed->text(option) : ""; };
  const TunerFile file(parsed->file, given("base-config"), given("base-expid"));
  if (!file.ignored().empty()) std::cerr << "kdef: keys without effect here: " << joined(file.ignored()) << "\n";
  if (parsed->flag("names")) {
    list_names(file);
    return kDone;
  }
  use_threads(*parsed);
  Sweep sweep(plan_tuner(file, parsed->rest, given("tag")),
              parsed->has("out") ? parsed->text("out") : default_directory(parsed->file));
  say_notes(sweep.runs()[0].config);
  return run_sweep(sweep, *parsed);
}

}  // namespace kdef::apps
