#include "core/base/members_agree.h"

#include <map>
#include <vector>

#include "core/base/first_member.h"
#include "core/base/names.h"
#include "core/base/text.h"

namespace kdef {

static std::map<std::string, std::string> lines_by_key(const std::string& text) {
  std::map<std::string, std::string> lines;
  std::string key;
  for (const std::string& line : split(text, '\n')) {
    if (!line.empty() && line[0] != ' ') key = line.substr(0, line.find(':'));
    lines[key] += line;
  }
  return lines;
}

void check_members_agree(Group& group, const std::string& lines, const std::string& what, const std::string& advice) {
  const std::vector<std::string> texts = all_texts(group, lines);
  const size_t other = first_that_differs(texts);
  if (other == 0) return;
  const auto first = lines_by_key(texts[0]), second = lines_by_key(texts[other]);
  std::vector<std::string> keys;
  for (const auto& [key, line] : first) {
    if (second.count(key) == 0 || second.at(key) != line) keys.push_back(key);
  }
  for (const auto& [key, line] : second) {
    if (first.count(key) == 0) keys.push_back(key);
  }
  throw InputError(cat("processes 0 and ", other, " ", what, ": ", joined(keys), "; ", advice));
}

}  // namespace kdef
