#include "data/raw/h5_reader.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "core/base/error.h"

namespace kdef::data {
namespace {

using namespace std::string_view_literals;
constexpr std::string_view kMagic = "\x89HDF\r\n\x1a\n"sv;
constexpr const char* kRemedy =
    "; convert it to .npz in Python: with h5py.File(\"FILE.h5\") as f: numpy.savez(\"FILE.npz\", **{name: f[name][:] "
    "for name in f})";
constexpr uint64_t kNowhere = std::numeric_limits<uint64_t>::max();
constexpr int64_t kMaxTextBytes = int64_t{1} << 20;

// Names of the format's numbers that are read here.
enum : uint16_t {
  kDataspace = 0x01,
  kDatatype = 0x03,
  kExternalFiles = 0x07,
  kLayout = 0x08,
  kContinuation = 0x10,
  kSymbolTable = 0x11
};

struct Message {
  uint16_t type;
  bool shared;  // `bytes` says where the message is
  std::string bytes;
  uint64_t address;  // of the bytes in the file
};

// A dataset of the root group.
struct Dataset {
  std::string name, problem;
  NpyArray array;
  bool any_length = false;  // its elements say where in heaps their texts are
};

constexpr uint64_t kReference = 16;  // bytes of such an element

// Follows the addresses of a file from the superblock to its datasets.
class H5File {
 public:
  explicit H5File(const std::string& path) : path_(path), file_(path, std::ios::binary | std::ios::ate) {
    size_ = file_ ? static_cast<uint64_t>(file_.tellg()) : 0;
  }

  std::vector<Dataset> datasets() {
    const std::string head = bytes(0, 80);
    const uint64_t version = number(head, 8, 1);
    if (!is_h5(head) || version > 1) {
      fail("is of a form of HDF5 that is not read (superblock of version ", version, ")");
    }
    const size_t root = version == 0 ? 56 : 60;
    if (number(head, 13, 1) != 8 || number(head, 14, 1) != 8 || number(head, root - 32, 8) != 0) {
      fail("is of a form of HDF5 that is not read (addresses)");
    }
    for (const Message& m : messages(number(head, root + 8, 8))) {
      if (m.type == kSymbolTable) read_group(m);
    }
    if (datasets_.empty()) fail("has no datasets in its root group, or is of a newer form of HDF5");
    return std::move(datasets_);
  }

  // The elements of a dataset of texts of any length. `array` gets an element_bytes by which row_bytes() holds any row.
  Values texts(NpyArray& array) {
    const uint64_t columns = static_cast<uint64_t>(array.columns()),
                   count = columns * static_cast<uint64_t>(array.rows());
    const std::string references = bytes(static_cast<uint64_t>(array.header_bytes), count * kReference);
    Values all;
    all.kind = Values::Kind::text;
    uint64_t row = 0, longest = 1;
    for (uint64_t i = 0; i < count; ++i) {
      const size_t at = i * kReference;
      all.add(text(number(references, at, 4), number(references, at + 4, 8), number(references, at + 12, 4)));
      row = all.bytes_of(i).size() + (i % columns == 0 ? 0 : row);
      longest = std::max(longest, row);
    }
    array.element_bytes = static_cast<int64_t>((longest + columns - 1) / columns);
    return all;
  }

 private:
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw InputError(cat(path_, ": ", parts..., kRemedy));
  }
  [[noreturn]] void fail_damaged() const { fail("is damaged, or ends too early"); }

  // Bounds all that is taken from the file by its size: a damaged file may lead in circles.
  void take(uint64_t count) {
    constexpr uint64_t kMost = uint64_t{1} << 20;
    read_ += count;
    if (read_ > kMost + 4 * size_) fail_damaged();
  }

  // The bytes [address, address + count).
  std::string bytes(uint64_t address, uint64_t count) {
    if (count > size_ || address > size_ - count) fail_damaged();
    take(count + 64);
    std::string out(count, '\0');
    file_.seekg(static_cast<std::streamoff>(address));
    if (!file_.read(out.data(), static_cast<std::streamsize>(count))) fail_damaged();
    return out;
  }

