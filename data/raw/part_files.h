// The rows of several files: of a folder, as Spark and Hive write it, or of a pattern (part_*.csv).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/raw/row_source.h"

namespace kdef::data {

/// The files of a folder that hold rows, in the order of their names: those named .csv, .tsv or .txt (with .gz or
/// .zst), .parquet or .npz, or, if there are none, all files. Names that begin with '.' or '_' are left out. InputError
/// for a folder without such files, and for one that holds another folder: its rows would be lost. Of a pattern, all
/// files that it matches; InputError where there is none.
std::vector<std::string> part_files(const std::string& path);
/// Whether a path names several files: it is a folder; or no file has this name, and it has one of the characters * ? [
/// of a pattern.
bool names_part_files(const std::string& path);
/// Whether there is such a file or folder, or a file that the pattern matches.
bool any_file(const std::string& path);

/// Of files with these sizes, the first and the end of those that member `rank` of `size` members reads. They follow
/// each other, so that the rows of all members, by rank, are those of all files; each member has about as many bytes.
/// The first member has the first file. A file without a byte is read with the one before it.
std::pair<size_t, size_t> files_of_member(const std::vector<int64_t>& sizes, int rank, int size);

/// One file after the other. Every file has a header line, or none has: the columns may have another order in each. A
/// file without a byte has no rows.
class PartFiles : public RowSource {
 public:
  /// `path` names the rows in messages, `files` are those that are read.
  PartFiles(const std::string& path, std::vector<std::string> files, const DatasetConfig& config,
            const std::string& optional = "");

  void select(const std::vector<std::string>& names) override;
  void limit_rows(int64_t rows) override;
  bool read(Chunk& chunk) override;
  void parse(Chunk& chunk) const override { chunk.source->parse(chunk); }
  void parse_all(std::span<Chunk> chunks, const std::function<void(size_t)>& then) const override;
  double fraction() const override;
  std::vector<FileState> files() const override;
  int64_t lines() const override;
  std::vector<std::string> warnings() const override;

 private:
  void open(size_t part);

  const DatasetConfig config_;  // separator, quote and columns
  const std::string optional_;
  std::vector<std::string> paths_, selected_;
  std::vector<std::unique_ptr<RowSource>> parts_;  // those that have been opened; chunks refer to them
  size_t at_ = 0;                                  // the part that is being read
};

}  // namespace kdef::data
