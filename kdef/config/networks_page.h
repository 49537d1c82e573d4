// The networks, described for a reader: docs/networks.md, and what `kdef networks` prints.
#pragma once

#include <string>

namespace kdef {

/// docs/networks.md: every network of the registry with its paper, its formula and its keys.
std::string networks_page();

/// The section of one network. Throws InputError for an unknown name, which lists the known ones.
std::string network_section(const std::string& name);

/// One line for every network: its name and what it is.
std::string networks_list();

}  // namespace kdef
