#include "nn/optimizer/divided_tables.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <utility>

#include "core/base/first_member.h"
#include "core/base/parallel.h"
#include "nn/optimizer/group_gradients.h"

namespace kdef::nn {
namespace {

bool has_ids(const EmbeddingField& field) { return field.kind != EmbeddingField::Kind::numeric; }

// The field whose table a field uses, and whose ids its ids are.
const EmbeddingField& root_of(const std::vector<EmbeddingField>& fields, const EmbeddingField& field) {
  if (field.shared.empty()) return field;
  const auto it = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.name == field.shared; });
  KDEF_CHECK(it != fields.end(), "divided tables: field '", field.name, "' shares the table of no field");
  return root_of(fields, *it);
}

// A message is a sequence of numbers and rows.
template <class T>
void append(Group::Bytes& message, const T* values, size_t count) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values);
  message.insert(message.end(), bytes, bytes + count * sizeof(T));
}

class Reader {
 public:
  explicit Reader(const Group::Bytes& message) : message_(message) {}

  const std::byte* take(size_t bytes) {
    KDEF_CHECK(bytes <= message_.size() - at_, "divided tables: a message ends early");
    return message_.data() + std::exchange(at_, at_ + bytes);
  }
  // Numbers behind their count.
  std::vector<int32_t> numbers() {
    int32_t count = 0;
    std::memcpy(&count, take(sizeof count), sizeof count);
    std::vector<int32_t> all(static_cast<size_t>(count));
    if (count > 0) std::memcpy(all.data(), take(all.size() * sizeof(int32_t)), all.size() * sizeof(int32_t));
    return all;
  }

 private:
  const Group::Bytes& message_;
  size_t at_ = 0;
};

void append_numbers(Group::Bytes& message, const std::vector<int32_t>& numbers) {
  const auto count = static_cast<int32_t>(numbers.size());
  append(message, &count, 1);
  append(message, numbers.data(), numbers.size());
}

size_t row_bytes(const Tensor& table) { return static_cast<size_t>(table.shape()[1]) * size_of(table.dtype()); }

const std::byte* row(const Tensor& table, int64_t number) {
  return table.raw() + static_cast<size_t>(number) * row_bytes(table);
}
std::byte* row_to_write(const Tensor& table, int64_t number) {
  return table.raw() + static_cast<size_t>(number) * row_bytes(table);
}

// The rows of a table that a member owns, as they are before the first step.
Parameter owned_part(const Parameter& p, Group& group) {
  TableRows rows = *p.table;
  rows.members = group.size();
  rows.member = group.rank();
  const int64_t width = p.tensor.shape()[1];
  Parameter own = p;
  own.tensor = Tensor::empty({rows.held_rows(), width}, p.tensor.dtype());
  rows.for_held([&](int64_t first, int64_t place, int64_t count) {
    Tensor block = own.tensor.rows(place, count);
    rows.initial.fill(block, first * width);
    if (first == 0) block.rows(0, 1).fill(0);  // padding
  });
  own.tensor.set_requires_grad();
  own.table = std::make_shared<const TableRows>(rows);
  return own;
}

}  // namespace

std::vector<EmbeddingField> holding_a_batch(const std::vector<EmbeddingField>& fields, int64_t batch_size) {
  std::map<std::string, int64_t> ids;  // in a row of the batch, by table
  for (const EmbeddingField& field : fields) {
    if (field.pretrained.dim > 0) {
      throw InputError(cat("field '", field.name,
                           "' has pretrained vectors, and divide_tables does not divide them; set divide_tables to "
                           "false, or leave the vectors out"));
    }
    if (has_ids(field)) ids[root_of(fields, field).name] += field.max_len;
  }
  std::vector<EmbeddingField> all = fields;
  for (EmbeddingField& field : all) {
    if (!has_ids(field)) continue;
    const EmbeddingField& root = root_of(fields, field);
    field.vocab_size = root.vocab_size;
    field.held_rows = std::min(root.vocab_size, 1 + batch_size * ids[root.name]);
  }
  return all;
}

