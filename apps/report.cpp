#include <iostream>

#include "apps/commands.h"
#include "core/base/error.h"
#include "core/io/file.h"
#include "kdef/study/report.h"

namespace kdef::apps {

int report(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("out", po::value<std::string>()->value_name("FILE")->required(), "HTML page to write");
  const auto parsed = parse({"report", "DIR... --out FILE",
                             "Writes runs as one HTML page: learning curves, students, spectra, disagreement, the\n"
                             "configuration, and the commands that repeat each run. DIR is a run directory of kdef\n"
                             "train, or the directory of a sweep. Several runs are compared: mean and standard\n"
                             "deviation over seeds, and quality against the number of students. The page needs no\n"
                             "network and has no scripts.",
                             Synopsis::Rest::paths},
                            options, arguments);
  if (!parsed) return kDone;
  if (parsed->rest.empty())
    throw InputError("kdef report needs the directory of a run or of a sweep; see kdef report --help");
  const std::string out = parsed->text("out");
  const Report all = read_report(parsed->rest);
  write_file(out, to_html(all), NamedBy::user);
  for (const std::string& note : all.notes) std::cerr << "kdef: " << note << "\n";
  std::cout << out << ": " << all.runs.size() << (all.runs.size() == 1 ? " run\n" : " runs\n");
  return kDone;
}

}  // namespace kdef::apps
