// A graph compiled for the scorer: ReLU is part of the linear layer before it (and so is batch normalisation, by
// with_folded_norms()), layers that read the same are one product, layers over embeddings look up products that are
// known, and every result has its place in one block of memory.
#pragma once

#include <string>
#include <vector>

#include "kdef/serve/graph.h"
#include "kdef/serve/steps.h"
#include "ops/serve/stored.h"

namespace kdef::serve {

struct Program {
  std::vector<Step> steps;
  int64_t rows = 0;        // computed together at most
  int64_t memory = 0;      // numbers of memory for them
  Place scores, students;  // predictions: 1 and M numbers of each row
  int64_t student_count = 0;
  int64_t id_columns = 0, number_columns = 0;
  std::vector<int64_t> vocabularies;  // of every column of ids: a row's id must be below; 0: no step reads the column

  size_t packed_bytes = 0, table_bytes = 0;  // of packed weights, of products that are known by id
  size_t embedding_bytes = 0;                // of embedding tables; in fp32 they are the model's own
  int64_t tables = 0;                        // whose rows are such products
  std::vector<std::string> lines;            // what every step is, to be read
};

/// Compiles the graph; tables of known products take at most `fold_bytes`. Packed weights, these tables and embedding
/// tables are kept as `stored`; everything else stays in fp32. Throws Error, which names the call, where there is no
/// step for one.
Program compile(const Graph& graph, size_t fold_bytes, ops::Stored stored = ops::Stored::f32);

}  // namespace kdef::serve
