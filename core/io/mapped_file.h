// Files mapped into memory for reading.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kdef {

/// The bytes of a regular file, read-only, loaded by the system page by page as they are used. Any number of threads
/// may read. Movable; the moved-from object is empty. A file that is cut short while it is mapped ends the process with
/// SIGBUS: replace files as a whole (AtomicFile), do not write into them.
class MappedFile {
 public:
  /// Empty: no file.
  MappedFile() = default;
  /// Maps the whole file; a file of 0 bytes gives size() 0. Throws InputError where there is no such file (`advice`
  /// ends the message: "; prepare the data first") or where it is a folder, pipe or device, SystemError where the
  /// system refuses.
  explicit MappedFile(const std::string& path, const std::string& advice = "") : MappedFile(path, advice, false) {}
  /// The same; the bytes may be written, for this map alone: what is written gets memory of its own, and the file stays
  /// as it is.
  static MappedFile to_be_written(const std::string& path) { return {path, "", true}; }
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  /// The first byte; nullptr if size() is 0.
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

  /// Asks the system to read bytes [first, first + bytes) soon and in one piece. Does not wait and cannot fail; what
  /// lies behind the end is ignored.
  void will_need(size_t first, size_t bytes) const;

 private:
  MappedFile(const std::string& path, const std::string& advice, bool writable);
  void unmap();

  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Asks the system to forget what it keeps of a file in memory, so that the next reader waits for the disk: for
/// measurements. Mapped or unwritten pages stay. Throws as MappedFile does.
void drop_from_page_cache(const std::string& path);

}  // namespace kdef
