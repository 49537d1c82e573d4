// The order in which parts are added: a fixed binary tree.
#pragma once

#include <cstddef>

namespace kdef {

/// Calls add(i, j), "part i becomes the sum of the parts i and j", until part 0 is the sum of all: neighbours first,
/// then neighbours of pairs, and so on. The sums of 2^a consecutive parts that start at a multiple of 2^a are parts of
/// the tree. So members that hold 2^a parts each can add their own, and then the sums of the members, with the bits of
/// one member that holds all.
template <class Add>
void add_pairwise(size_t parts, Add&& add) {
  for (size_t step = 1; step < parts; step *= 2) {
    for (size_t i = 0; i + step < parts; i += 2 * step) add(i, i + step);
  }
}

}  // namespace kdef
