// The passes of a preparation over the raw rows; internal to data/. prepare.cpp calls them one after the other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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

/// Encoded rows on their way to a file of the cache, and how many of them have label 1.
struct SplitWriter {
  SplitWriter(const std::string& path, const RowLayout& layout) : file(path, layout) {}
  void append(const Batch& batch);

  EncodedWriter file;
  int64_t positives = 0;
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

/// The first pass: counts the training rows and writes them to `spool` under provisional numbers. A thread has a whole
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
