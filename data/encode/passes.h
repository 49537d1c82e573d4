// The passes of a preparation over the raw rows; internal to data/. prepare.cpp calls them one after the other, in
// every member of Group::current(). Each member reads some of the files (open_rows_of_member()), and what the passes
// return is of all rows (members.h), except what they spool.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/io/temporary_file.h"
#include "data/batch.h"
#include "data/encode/cache.h"
#include "data/encode/encoder.h"
#include "data/encode/field_count.h"
#include "data/encode/progress.h"
#include "data/encode/split.h"
#include "data/encode/spool.h"
#include "data/encode/targets.h"
#include "data/schema.h"

namespace kdef::data {

/// Encoded rows on their way to a file of the cache. The first member of Group::current() writes the file; the others
/// keep their rows in a temporary one until join().
class SplitWriter {
 public:
  SplitWriter(const std::string& path, const RowLayout& layout);
  void append(const Batch& batch);
  /// Collective, within by_all_members(): appends the rows of all members, by rank, to those of the first one. From
  /// then on rows() and positives() are of all rows.
  void join();
  /// By the first member.
  void commit() { file_->commit(); }
  int64_t rows() const { return rows_; }
  /// How many of the rows have label 1.
  int64_t positives() const { return positives_; }

 private:
  RowLayout layout_;
  std::optional<EncodedWriter> file_;
  std::optional<TemporaryFile> kept_;
  std::vector<uint32_t> records_;
  int64_t rows_ = 0, positives_ = 0;
};

/// What a pass has read, and what is to be told about it.
struct SourceReport {
  std::vector<FileState> files;
  std::vector<std::string> warnings;
};

/// Gives every sequence field of `fields` with max_len 0 the length of its longest training cell. Reads the training
/// file only if there is such a field. InputError for a length beyond kMaxLen, and for a training file that is a pipe.
/// `rows` of this and the next pass: the training rows of the file.
void resolve_lengths(const DatasetConfig& config, const RowFilter& rows, std::vector<FieldConfig>& fields,
                     const ProgressListener& progress);

/// Whether a field's rows can be encoded only after all of them have been read once. A sequence has its max_len.
bool needs_counts(const FieldConfig& field);

/// The first pass: counts the training rows and writes them to `spool` under provisional numbers; the spool of a member
/// has the rows that it has read. A thread has a whole
/// field: it needs no lock, and numbers the words in the order of the file. A group of `spool` has a column per field,
/// then the labels (floats), and where the data set has them the weights (floats) and the groups (32-bit integers).
/// Numbers have the scales of `base`, the encoder of config.base_vocabulary, which may be null.
std::vector<FieldCount> count_rows(const DatasetConfig& config, const RowFilter& rows,
                                   const std::vector<FieldConfig>& fields, const Encoder* base, GroupNumbers& groups,
                                   Spool& spool, SourceReport& report, const ProgressListener& progress);

/// Checks that cells of `fields` mean what they mean to `base`, the encoder of config.base_vocabulary, and takes its
/// max_len where a field has none. InputError names the first column, or its first key, that differs.
void fit_to_base(const DatasetConfig& config, const Encoder& base, std::vector<FieldConfig>& fields);

/// The encoder that follows from the counts of the training rows. With `base`, which may be null, ids and scales are
/// its own, and `counts` only add ids where config.grow_vocabulary is set; otherwise they need not have been counted.
Encoder make_encoder(const DatasetConfig& config, const std::vector<FieldCount>& counts, const Encoder* base = nullptr);

/// The second pass: the rows of `spool`, with ids in place of provisional numbers.
void write_counted_rows(const std::vector<FieldCount>& counts, const Encoder& encoder, Spool& spool, SplitWriter& out,
                        const ProgressListener& progress);

/// Encodes rows of another file, or other rows of the training file. Their groups continue the numbers of `groups`.
void encode_rows(const std::string& path, const RowFilter& rows, const Encoder& encoder, GroupNumbers& groups,
                 SplitWriter& out, SourceReport& report, const ProgressListener& progress);

}  // namespace kdef::data