  uint64_t number(const std::string& bytes, size_t at, size_t width) const {
    if (at + width > bytes.size()) fail_damaged();
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + at, width);
    return value;
  }

  // A text of a heap, up to its first zero; the heap stays in memory.
  std::string_view text(uint64_t length, uint64_t heap, uint64_t object) {
    if (length == 0) return {};
    const auto [known, is_new] = heaps_.try_emplace(heap);
    if (is_new) {
      const std::string head = bytes(heap, 16);
      if (!head.starts_with("GCOL")) fail_damaged();
      const std::string body = bytes(heap, number(head, 8, 8));
      for (size_t at = 16; at + 16 <= body.size();) {
        const uint64_t size = number(body, at + 8, 8), rest = body.size() - at - 16;
        if (number(body, at, 2) == 0) break;  // what is free
        if (size > rest) fail_damaged();
        known->second[number(body, at, 2)] = body.substr(at + 16, size);
        at += 16 + std::min<uint64_t>(rest, (size + 7) / 8 * 8);
      }
    }
    const auto found = known->second.find(object);
    if (found == known->second.end() || found->second.size() < length) fail_damaged();
    const std::string_view all = std::string_view(found->second).substr(0, length);
    take(length);  // texts may share an object
    return all.substr(0, all.find('\0'));
  }

  // Where the messages of an object begin, and how they are written.
  struct ObjectHeader {
    uint64_t begin, length;
    bool is_second = false;  // of version 2
    size_t prefix = 8;       // bytes before the body of a message
  };

  ObjectHeader object_header(uint64_t address) {
    const std::string head = bytes(address, 16);
    if (number(head, 0, 1) == 1) return {address + 16, number(head, 8, 4)};
    if (!head.starts_with("OHDR\x02")) fail("is of a newer form of HDF5");
    const uint64_t flags = number(head, 5, 1), width = uint64_t{1} << (flags & 3);
    const uint64_t at = address + 6 + ((flags & 0x20) != 0 ? 16 : 0) + ((flags & 0x10) != 0 ? 4 : 0);
    return {at + width, number(bytes(at, width), 0, width), true, (flags & 4) != 0 ? 6u : 4u};
  }

  std::vector<Message> messages(uint64_t address) {
    const ObjectHeader header = object_header(address);
    const bool second = header.is_second;
    std::vector<std::pair<uint64_t, uint64_t>> blocks = {{header.begin, header.length}};
    std::vector<Message> all;
    for (size_t b = 0; b < blocks.size(); ++b) {
      const auto [begin, length] = blocks[b];
      std::string block = bytes(begin, length);
      const bool is_continued = second && b > 0;  // between a signature and a checksum
      if (is_continued && (!block.starts_with("OCHK") || block.size() < 8)) fail_damaged();
      if (is_continued) block.resize(block.size() - 4);
      for (size_t at = is_continued ? 4 : 0; at + header.prefix <= block.size();) {
        const uint64_t type = number(block, at, second ? 1 : 2), size = number(block, at + (second ? 1 : 2), 2);
        const uint64_t flags = number(block, at + (second ? 3 : 4), 1);
        at += header.prefix;
        Message m{static_cast<uint16_t>(type), (flags & 2) != 0, "", begin + at};
        if (size > block.size() - at) fail_damaged();
        m.bytes = block.substr(at, size);
        at += size;
        if (m.type == kContinuation) {
          blocks.emplace_back(number(m.bytes, 0, 8), number(m.bytes, 8, 8));
        } else {
          all.push_back(std::move(m));
        }
      }
    }
    return all;
  }

  void read_group(const Message& table) {
    const std::string heap = bytes(number(table.bytes, 8, 8), 32);
    if (!heap.starts_with("HEAP")) fail_damaged();
    names_ = bytes(number(heap, 24, 8), number(heap, 8, 8));
    read_node(number(table.bytes, 0, 8), 0);
  }

