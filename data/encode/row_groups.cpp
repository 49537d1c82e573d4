#include "data/encode/row_groups.h"

#include <exception>
#include <filesystem>
#include <utility>

#include "core/base/error.h"
#include "data/raw/chunks.h"

namespace kdef::data {

RowGroups::RowGroups(RowSource& source, const std::string& verb, const ProgressListener& progress, RowFilter filter,
                     bool may_be_empty)
    : source_(source),
      stage_(cat(verb, " ", std::filesystem::path(source.path()).filename().string())),
      progress_(progress),
      filter_(filter),
      may_be_empty_(may_be_empty) {}

void refuse_no_rows(const std::string& path) {
  throw InputError(cat(path, ": no rows after the header; the file needs at least one"));
}

bool RowGroups::next() {
  if (!begun_) count_ahead_ = read_chunks(source_, ahead_);
  begun_ = true;
  std::swap(chunks_, ahead_);
  count_ = std::exchange(count_ahead_, 0);
  if (count_ == 0 && !any_row() && !may_be_empty_) refuse_no_rows(source_.path());
  source_.parse_all({chunks_.data(), count_}, {});
  for (size_t i = 0; i < count_; ++i) {
    const int64_t rows = chunks_[i].rows();
    keep_rows(chunks_[i], read_, filter_);
    read_ += rows;
  }
  return count_ > 0;
}

int64_t RowGroups::rows_in_group() const {
  int64_t rows = 0;
  for (const Chunk& chunk : chunks()) rows += chunk.rows();
  return rows;
}

void RowGroups::run(size_t tasks, const std::function<void(size_t)>& task, const std::function<void()>& beside) {
  std::exception_ptr unread;
  for_each_index(tasks + 2, [&](size_t i) {
    if (i == 0) {
      if (beside) beside();
    } else if (i == 1) {
      try {
        count_ahead_ = read_chunks(source_, ahead_);
      } catch (...) {
        unread = std::current_exception();
      }
    } else {
      task(i - 2);
    }
  });
  if (unread) std::rethrow_exception(unread);
  rows_ += rows_in_group();
  if (progress_) progress_({stage_, rows_, source_.fraction()});
}

}  // namespace kdef::data
