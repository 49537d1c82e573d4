// The program kdef: finds the subcommand, and turns exceptions into exit statuses.

#include <csignal>
#include <iostream>

#include "apps/commands.h"
#include "apps/process_group.h"
#include "apps/terminal.h"
#include "core/base/error.h"
#include "core/base/isa.h"
#include "core/base/names.h"
#include "data/raw/parquet.h"
#include "ops/gemm/gemm.h"

namespace kdef::apps {
namespace {

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const Arguments&);
  bool together = false;  // several processes may do it together
};

constexpr Command kCommands[] = {
    {"demo", "train on built-in data or MovieLens-1M and compare", demo},
    {"init", "write a configuration for a file of rows", init},
    {"synth", "write synthetic click data", synth},
    {"prepare", "encode a data set into its cache", prepare, true},
    {"train", "train an experiment, or resume one", train, true},
    {"sweep", "train an experiment over values of keys and seeds", sweep},
    {"tune", "train the experiments of a tuner file of FuxiCTR", tune},
    {"evaluate", "measure a trained run on a file", evaluate, true},
    {"predict", "write click probabilities for a file of rows", predict, true},
    {"importance", "measure how much a model needs each field", importance},
    {"collapse", "measure how many dimensions a trained model uses", collapse},
    {"export", "write one student of an ensemble, to serve it", export_run},
    {"import", "make a run of weights that were trained elsewhere", import_weights},
    {"report", "show runs or a sweep as one HTML page", report},
    {"info", "print the networks and parameters of an experiment", info},
    {"networks", "list the networks; print their papers, formulas and keys", networks},
    {"audit", "check gradients; replay recorded runs", audit},
    {"bench", "measure speed: training, prediction, data", bench, true},
};

void print_help(std::ostream& out) {
  out << "kdef " << KDEF_VERSION << ": knowledge-driven ensembles for click-through-rate prediction\n\n"
      << "usage: kdef SUBCOMMAND [options] [key=value...]\n\nSubcommands:\n";
  for (const Command& command : kCommands) {
    out << "  " << command.name << std::string(12 - std::string(command.name).size(), ' ') << command.summary << "\n";
  }
  out << "\n'kdef SUBCOMMAND --help' explains a subcommand.\n"
      << "'kdef --version' prints the version.\n"
      << "Exit status: 0 done, 1 a check failed, 2 wrong input, 3 system failure,\n"
      << "130 interrupted.\n";
}

const char* built_with_cuda() {
#if defined(KDEF_HAS_CUDA)
  return ", CUDA";
#else
  return ", without CUDA";
#endif
}

std::string compiled_for() {
  const std::string arch = KDEF_ARCH, levels = KDEF_LEVELS;
  return cat(arch.empty() ? "compiled without -march" : "compiled with -march=" + arch,
             levels.empty() ? "" : "; the package has " + levels);
}

int run_command(const Command& command, const Arguments& arguments) {
  if (!command.together) check_alone(command.name);
  return command.run(arguments);
}

int run(const Arguments& arguments) {
  if (arguments.empty()) {
    print_help(std::cerr);
    return kBadInput;
  }
  const std::string& name = arguments[0];
  if (name == "--help" || name == "-h" || name == "help") {
    print_help(std::cout);
    return kDone;
  }
  if (name == "--version") {
    std::cout << "kdef " << KDEF_VERSION << "\n"
              << ops::gemm_backend_name() << built_with_cuda()
              << (data::reads_parquet() ? ", Parquet" : ", without Parquet") << "; predictions by "
              << name_of(chosen_isa()) << "\n"
              << compiled_for() << "\n";
    return kDone;
  }
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (name == command.name) return run_command(command, {arguments.begin() + 1, arguments.end()});
    names.push_back(command.name);
  }
  throw InputError(cat("unknown subcommand '", name, "'", did_you_mean(name, names), "; see kdef --help"));
}

}  // namespace
}  // namespace kdef::apps

int main(int argc, char** argv) {
  using namespace kdef::apps;
  keep_standard_descriptors();
  escape_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit then fails with a reason
  if (argc > 0) set_command_line(argv);
  try {
    const int status = run({argv + 1, argv + argc});
    finish_standard_output();
    return status;
  } catch (...) {
    return report_exception();
  }
}
