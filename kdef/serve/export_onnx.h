// Exports a trained run as an ONNX model.
#pragma once

#include <string>

#include "kdef/run/export.h"
#include "kdef/serve/onnx.h"

namespace kdef {

/// Writes `student` of `run`, chosen as in export_run(), as one ONNX file (kdef/serve/onnx.h). An ensemble whose
/// students are trained has their predictions as a second output. The metadata says what was exported. Errors are those
/// of export_run() and onnx_model(); a file that is there is an InputError unless `overwrite` is set.
struct OnnxExport {
  OnnxOptions::Inputs inputs = OnnxOptions::Inputs::named;
  /// Named inputs are text and raw numbers: the file holds the vocabularies and the scales. A word means what the same
  /// cell means in a CSV file. A sequence is one text per token; an empty text is padding. InputError for matrices, for
  /// a field of words that are not its cells verbatim (preprocess, or numbers), and for numbers with a preprocess.
  bool words = false;
  bool overwrite = false;
};
Exported export_onnx(const std::string& run, const std::string& student, const OnnxExport& options,
                     const std::string& path);

}  // namespace kdef
