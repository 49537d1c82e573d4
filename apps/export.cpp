#include <iostream>

#include "apps/commands.h"
#include "apps/report_lines.h"
#include "core/base/error.h"
#include "kdef/run/model_file.h"
#include "kdef/serve/export_onnx.h"

namespace kdef::apps {

namespace {

// Throws InputError where an option was given that is not for what is written.
void refuse(const Parsed& parsed, const char* option, const char* reason) {
  if (parsed.has(option)) throw InputError(cat("--", option, ": is for ", reason));
}

OnnxOptions::Inputs inputs_of(const Parsed& parsed) {
  const std::string inputs = parsed.has("inputs") ? parsed.text("inputs") : "named";
  if (inputs == "named") return OnnxOptions::Inputs::named;
  if (inputs == "matrix") return OnnxOptions::Inputs::matrix;
  throw InputError(cat("--inputs: expected named or matrix, found '", inputs, "'"));
}

// Writes what the name says: a folder, or a file of weights or of a model.
Exported write(const Parsed& parsed, const std::string& out) {
  const std::string run = parsed.text("run");
  const bool weights = out.ends_with(".safetensors"), onnx = out.ends_with(".onnx"), one = out.ends_with(".kdef"),
             overwrite = parsed.flag("overwrite");
  if (!weights) refuse(parsed, "vocabulary", "--out FILE.safetensors; a run keeps its own vocabulary");
  if (!onnx) refuse(parsed, "inputs", "--out FILE.onnx");
  if (!onnx && parsed.flag("words")) throw InputError("--words: is for --out FILE.onnx");
  if (!one && parsed.flag("private")) throw InputError("--private: is for --out FILE.kdef");
  const std::string of_file = parsed.has("student") ? parsed.text("student") : "ensemble";
  if (one) return export_model_file(run, of_file, {parsed.flag("private"), overwrite}, out);
  if (onnx) {
    return export_onnx(run, of_file, {inputs_of(parsed), parsed.flag("words"), overwrite}, out);
  }
  if (!parsed.has("student")) throw InputError("--student is missing: give best, a number or ensemble");
  const std::string student = parsed.text("student");
  if (weights) {
    return export_state_dict(run, student, parsed.has("vocabulary") ? parsed.text("vocabulary") : "", out, overwrite);
  }
  if (overwrite) throw InputError("--overwrite: is for a file; give the name of a new folder");
  return kdef::export_run(run, student, out);
}

}  // namespace

int export_run(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("run", po::value<std::string>()->value_name("DIR")->required(), "run directory of kdef train");
  options.add_options()("student", po::value<std::string>()->value_name("best|N|ensemble"),
                        "the student with the best validation AUC, student N, or the whole ensemble (FILE.onnx and "
                        "FILE.kdef: default ensemble; a directory and FILE.safetensors need it)");
  options.add_options()("out", po::value<std::string>()->value_name("DIR|FILE")->required(),
                        "directory to write into; FILE.safetensors: the state_dict of FuxiCTR's class of the network; "
                        "FILE.onnx: a model for ONNX Runtime; FILE.kdef: everything that predicts, in one file");
  options.add_options()(
      "vocabulary", po::value<std::string>()->value_name("FILE"),
      "for FILE.safetensors: feature_vocab.json of FuxiCTR, in whose order the rows of tables are to stand");
  options.add_options()("inputs", po::value<std::string>()->value_name("named|matrix"),
                        "for FILE.onnx: an input per field, or one of all ids and one of all numbers (default: named)");
  options.add_options()("words", po::bool_switch(),
                        "for FILE.onnx: text and raw numbers are the inputs, and the file holds the vocabularies");
  options.add_options()("private", po::bool_switch(),
                        "for FILE.kdef: hold hashes under a random key in place of the words of the vocabularies");
  options.add_options()("overwrite", po::bool_switch(), "replace the file FILE.safetensors, FILE.onnx or FILE.kdef");
  const auto parsed = parse({"export", "--run DIR --out DIR|FILE [--student best|N|ensemble]",
                             "Writes a trained ensemble, or one student of it with the embedding that it reads. One\n"
                             "student costs less to serve than the ensemble. The ending of --out chooses the form:\n"
                             "\n"
                             " no ending     a run directory for kdef predict, evaluate and report, without\n"
                             "               the state of its training\n"
                             " .kdef         all that predicts, in one file. kdef predict, evaluate, collapse\n"
                             "               and importance and the libraries read it like a run directory\n"
                             " .onnx         a model for ONNX Runtime, which reads encoded ids and\n"
                             "               numbers, or text with --words\n"
                             " .safetensors  the weights alone, under the names of FuxiCTR's class; kdef\n"
                             "               import reads such a file"},
                            options, arguments);
  if (!parsed) return kDone;
  const std::string out = parsed->text("out");
  const Exported e = write(*parsed, out);
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