DividedTables::DividedTables(const std::vector<EmbeddingField>& fields, int64_t batch_size,
                             std::vector<Parameter> parameters, Group& group)
    : group_(group), batch_size_(batch_size), model_(std::move(parameters)) {
  std::map<int64_t, size_t> ids_of_column;
  for (const EmbeddingField& field : fields) {
    if (!has_ids(field)) continue;
    const EmbeddingField& root = root_of(fields, field);
    auto it = std::find_if(ids_.begin(), ids_.end(), [&](const IdColumns& ids) { return ids.field == root.name; });
    if (it == ids_.end()) it = ids_.insert(it, {root.name, root.vocab_size, root.held_rows, {}, {}});
    it->columns.emplace_back(field.column, field.max_len);
    ids_of_column[field.column] = static_cast<size_t>(it - ids_.begin());
  }
  std::map<int64_t, size_t> place_of_column;
  for (size_t i = 0; i < model_.size(); ++i) {
    const Parameter& p = model_[i];
    require_cpu(p.tensor.device(), "divided tables");
    owned_.push_back(p.table ? owned_part(p, group) : p);
    if (!p.table) {
      whole_.push_back(p);
      continue;
    }
    const auto [place, is_new] = place_of_column.emplace(p.table->column, tables_.size());
    if (is_new) tables_.push_back({ids_of_column.at(p.table->column), *owned_.back().table, {}, {}});
    tables_[place->second].parameters.push_back(i);
  }
}

// Distinct ids are found by a hash table, so that the memory follows the batch.
void DividedTables::find_distinct(const Tensor& ids, IdColumns& of, const Tensor& renumbered) const {
  of.distinct.assign(1, 0);  // padding, which ops know by its number
  if (!ids.defined()) return;
  const int64_t rows = ids.shape()[0], columns = ids.shape()[1];
  int64_t count = 1;
  for (const auto& [first, width] : of.columns) count += rows * width;
  const size_t slots = std::bit_ceil(static_cast<size_t>(2 * count));
  std::vector<std::pair<int32_t, int32_t>> table(slots, {-1, 0});  // id, its place
  const auto find = [&](int32_t id) -> std::pair<int32_t, int32_t>& {
    size_t at = static_cast<size_t>(static_cast<uint64_t>(id) * 0x9e3779b97f4a7c15 >> 32) & (slots - 1);
    while (table[at].first != -1 && table[at].first != id) at = (at + 1) & (slots - 1);
    return table[at];
  };
  find(0).first = 0;
  const auto for_ids = [&](auto&& fn) {
    for (const auto& [first, width] : of.columns) {
      for (int64_t b = 0; b < rows; ++b) {
        for (int64_t c = first; c < first + width; ++c) fn(b, b * columns + c);
      }
    }
  };
  for_ids([&](int64_t b, int64_t at) {
    const int32_t id = ids.data<int32_t>()[at];
    KDEF_CHECK(id >= 0 && id < of.rows, "divided tables: id ", id, " in row ", b, " of the batch, field '", of.field,
               "', is outside its table of ", of.rows, " rows");
    if (auto& slot = find(id); slot.first == -1) {
      slot.first = id;
      of.distinct.push_back(id);
    }
  });
  KDEF_CHECK(static_cast<int64_t>(of.distinct.size()) <= of.capacity, "divided tables: ", rows, " rows name ",
             of.distinct.size(), " rows of the table of '", of.field, "'; there is space for ", of.capacity);
  std::sort(of.distinct.begin(), of.distinct.end());
  for (size_t u = 0; u < of.distinct.size(); ++u) find(of.distinct[u]).second = static_cast<int32_t>(u);
  for_ids([&](int64_t, int64_t at) { renumbered.data<int32_t>()[at] = find(ids.data<int32_t>()[at]).second; });
}

std::vector<Group::Bytes> DividedTables::send(const std::vector<Group::Bytes>& parts) {
  for (int r = 0; r < group_.size(); ++r) {
    if (r != group_.rank()) bytes_sent_ += static_cast<int64_t>(parts[static_cast<size_t>(r)].size());
  }
  return group_.all_to_all(parts);
}

Tensor DividedTables::fetch(const Tensor& ids) {
  const Tensor renumbered = ids.defined() ? ids.clone() : Tensor();
  for_each_index(ids_.size(), [&](size_t i) { find_distinct(ids, ids_[i], renumbered); });
  const auto members = static_cast<size_t>(group_.size());
  std::vector<Group::Bytes> requests(members), answers(members);
  for (TablesOfColumn& tables : tables_) {
    tables.asked.assign(members, {});
    const std::vector<int32_t>& distinct = ids_[tables.ids].distinct;
    for (size_t u = 0; u < distinct.size(); ++u)
      tables.asked[static_cast<size_t>(tables.rows.owner(distinct[u]))].push_back(static_cast<int32_t>(u));
    for (size_t r = 0; r < members; ++r) {
      std::vector<int32_t> places;
      for (const int32_t u : tables.asked[r])
        places.push_back(static_cast<int32_t>(tables.rows.place(distinct[static_cast<size_t>(u)])));
      append_numbers(requests[r], places);
    }
  }
  requests = send(requests);
  for (size_t r = 0; r < members; ++r) {
    Reader request(requests[r]);
    for (const TablesOfColumn& tables : tables_) {
      const std::vector<int32_t> places = request.numbers();
      for (const size_t p : tables.parameters) {
        const Tensor& own = owned_[p].tensor;
        for (const int32_t place : places) append(answers[r], row(own, place), row_bytes(own));
      }
    }
  }
  answers = send(answers);
  for (size_t r = 0; r < members; ++r) {
    Reader answer(answers[r]);
    for (const TablesOfColumn& tables : tables_) {
      for (const size_t p : tables.parameters) {
        const Tensor& table = model_[p].tensor;
        for (const int32_t u : tables.asked[r])
          std::memcpy(row_to_write(table, u), answer.take(row_bytes(table)), row_bytes(table));
      }
    }
  }
  for (const TablesOfColumn& tables : tables_) {
    for (const size_t p : tables.parameters) model_[p].tensor.changed();
  }
  return renumbered;
}

