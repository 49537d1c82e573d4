#include "core/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/io/descriptor.h"

namespace kdef {

MappedFile::MappedFile(const std::string& path, const std::string& advice, bool writable) {
  const Descriptor file = open_regular(path, advice);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw system_failure(path, "cannot be read");
  if (status.st_size == 0) return;  // mmap refuses a length of 0
  size_ = static_cast<size_t>(status.st_size);
  // Pages that nobody writes are those of the file either way; none is set aside in advance.
  void* map = writable ? ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.get(), 0)
                       : ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (map == MAP_FAILED) throw system_failure(path, "cannot be mapped into memory");
  data_ = static_cast<const std::byte*>(map);
}

MappedFile::~MappedFile() { unmap(); }

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    unmap();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void MappedFile::unmap() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  data_ = nullptr;
  size_ = 0;
}

void MappedFile::will_need(size_t first, size_t bytes) const {
  if (first >= size_) return;
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = first / page * page, end = first + std::min(bytes, size_ - first);
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_WILLNEED);
}

void drop_from_page_cache(const std::string& path) {
  const Descriptor file = open_regular(path);
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
}

}  // namespace kdef