  // A node of the B-tree of a group.
  void read_node(uint64_t address, int depth) {
    constexpr int kMaxDepth = 16;
    const std::string head = bytes(address, 24);
    if (!head.starts_with("TREE") || depth > kMaxDepth) fail_damaged();
    const uint64_t level = number(head, 5, 1), count = number(head, 6, 2);
    const std::string entries = bytes(address + 24, 16 * count + 8);  // key, child, key, child, .., key
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t child = number(entries, 16 * i + 8, 8);
      if (level > 0) {
        read_node(child, depth + 1);
      } else {
        read_symbols(child);
      }
    }
  }

  void read_symbols(uint64_t address) {
    constexpr uint64_t kEntry = 40;
    const std::string head = bytes(address, 8);
    if (!head.starts_with("SNOD")) fail_damaged();
    const uint64_t count = number(head, 6, 2);
    const std::string entries = bytes(address + 8, kEntry * count);
    for (uint64_t i = 0; i < count; ++i) {
      const bool is_soft_link = number(entries, kEntry * i + 16, 4) == 2;  // it has no address
      if (!is_soft_link) read_object(name_at(number(entries, kEntry * i, 8)), number(entries, kEntry * i + 8, 8));
    }
  }

  // A name of the group, which ends with a zero.
  std::string name_at(uint64_t at) {
    constexpr size_t kMost = 4096;
    if (at >= names_.size()) fail_damaged();
    const std::string_view rest = std::string_view(names_).substr(at, kMost);
    const size_t size = rest.find('\0');
    if (size == std::string_view::npos) fail_damaged();
    take(size);
    return std::string(rest.substr(0, size));
  }

  // A dataset; a group is left out.
  void read_object(const std::string& name, uint64_t address) {
    const Message *space = nullptr, *type = nullptr, *layout = nullptr;
    Dataset d{name, "", {}};
    const std::vector<Message> all = messages(address);
    for (const Message& m : all) {
      if (m.type == kDataspace) space = &m;
      if (m.type == kDatatype) type = &m;
      if (m.type == kLayout) layout = &m;
      if (m.type == kExternalFiles) d.problem = "is kept in other files";
    }
    if (space == nullptr || type == nullptr || layout == nullptr) return;
    if (d.problem.empty()) d.problem = read_shape(*space, d.array);
    if (d.problem.empty()) d.problem = read_type(*type, d);
    if (d.problem.empty()) d.problem = read_layout(*layout, d.array);
    if (!d.problem.empty()) d.array = {.element_bytes = 1, .shape = {0}};
    datasets_.push_back(std::move(d));
  }

  // ---- What is wrong with a message; empty: nothing.

  std::string read_shape(const Message& m, NpyArray& array) const {
    const uint64_t version = number(m.bytes, 0, 1), rank = number(m.bytes, 1, 1);
    if (m.shared || version < 1 || version > 2 || rank < 1 || rank > 2) return "has another shape";
    for (uint64_t i = 0; i < rank; ++i) {
      const uint64_t size = number(m.bytes, (version == 1 ? 8 : 4) + 8 * i, 8);
      constexpr uint64_t kLargest = uint64_t{1} << 40;
      if (size > kLargest) return "has an impossible shape";
      array.shape.push_back(static_cast<int64_t>(size));
    }
    return "";
  }

  std::string read_type(const Message& m, Dataset& d) const {
    NpyArray& array = d.array;
    const std::string refused = "holds elements of a type that is not read";
    if (m.shared) return refused;
    const uint64_t kind = number(m.bytes, 0, 1) & 15, bits = number(m.bytes, 1, 1);
    const int64_t size = static_cast<int64_t>(number(m.bytes, 4, 4));
    array.element_bytes = size;
    if (kind == 3) {  // text of a fixed length, ended or filled by zeros
      array.element = NpyArray::Element::bytes;
      return (bits & 15) <= 1 && size >= 1 && size <= kMaxTextBytes ? "" : refused;
    }
    if (kind == 9) {
      array.element = NpyArray::Element::bytes;
      d.any_length = (bits & 15) == 1 && size == static_cast<int64_t>(kReference);
      return d.any_length ? "" : refused;
    }
    if (kind > 1 || (bits & 1) != 0) return refused;  // neither an integer nor a number, or of another byte order
    const bool is_whole = number(m.bytes, 8, 2) == 0 && number(m.bytes, 10, 2) == static_cast<uint64_t>(8 * size);
    const bool is_integer = kind == 0 && (size == 1 || size == 2 || size == 4 || size == 8);
    const bool is_real = kind == 1 && (bits & 0x40) == 0 && (size == 4 || size == 8);
    if (!is_whole || (!is_integer && !is_real)) return refused;
    using Element = NpyArray::Element;
    array.element = is_real ? Element::real : (bits & 8) != 0 ? Element::integer : Element::unsigned_integer;
    return "";
  }

  std::string read_layout(const Message& m, NpyArray& array) const {
    const uint64_t version = number(m.bytes, 0, 1), kind = number(m.bytes, 1, 1);
    if (m.shared || version < 3 || version > 4 || kind > 1) return "is stored in chunks or compressed";
    const bool is_compact = kind == 0;  // the elements stand in the message
    const uint64_t address = is_compact ? m.address + 4 : number(m.bytes, 2, 8);
    const uint64_t stored = is_compact ? number(m.bytes, 2, 2) : number(m.bytes, 10, 8);
    const uint64_t columns = static_cast<uint64_t>(array.columns()), rows = static_cast<uint64_t>(array.rows());
    const uint64_t element = static_cast<uint64_t>(array.element_bytes);
    constexpr uint64_t kMost = uint64_t{1} << 62;
    if (columns == 0 || columns > kMost / element || rows > kMost / (columns * element)) {
      return "has an impossible shape";
    }
    const uint64_t needed = rows * columns * element;
    if (needed > 0 && (address == kNowhere || stored != needed || needed > size_ || address > size_ - needed)) {
      return "is damaged, or was never written";
    }
    array.header_bytes = needed > 0 ? static_cast<int64_t>(address) : 0;
    return "";
  }

  const std::string path_;
  std::ifstream file_;
  uint64_t size_ = 0, read_ = 0;
  std::string names_;                                          // of the objects of the group, each ended by a zero
  std::map<uint64_t, std::map<uint64_t, std::string>> heaps_;  // by address: the objects by number
  std::vector<Dataset> datasets_;
};

}  // namespace