void DividedTables::return_gradients() {
  sum_over_group(group_, whole_);
  const auto members = static_cast<size_t>(group_.size());
  std::vector<Group::Bytes> messages(members);
  for (const TablesOfColumn& tables : tables_) {
    const std::vector<int32_t>& distinct = ids_[tables.ids].distinct;
    for (const size_t p : tables.parameters) {
      const Tensor& table = model_[p].tensor;
      Gradient& gradient = table.gradient();
      KDEF_CHECK(!gradient.defined() || gradient.is_rows_only(), "divided tables: ", model_[p].name,
                 " has a dense gradient");
      const RowGradient rows = rows_on_host(gradient, table.shape()[1], table.dtype());
      table.clear_grad();
      const auto id_of = [&](int64_t u) { return distinct[static_cast<size_t>(rows.ids.data<int64_t>()[u])]; };
      std::vector<std::vector<int32_t>> of_owner(members);  // rows of the gradient
      for (int64_t u = 0; u < rows.ids.numel(); ++u)
        of_owner[static_cast<size_t>(tables.rows.owner(id_of(u)))].push_back(static_cast<int32_t>(u));
      for (size_t r = 0; r < members; ++r) {
        std::vector<int32_t> places;
        for (const int32_t u : of_owner[r]) places.push_back(static_cast<int32_t>(tables.rows.place(id_of(u))));
        append_numbers(messages[r], places);
        for (const int32_t u : of_owner[r]) append(messages[r], row(rows.values, u), row_bytes(table));
      }
    }
  }
  messages = send(messages);
  std::vector<Reader> readers(messages.begin(), messages.end());
  for (const TablesOfColumn& tables : tables_) {
    for (const size_t p : tables.parameters) {
      const Tensor& own = owned_[p].tensor;
      std::vector<RowGradient> parts;
      for (Reader& reader : readers) {
        const std::vector<int32_t> places = reader.numbers();
        const std::vector<int64_t> wide(places.begin(), places.end());
        const auto count = static_cast<int64_t>(places.size());
        parts.push_back({Tensor::from(wide, {count}), Tensor::empty({count, own.shape()[1]}, own.dtype())});
        const size_t bytes = parts.back().values.bytes();
        if (bytes > 0) std::memcpy(parts.back().values.raw(), reader.take(bytes), bytes);
      }
      own.gradient() = Gradient(sum_of_rows(std::move(parts)));
    }
  }
}

void DividedTables::collect(const TableRows& table, const Tensor& part,
                            const std::function<void(const void* data, size_t bytes)>& take) const {
  constexpr int64_t kPieceBytes = int64_t{4} << 20;
  const size_t unit = row_bytes(part);
  const int64_t block_bytes = TableRows::kBlock * static_cast<int64_t>(unit);
  const int64_t each = std::max<int64_t>(1, kPieceBytes / block_bytes / table.members);  // blocks of a member
  const auto members = static_cast<size_t>(table.members);
  for (int64_t first = 0; first * table.members < table.blocks(); first += each) {
    std::vector<Group::Bytes> messages(members);
    const int64_t begin = std::min(part.shape()[0], first * TableRows::kBlock),
                  end = std::min(part.shape()[0], (first + each) * TableRows::kBlock);
    if (end > begin) append(messages[0], row(part, begin), static_cast<size_t>(end - begin) * unit);
    meet(group_);
    messages = group_.all_to_all(messages);
    if (!group_.is_first()) continue;
    std::vector<Reader> readers(messages.begin(), messages.end());
    const int64_t last = std::min(table.blocks(), (first + each) * table.members);
    for (int64_t b = first * table.members; b < last; ++b) {
      const int64_t rows = std::min(TableRows::kBlock, table.rows - b * TableRows::kBlock);
      const size_t bytes = static_cast<size_t>(rows) * unit;
      take(readers[static_cast<size_t>(table.owner(b * TableRows::kBlock))].take(bytes), bytes);
    }
  }
}

}  // namespace kdef::nn
