// Networks whose fields have one vector for each other field.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

/// The sets of vectors of a field-aware network: T_k(f) [B, D] is the k-th vector of field f. They come from one set of
/// tables per k (FFM, ONN), or from columns of one wide table (FFMv2, ONNv2).
struct Vectors {
  std::function<Tensor(int64_t k, int64_t first, int64_t count)> of_set;    // T_k(f), f in a range: [B, count, D]
  std::function<Tensor(int64_t f, int64_t first, int64_t count)> of_field;  // T_k(f), k in a range: [B, count, D]
};

/// <T_{j-1}(i), T_i(j)> for i < j, row by row of the upper triangle: [B, F (F-1) / 2].
Tensor field_aware_products(const Vectors& t, int64_t fields) {
  std::vector<Tensor> rows;
  for (int64_t i = 0; i + 1 < fields; ++i) {
    const int64_t count = fields - 1 - i;
    rows.push_back(ops::sum(ops::mul(t.of_field(i, i, count), t.of_set(i, i + 1, count)), 2));
  }
  return ops::concat(rows, 1);
}

/// Sets of tables of the network's own. Names: embedding_layers.K.embedding_layer.embedding_layers.FIELD.weight.
class TableSets final : public Module {
 public:
  TableSets(int64_t count, const EmbeddingShape& shape, Builder& build) {
    for (int64_t k = 0; k < count; ++k) {
      sets_.push_back(
          &add_child(cat("embedding_layers.", k), std::make_unique<EmbeddingTables>(shape.list, shape.dim, build)));
    }
  }
  /// All sets [B, count, F, D].
  Tensor read(const Fields& x) const {
    std::vector<Tensor> all;
    for (const EmbeddingTables* tables : sets_) all.push_back(x.through(*tables).whole());
    return ops::stack(all, 1);
  }

 private:
  std::vector<EmbeddingTables*> sets_;
};

/// T_k = set `first` + k of sets [B, K, F, D].
Vectors vectors_of_sets(const Tensor& sets, int64_t first) {
  const int64_t rows = sets.shape()[0], dim = sets.shape()[3];
  return {[=](int64_t k, int64_t from, int64_t count) {
            const Tensor set = ops::slice(sets, 1, first + k, 1);
            return ops::reshape(ops::slice(set, 2, from, count), {rows, count, dim});
          },
          [=](int64_t f, int64_t from, int64_t count) {
            const Tensor field = ops::slice(sets, 2, f, 1);
            return ops::reshape(ops::slice(field, 1, first + from, count), {rows, count, dim});
          }};
}

/// One wide table per field of the network's own, `blocks` vectors in a row.
/// Names: embedding_layer.embedding_layer.embedding_layers.FIELD.weight.
class WideTables final : public Module {
 public:
  WideTables(int64_t blocks, const EmbeddingShape& shape, Builder& build)
      : blocks_(blocks),
        tables_(add_child("embedding_layer",
                          std::make_unique<EmbeddingTables>(of_any_width(shape.list), blocks * shape.dim, build))) {}
  /// [B, F, blocks, D].
  Tensor read(const Fields& x) const {
    const Tensor e = x.through(tables_).whole();
    return ops::reshape(e, {e.shape()[0], e.shape()[1], blocks_, e.shape()[2] / blocks_});
  }

 private:
  static std::vector<EmbeddingField> of_any_width(std::vector<EmbeddingField> fields) {
    for (EmbeddingField& field : fields) field.dim = 0;
    return fields;
  }
  int64_t blocks_;
  EmbeddingTables& tables_;
};

/// FFM (Juan et al., RecSys 2016): z = first order + sum over i < j of <T_{j-1}(i), T_i(j)>, by F - 1 sets of tables;
/// FFMv2, the same function by one table of F - 1 blocks per field. Names: lr_layer.*, and those of the tables.
class Ffm final : public SumNetwork {
 public:
  Ffm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const int64_t fields = shape.fields;
    add_first_order("lr_layer", true, shape, build);
    std::function<Tensor(const Fields&)> read;  // [B, F - 1, F, D]
    if (config.network == "FFM") {
      const TableSets& sets = add_child("", std::make_unique<TableSets>(fields - 1, shape, build));
      read = [&sets](const Fields& x) { return sets.read(x); };
    } else {
      const WideTables& wide = add_child("", std::make_unique<WideTables>(fields - 1, shape, build));
      read = [&wide](const Fields& x) { return ops::transpose(wide.read(x), 1, 2); };
    }
    add_part({fields * (fields - 1) / 2,
              [read, fields](const Fields& x, const Pass&) {
                return field_aware_products(vectors_of_sets(read(x), 0), fields);
              },
              [](const Tensor& h) { return ops::sum(h, 1, true); }});
  }
};

