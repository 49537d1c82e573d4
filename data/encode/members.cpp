#include "data/encode/members.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"

namespace kdef::data {

namespace {

// The texts of every member, by rank. No text has a byte 0.
using Texts = std::vector<std::string>;
std::vector<Texts> all_lists(const Texts& mine) {
  Group& group = Group::current();
  std::string joined;
  for (const std::string& text : mine) joined += text + '\0';
  meet(group);
  std::vector<Texts> all;
  for (const std::string& list : all_texts(group, joined)) {
    all.push_back(split(list, '\0'));
    all.back().pop_back();  // what follows the last byte 0
  }
  return all;
}

template <class T>
T number_of(const std::string& text) {
  T number{};
  KDEF_CHECK(read_number(text, number), "members: '", text, "' is not a number");
  return number;
}

bool has_moments(const FieldCount& count) {
  return count.cells().field().type == FieldType::numeric && !count.is_scaled();
}

constexpr size_t kTextsOfFile = 8;

void append_texts(const FileState& file, Texts& texts) {
  // All of its members, or this does not compile.
  const auto& [path, size, modified, changed, inode, regular, settled, content] = file;
  for (const std::string& text : {path, std::to_string(size), std::to_string(modified), std::to_string(changed),
                                  std::to_string(inode), std::to_string(regular), std::to_string(settled), content})
    texts.push_back(text);
}

FileState state_of(const std::string* texts) {
  return {texts[0],
          number_of<int64_t>(texts[1]),
          number_of<int64_t>(texts[2]),
          number_of<int64_t>(texts[3]),
          number_of<uint64_t>(texts[4]),
          texts[5] == "1",
          texts[6] == "1",
          texts[7]};
}

}  // namespace

void add_counts_of_members(std::vector<FieldCount>& counts, Spool& spool) {
  Group& group = Group::current();
  if (group.is_alone()) return;
  for (FieldCount& count : counts) {
    const Group::Bytes mine = count.counted();
    meet(group);
    const std::vector<Group::Bytes> all = group.all_gather(mine);
    for (int r = 0; r < group.size(); ++r) {
      if (r != group.rank()) count.add_counted(all[static_cast<size_t>(r)]);
    }
  }
  // The moments of numbers depend on their order: each member goes on where the one before it has ended.
  const auto share = [&](int root) {
    meet(group);
    for (FieldCount& count : counts) {
      if (has_moments(count)) group.broadcast(std::as_writable_bytes(std::span(&count.moments(), 1)), root);
    }
  };
  if (std::none_of(counts.begin(), counts.end(), has_moments)) return;
  for (int r = 1; r < group.size(); ++r) {
    share(r - 1);
    if (r != group.rank()) continue;
    spool.rewind();
    for (Spool::Group rows; spool.read(rows);) {
      for (size_t f = 0; f < counts.size(); ++f) {
        if (has_moments(counts[f])) counts[f].add_moments(rows.columns[f]);
      }
    }
  }
  share(group.size() - 1);
}

void add_reports_of_members(SourceReport& report) {
  if (Group::current().is_alone()) return;
  Texts mine = {std::to_string(report.files.size())};
  for (const FileState& file : report.files) append_texts(file, mine);
  mine.insert(mine.end(), report.warnings.begin(), report.warnings.end());
  report = {};
  for (const Texts& texts : all_lists(mine)) {
    const size_t files = number_of<uint64_t>(texts.at(0));
    for (size_t i = 0; i < files; ++i) report.files.push_back(state_of(&texts.at(1 + i * kTextsOfFile)));
    report.warnings.insert(report.warnings.end(), texts.begin() + static_cast<ptrdiff_t>(1 + files * kTextsOfFile),
                           texts.end());
  }
}

void take_largest_of_members(std::vector<int64_t>& numbers) {
  if (Group::current().is_alone()) return;
  Texts mine;
  for (const int64_t number : numbers) mine.push_back(std::to_string(number));
  for (const Texts& texts : all_lists(mine)) {
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = std::max(numbers[i], number_of<int64_t>(texts.at(i)));
  }
}

void check_same_files(const std::vector<FileState>& files) {
  if (Group::current().is_alone()) return;
  Texts mine;
  for (const FileState& file : files)
    mine.push_back(cat(file.path, " of ", file.size, " bytes, changed at ", file.modified, " ns, inode ", file.inode));
  const std::vector<Texts> all = all_lists(mine);
  for (size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    size_t i = 0;
    while (i < std::min(all[0].size(), all[r].size()) && all[0][i] == all[r][i]) ++i;
    const auto found = [&](size_t rank) { return i < all[rank].size() ? all[rank][i] : "no file more"; };
    throw InputError(cat("processes 0 and ", r, " find different files of rows: ", found(0), ", and ", found(r),
                         "; all processes need the same files, on a file system that all of them see"));
  }
}

}  // namespace kdef::data
