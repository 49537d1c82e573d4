// Rows of libsvm and libffm text, which LightGBM, XGBoost, xLearn and others read:
//   LABEL INDEX:VALUE INDEX:VALUE ..          libsvm; qid:QUERY may stand before the first index
//   LABEL FIELD:INDEX:VALUE FIELD:INDEX:VALUE ..   libffm
// The columns are:
//   the label column of the data set   LABEL
//   qid                                QUERY
//   INDEX (libsvm)                     VALUE
//   features (libsvm)                  the indices of the row, with ^ between them
//   FIELD (libffm)                     the indices of the field, with ^ between them
//   FIELD:value (libffm)               the value of the field's first index
// A cell of what a row does not have is empty. Blank lines are skipped, and what follows a # is a comment.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/raw/byte_source.h"
#include "data/raw/row_source.h"

namespace kdef::data {

/// Whether the first line of a text is a row of libsvm or libffm with at least one index.
bool is_svm_text(std::string_view head);

class SvmReader : public RowSource {
 public:
  /// `label`: the name of the column of labels.
  SvmReader(const std::string& path, const std::string& label);

  void select(const std::vector<std::string>& names) override;
  bool read(Chunk& chunk) override;
  /// InputError with file and line for a token of another form.
  void parse(Chunk& chunk) const override;
  double fraction() const override { return source_->fraction(); }
  std::vector<FileState> files() const override { return {source_->state()}; }
  int64_t lines() const override { return line_ - 1; }

  static constexpr size_t kChunkBytes = size_t{1} << 18;
  static constexpr size_t kMaxRowBytes = size_t{1} << 26;

 private:
  struct Row;
  void parse_row(Row& row, std::string_view text) const;
  void parse_token(Row& row, std::string_view token) const;

  const std::string label_;
  const std::unique_ptr<ByteSource> source_;
  std::string pending_;
  int64_t line_ = 1;
  bool ended_ = false;
};

}  // namespace kdef::data
