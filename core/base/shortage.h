// What to do where memory is short.
#pragma once

namespace kdef {

/// Ends a message about memory that a training or an evaluation did not get.
inline constexpr const char* kMemoryAdvice =
    "; lower batch_size, embedding_dim, hidden_units, shards or the number of students";

}  // namespace kdef
