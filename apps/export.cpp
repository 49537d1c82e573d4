#include "kdef/run/export.h"

#include <iostream>

#include "apps/commands.h"
#include "apps/report_lines.h"
#include "core/base/error.h"

namespace kdef::apps {

int export_run(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("run", po::value<std::string>()->value_name("DIR")->required(), "run directory of kdef train");
  options.add_options()("student", po::value<std::string>()->value_name("best|N|ensemble")->required(),
                        "the student with the best validation AUC, student N, or the whole ensemble");
  options.add_options()("out", po::value<std::string>()->value_name("DIR")->required(),
                        "directory to write into; FILE.safetensors: the state_dict of FuxiCTR's class of the network");
  options.add_options()(
      "vocabulary", po::value<std::string>()->value_name("FILE"),
      "for FILE.safetensors: feature_vocab.json of FuxiCTR, in whose order the rows of tables are to stand");
  const auto parsed = parse({"export", "--run DIR --student best|N|ensemble --out DIR",
                             "Writes one student of a trained ensemble, with the embedding that it reads, as a run\n"
                             "directory for kdef predict, evaluate and report. One student costs less to serve than\n"
                             "the ensemble. 'ensemble' writes the whole model without the state of its training.\n"
                             "A file whose name ends in .safetensors holds the weights alone, under the names of\n"
                             "FuxiCTR's class; kdef import reads such a file."},
                            options, arguments);
  if (!parsed) return kDone;
  const std::string out = parsed->text("out");
  const std::string run = parsed->text("run"), student = parsed->text("student");
  const bool weights_alone = out.ends_with(".safetensors");
  if (parsed->has("vocabulary") && !weights_alone) {
    throw InputError("--vocabulary: is for --out FILE.safetensors; a run keeps its own vocabulary");
  }
  const std::string vocabulary = parsed->has("vocabulary") ? parsed->text("vocabulary") : "";
  const Exported e =
      weights_alone ? kdef::export_state_dict(run, student, vocabulary, out) : kdef::export_run(run, student, out);
  const std::string what = e.student > 0 ? cat("Student ", e.student, " of ", e.students) : "The ensemble";
  std::cout << what << ": " << e.parameters << " of " << e.run_parameters << " parameters, in " << out << "\n";
  const auto show = [&](const char* data, const Evaluation& all, const Evaluation& chosen) {
    std::cout << quality_line(cat(data, ", ensemble"), all.ensemble) << "\n";
    if (e.student > 0) std::cout << quality_line(cat(data, ", student"), chosen.ensemble) << "\n";
  };
  show("valid", e.run_valid, e.valid);
  if (e.test) show("test", *e.run_test, *e.test);
  return kDone;
}

}  // namespace kdef::apps
