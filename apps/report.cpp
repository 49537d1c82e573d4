#include <iostream>

#include "apps/commands.h"
#include "core/base/error.h"
#include "core/io/file.h"
#include "kdef/study/report.h"

namespace kdef::apps {

int report(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("out", po::value<std::string>()->value_name("FILE")->required(), "the page to write, .html");
  const auto parsed =
      parse({"report", "DIR... --out FILE",
             "Runs as one HTML page to look at: learning curves, students, spectra, disagreement, the\n"
             "configuration and the commands to repeat it. DIR is the run directory of kdef train, or a\n"
             "sweep's, which holds runs/NAME. Several runs are compared: mean and standard deviation\n"
             "over seeds, and quality against the number of students. The page stands alone: no network,\n"
             "no scripts.",
             Synopsis::Rest::paths},
            options, arguments);
  if (!parsed) return kDone;
  if (parsed->rest.empty())
    throw InputError("kdef report needs the directory of a run or sweep; see kdef report --help");
  const std::string out = parsed->text("out");
  const Report all = read_report(parsed->rest);
  write_file(out, to_html(all));
  for (const std::string& note : all.notes) std::cerr << "kdef: " << note << "\n";
  std::cout << out << ": " << all.runs.size() << (all.runs.size() == 1 ? " run\n" : " runs\n");
  return kDone;
}

}  // namespace kdef::apps