/// ONN (Yang et al., Neural Networks 2020, arXiv 1904.12579): z = MLP([S_0 flattened, <S_j(i), S_{i+1}(j)> for i < j])
/// by F sets S of tables. ONNv2: the same function by one table of F blocks per field, of which block j is for the pair
/// with field j, and block i of field i stands for S_0. Names: dnn.mlp.*, and those of the tables.
class Onn final : public Network {
 public:
  Onn(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) : fields_(shape.fields) {
    require_uniform(config.network, shape);
    dnn_ = &add_child("dnn", std::make_unique<Mlp>(shape.width + fields_ * (fields_ - 1) / 2,
                                                   mlp_config(config.settings, hidden_keys()), build));
    if (config.network == "ONN") {
      sets_ = &add_child("", std::make_unique<TableSets>(fields_, shape, build));
    } else {
      wide_ = &add_child("", std::make_unique<WideTables>(fields_, shape, build));
    }
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    Tensor first, products;
    if (sets_) {
      const Tensor sets = sets_->read(x);
      const int64_t rows = sets.shape()[0];
      first = ops::reshape(ops::slice(sets, 1, 0, 1), {rows, fields_ * sets.shape()[3]});
      products = field_aware_products(vectors_of_sets(sets, 1), fields_);
    } else {
      const Tensor blocks = wide_->read(x);  // [B, field, partner, D]
      std::vector<Tensor> own;
      for (int64_t i = 0; i < fields_; ++i) own.push_back(block(blocks, i, i, 1, true));
      first = flatten(ops::concat(own, 1));
      products = field_aware_products(
          {[&](int64_t k, int64_t from, int64_t count) { return block(blocks, k, from, count, false); },
           [&](int64_t f, int64_t from, int64_t count) { return block(blocks, f, from + 1, count, true); }},
          fields_);
    }
    return dnn_->hidden(ops::concat({first, products}, 1), pass);
  }
  Tensor output(const Tensor& h) const override { return dnn_->output(h); }
  int64_t hidden_width() const override { return dnn_->hidden_width(); }

 private:
  // Of blocks [B, field, partner, D]: field `one` and partners from `from`, or the other way round: [B, count, D].
  static Tensor block(const Tensor& blocks, int64_t one, int64_t from, int64_t count, bool of_field) {
    const Tensor some = ops::slice(ops::slice(blocks, of_field ? 1 : 2, one, 1), of_field ? 2 : 1, from, count);
    return ops::reshape(some, {blocks.shape()[0], count, blocks.shape()[3]});
  }
  int64_t fields_;
  Mlp* dnn_ = nullptr;
  TableSets* sets_ = nullptr;
  WideTables* wide_ = nullptr;
};

NetworkType ffm(const char* name, const char* title) {
  return {.name = name,
          .title = title,
          .source = "Juan et al., RecSys 2016",
          .formula = "z = LR + sum over i < j of <e_i for j, e_j for i>",
          .make = make<Ffm>,
          .fuxictr = true,
          .embedding_dim = 2,
          .own_tables = always};
}

NetworkType onn(const char* name, const char* title) {
  return {.name = name,
          .title = title,
          .source = "Yang et al., Neural Networks 2020, arXiv 1904.12579",
          .formula = "z = MLP([x, <e_i for j, e_j for i> for i < j])",
          .make = make<Onn>,
          .fuxictr = true,
          .embedding_dim = 2,
          .mlps = {hidden_keys()},
          .own_tables = always};
}

}  // namespace

NetworkType FFM_network() { return ffm("FFM", "Field-aware factorization machine, by one set of tables per field"); }
NetworkType FFMv2_network() { return ffm("FFMv2", "Field-aware factorization machine, by one wide table per field"); }
NetworkType ONN_network() {
  NetworkType type = onn("ONN", "Operation-aware network, by one set of tables per field");
  type.keys = {unread_embedding_dropout()};
  return type;
}
NetworkType ONNv2_network() { return onn("ONNv2", "Operation-aware network, by one wide table per field"); }

}  // namespace kdef::nn
