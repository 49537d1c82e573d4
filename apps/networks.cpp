#include "kdef/config/networks_page.h"

#include <iostream>

#include "apps/commands.h"

namespace kdef::apps {

int networks(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("markdown", po::bool_switch(), "print docs/networks.md");
  const auto parsed = parse({"networks", "[NAME...] [--markdown]",
                             "Lists the networks. With names, prints the paper, the formula and the keys of these\n"
                             "networks, with defaults.",
                             Synopsis::Rest::paths},
                            options, arguments);
  if (!parsed) return kDone;
  if (parsed->flag("markdown")) {
    std::cout << networks_page();
  } else if (parsed->rest.empty()) {
    std::cout << networks_list();
  } else {
    std::string text;
    for (const std::string& name : parsed->rest) text += network_section(name);
    std::cout << text;
  }
  return kDone;
}

}  // namespace kdef::apps
