// A trained model as one file: settings, schema, words and weights, each a section with a checksum.
// docs/model-file.md describes the bytes. A Run opens it (kdef/run/run.h).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/io/mapped_file.h"
#include "kdef/run/export.h"

namespace kdef {

/// The sections of a model file. Opening checks the header, the checksum of every section and that all lie within the
/// file. InputError, which names the file, for one that is truncated, damaged, of another format or of a newer version.
class ModelFile {
 public:
  /// The first bytes of every model file.
  static constexpr std::string_view kMagic = "KDEFMOD\n";
  /// Every name that this version knows, in the order of a file.
  static constexpr std::array<const char*, 4> kSections = {"settings", "schema", "words", "weights"};

  /// Maps the file into memory. What is written into its bytes stays in this process.
  explicit ModelFile(const std::string& path);
  /// The bytes of a whole file, which begin at a multiple of 8 and outlive this object; `name` is for messages.
  ModelFile(std::string_view bytes, const std::string& name);
  ModelFile(const ModelFile&) = delete;
  ModelFile& operator=(const ModelFile&) = delete;

  const std::string& path() const { return path_; }
  /// Whether the bytes may be written, which are then this object's own; others' are to be read alone.
  bool is_writable() const { return file_.size() > 0; }
  /// The bytes of a section of this name. InputError where there is none.
  std::string_view section(std::string_view name) const;

 private:
  void read();

  std::string path_;
  MappedFile file_;
  std::string_view bytes_;
  std::vector<std::pair<std::string, std::string_view>> sections_;
};

struct ModelFileExport {
  /// In place of the words of the vocabularies, the file holds their 64-bit hashes (SipHash-2-4) under a random key,
  /// which stands in the file. Who has the file can still try whether a word is among them.
  bool hashes_only = false;
  bool overwrite = false;
};

/// Writes `student` of `run`, chosen as in export_run(), as one model file. It predicts and evaluates like the run, to
/// the last bit. The file gets its name by one rename, once all of it is on disk. Errors are those of export_run(); a
/// file that is there is an InputError unless `overwrite` is set.
Exported export_model_file(const std::string& run, const std::string& student, const ModelFileExport& how,
                           const std::string& path);

}  // namespace kdef
