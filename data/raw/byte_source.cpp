#include "data/raw/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "core/base/error.h"

namespace kdef::data {
namespace {

constexpr size_t kInputBytes = size_t{1} << 20;

class PlainSource : public ByteSource {
 public:
  PlainSource(std::string path, int fd, int64_t bytes) : path_(std::move(path)), fd_(fd) {
    file_bytes_ = bytes;
    ::posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  ~PlainSource() override { ::close(fd_); }

  size_t read(char* out, size_t bytes) override {
    size_t done = 0;
    while (done < bytes) {
      const ssize_t n = ::read(fd_, out + done, std::min(bytes - done, size_t{1} << 30));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw SystemError(cat(path_, ": cannot be read: ", std::strerror(errno)));
      if (n == 0) break;
      done += static_cast<size_t>(n);
      consumed_ += n;
    }
    return done;
  }

 protected:
  const std::string path_;

 private:
  const int fd_;
};

// Decodes the bytes of another source. decode() takes bytes from `in_` and returns how many bytes it wrote.
class DecodedSource : public ByteSource {
 public:
  explicit DecodedSource(std::string path, std::unique_ptr<ByteSource> raw, int64_t bytes)
      : path_(std::move(path)), raw_(std::move(raw)), input_(kInputBytes) {
    file_bytes_ = bytes;
  }

  size_t read(char* out, size_t bytes) override {
    size_t done = 0;
    while (done < bytes) {
      if (in_bytes_ == 0) {
        in_ = input_.data();
        in_bytes_ = raw_->read(input_.data(), input_.size());
        consumed_ += static_cast<int64_t>(in_bytes_);
        if (in_bytes_ == 0) {
          // The decoder may still hold bytes that need no more input.
          const size_t rest = decode(out + done, bytes - done);
          done += rest;
          if (rest > 0) continue;
          if (!at_frame_end_)
            throw InputError(cat(path_, ": the compressed data ends too early; the file is truncated"));
          break;
        }
      }
      done += decode(out + done, bytes - done);
    }
    return done;
  }

 protected:
  virtual size_t decode(char* out, size_t bytes) = 0;
  [[noreturn]] void damaged(const char* format, const char* why) const {
    throw InputError(cat(path_, ": not valid ", format, " data: ", why != nullptr ? why : "damaged",
                         "; compress it again, or rename it if it is not compressed"));
  }

  const std::string path_;
  const char* in_ = nullptr;
  size_t in_bytes_ = 0;
  bool at_frame_end_ = true;  // no member is open; true for an empty file, which has no members

 private:
  std::unique_ptr<ByteSource> raw_;
  std::vector<char> input_;
};

class GzipSource : public DecodedSource {
 public:
  GzipSource(std::string path, std::unique_ptr<ByteSource> raw, int64_t bytes)
      : DecodedSource(std::move(path), std::move(raw), bytes) {
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) throw SystemError("zlib: out of memory");
  }
  ~GzipSource() override { inflateEnd(&stream_); }

 protected:
  size_t decode(char* out, size_t bytes) override {
    if (at_frame_end_) {
      if (in_bytes_ == 0) return 0;
      inflateReset(&stream_);  // members may follow each other
      at_frame_end_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in_));
    stream_.avail_in = static_cast<uInt>(in_bytes_);
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(std::min(bytes, size_t{1} << 30));
    const uInt capacity = stream_.avail_out;
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) damaged("gzip", stream_.msg);
    in_ += in_bytes_ - stream_.avail_in;
    in_bytes_ = stream_.avail_in;
    at_frame_end_ = status == Z_STREAM_END;
    return capacity - stream_.avail_out;
  }

 private:
  z_stream stream_{};
};

class ZstdSource : public DecodedSource {
 public:
  ZstdSource(std::string path, std::unique_ptr<ByteSource> raw, int64_t bytes)
      : DecodedSource(std::move(path), std::move(raw), bytes), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw SystemError("zstd: out of memory");
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }

 protected:
  size_t decode(char* out, size_t bytes) override {
    if (at_frame_end_ && in_bytes_ == 0) return 0;
    ZSTD_inBuffer in{in_, in_bytes_, 0};
    ZSTD_outBuffer to{out, bytes, 0};
    const size_t hint = ZSTD_decompressStream(stream_, &to, &in);
    if (ZSTD_isError(hint)) damaged("zstd", ZSTD_getErrorName(hint));
    in_ += in.pos;
    in_bytes_ -= in.pos;
    at_frame_end_ = hint == 0;
    return to.pos;
  }

 private:
  ZSTD_DStream* stream_;
};

}  // namespace

double ByteSource::fraction() const {
  return file_bytes_ > 0 ? std::min(1.0, static_cast<double>(consumed_) / static_cast<double>(file_bytes_)) : 1.0;
}

std::unique_ptr<ByteSource> ByteSource::open(const std::string& path) {
  if (path.empty()) throw InputError("the name of a data file is empty; give the path of a CSV or TSV file");
  for (const char* other : {".h5", ".hdf5", ".parquet", ".feather", ".npz", ".xlsx", ".zip"}) {
    if (path.ends_with(other)) {
      throw InputError(
          cat(path, ": ", other,
              " files are not read; export the rows as CSV or TSV (plain, .gz or .zst) and name that file"));
    }
  }
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const std::string message = cat(path, ": cannot be opened: ", std::strerror(errno));
    if (errno == ENOENT || errno == ENOTDIR) throw InputError(message + "; check the path");
    throw SystemError(message);
  }
  struct stat info;
  if (::fstat(fd, &info) != 0) {
    const std::string message = cat(path, ": cannot be read: ", std::strerror(errno));
    ::close(fd);
    throw SystemError(message);
  }
  if (S_ISDIR(info.st_mode)) {
    ::close(fd);
    throw InputError(cat(path, ": is a folder; name one CSV or TSV file"));
  }
  const int64_t bytes = info.st_size;
  auto plain = std::make_unique<PlainSource>(path, fd, bytes);
  if (path.ends_with(".gz")) return std::make_unique<GzipSource>(path, std::move(plain), bytes);
  if (path.ends_with(".zst")) return std::make_unique<ZstdSource>(path, std::move(plain), bytes);
  return plain;
}

}  // namespace kdef::data