bool is_h5(std::string_view head) { return head.starts_with(kMagic); }

H5Reader::H5Reader(const std::string& path) : ArraySource(path, "an HDF5 file", kRemedy) {
  std::vector<std::string> names;
  std::vector<NpyArray> arrays;
  for (Dataset& d : H5File(path).datasets()) {
    names.push_back(std::move(d.name));
    arrays.push_back(std::move(d.array));
    problems_.push_back(std::move(d.problem));
    any_length_.push_back(d.any_length);
  }
  texts_.resize(names.size());
  set_arrays(std::move(names), std::move(arrays));
}

void H5Reader::select(const std::vector<std::string>& names) {
  std::optional<H5File> file;  // one for all columns: it bounds what they take together
  for (size_t c = 0; c < columns().size(); ++c) {
    const bool is_selected = std::find(names.begin(), names.end(), columns()[c]) != names.end();
    if (is_selected && !problems_[c].empty()) {
      throw InputError(cat(where(columns()[c]), ": ", problems_[c], remedy()));
    }
    if (is_selected && any_length_[c] && texts_[c] == nullptr) {
      NpyArray changed = array(c);
      if (!file) file.emplace(path());
      texts_[c] = std::make_shared<const Values>(file->texts(changed));
      set_array(c, changed);
    }
  }
  ArraySource::select(names);
}

ArraySource::Elements H5Reader::open_array(size_t column) const {
  const auto file = std::make_shared<std::ifstream>(path(), std::ios::binary);
  file->seekg(static_cast<std::streamoff>(array(column).header_bytes));
  return [file, where = where(columns()[column])](char* out, size_t bytes) {
    if (file->read(out, static_cast<std::streamsize>(bytes))) return;
    throw InputError(cat(where, ": is damaged or ends too early", kRemedy));
  };
}

}  // namespace kdef::data
