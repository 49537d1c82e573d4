#include "data/raw/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "core/base/error.h"
#include "core/io/descriptor.h"
#include "data/raw/content_hash.h"

namespace kdef::data {
namespace {

constexpr size_t kInputBytes = size_t{1} << 20;
constexpr int64_t kTimeStep = 2'000'000'000;  // ns; FAT has the longest

FileState state_of(const std::string& path, const struct stat& info) {
  const auto nanoseconds = [](const timespec& t) { return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
  FileState state;
  state.path = path;
  state.size = info.st_size;
  state.modified = nanoseconds(info.st_mtim);
  state.changed = nanoseconds(info.st_ctim);
  state.inode = info.st_ino;
  state.regular = S_ISREG(info.st_mode);
  timespec now;
  state.settled = ::clock_gettime(CLOCK_REALTIME, &now) == 0 && nanoseconds(now) - state.modified > kTimeStep;
  return state;
}

class PlainSource : public ByteSource {
 public:
  PlainSource(Descriptor file, FileState state) : file_(std::move(file)), state_(std::move(state)) {
    file_bytes_ = state_.size;
    ::posix_fadvise(file_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  FileState state() const override {
    FileState state = state_;
    if (ended_) state.content = hash_.text();
    return state;
  }

 protected:
  size_t pull(char* out, size_t bytes) override {
    const size_t done = file_.read(out, bytes, state_.path);
    ended_ = ended_ || done < bytes;
    consumed_ += static_cast<int64_t>(done);
    if (state_.regular) hash_.update(out, done);
    return done;
  }

 private:
  const Descriptor file_;
  const FileState state_;
  ContentHash hash_;
  bool ended_ = false;
};

// Decodes the bytes of another source. decode() takes bytes from `in_` and returns how many bytes it wrote.
class DecodedSource : public ByteSource {
 public:
  explicit DecodedSource(std::string path, std::unique_ptr<ByteSource> raw, int64_t bytes)
      : path_(std::move(path)), raw_(std::move(raw)), input_(kInputBytes) {
    file_bytes_ = bytes;
  }

  FileState state() const override { return raw_->state(); }

 protected:
  size_t pull(char* out, size_t bytes) override {
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

  virtual size_t decode(char* out, size_t bytes) = 0;
  [[noreturn]] void damaged(const char* format, const char* why) const {
    throw InputError(
        cat(path_, ": not valid ", format, " data: ", why != nullptr ? why : "damaged", "; compress the rows again"));
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
      if (begun_) skip_zeros();
      if (in_bytes_ == 0) return 0;
      inflateReset(&stream_);  // members may follow each other
      at_frame_end_ = false;
      begun_ = true;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in_));
    stream_.avail_in = static_cast<uInt>(in_bytes_);
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(std::min(bytes, size_t{1} << 30));
    const uInt capacity = stream_.avail_out;
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status == Z_MEM_ERROR) throw SystemError(cat(path_, ": not enough memory to decompress it"));
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) damaged("gzip", stream_.msg);
    in_ += in_bytes_ - stream_.avail_in;
    in_bytes_ = stream_.avail_in;
    at_frame_end_ = status == Z_STREAM_END;
    return capacity - stream_.avail_out;
  }

 private:
  // Tapes and some tools fill a file up with zeros, which gzip ignores.
  void skip_zeros() {
    while (in_bytes_ > 0 && *in_ == 0) {
      ++in_;
      --in_bytes_;
    }
  }

  z_stream stream_{};
  bool begun_ = false;
};

class ZstdSource : public DecodedSource {
 public:
  ZstdSource(std::string path, std::unique_ptr<ByteSource> raw, int64_t bytes)
      : DecodedSource(std::move(path), std::move(raw), bytes), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw SystemError("zstd: out of memory");
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kMaxWindowLog);
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }

 protected:
  size_t decode(char* out, size_t bytes) override {
    if (at_frame_end_ && in_bytes_ == 0) return 0;
    ZSTD_inBuffer in{in_, in_bytes_, 0};
    ZSTD_outBuffer to{out, bytes, 0};
    const size_t hint = ZSTD_decompressStream(stream_, &to, &in);
    if (ZSTD_isError(hint)) {
      if (ZSTD_getErrorCode(hint) == ZSTD_error_memory_allocation) {
        throw SystemError(
            cat(path_, ": not enough memory for the window of this zstd file; compress it without --long"));
      }
      if (ZSTD_getErrorCode(hint) == ZSTD_error_frameParameter_windowTooLarge) {
        throw InputError(cat(path_, ": the window of this zstd file is larger than 2 GiB (--long=", kMaxWindowLog,
                             "); compress the rows again, without --long"));
      }
      damaged("zstd", ZSTD_getErrorName(hint));
    }
    in_ += in.pos;
    in_bytes_ -= in.pos;
    at_frame_end_ = hint == 0;
    return to.pos;
  }

 private:
  static constexpr int kMaxWindowLog = 31;  // the largest that the zstd program reads
  ZSTD_DStream* stream_;
};

// A kind of content by its first bytes.
struct Magic {
  std::string_view bytes;
  size_t offset;
  const char* what;
  const char* remedy;
};

using namespace std::string_view_literals;
constexpr const char* kExport = "export the rows as CSV or TSV (plain, gzip or zstd) and name that file";
constexpr const char* kUnpack = "unpack it and name the CSV or TSV file";
constexpr const char* kUtf16 = "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW_FILE";
constexpr size_t kHeadBytes = 512;  // a tar archive says so at byte 257

// What is told and not read. A longer prefix stands before a shorter one.
constexpr Magic kForeign[] = {
    {"1AY&SY"sv, 4, "bzip2 data", "decompress it (bunzip2), or compress the rows with gzip or zstd"},
    {"\xFD"
     "7zXZ\0"sv,
     0, "xz data", "decompress it (unxz), or compress the rows with gzip or zstd"},
    {"\x04\x22\x4D\x18"sv, 0, "lz4 compressed data", "decompress it (unlz4), or compress the rows with gzip or zstd"},
    {"\xFF\x06\0\0sNaPpY"sv, 0, "Snappy compressed data", "compress the rows with gzip or zstd"},
    {"\x1F\x9D"sv, 0, "compressed by compress (.Z)", "decompress it (uncompress)"},
    {"ustar"sv, 257, "a tar archive", kUnpack},
    {"PK\x03\x04"sv, 0, "a zip archive or an Excel workbook",
     "unpack it, or save the sheet as CSV, and name the CSV or TSV file"},
    {"7z\xBC\xAF\x27\x1C"sv, 0, "a 7z archive", kUnpack},
    {"Rar!\x1A\x07"sv, 0, "a rar archive", kUnpack},
    {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"sv, 0, "an Excel workbook", "save the sheet as CSV and name that file"},
    {"PAR1"sv, 0, "a Parquet file in a pipe or compressed once more", "name the Parquet file itself"},
    {"ORC"sv, 0, "an ORC file", kExport},
    {"ARROW1\0\0"sv, 0, "a Feather (Arrow) file", kExport},
    {"FEA1"sv, 0, "a Feather file", kExport},
    {"Obj\x01"sv, 0, "an Avro file", kExport},
    {"\x89HDF\r\n\x1A\n"sv, 0, "an HDF5 file", kExport},
    {"\x93NUMPY"sv, 0, "a NumPy array", kExport},
    {"SQLite format 3\0"sv, 0, "an SQLite database", kExport},
    {"\xFF\xFE"sv, 0, "UTF-16 text", kUtf16},
    {"\xFE\xFF"sv, 0, "UTF-16 text", kUtf16},
};

bool has_magic(std::string_view head, std::string_view magic, size_t offset = 0) {
  return head.size() >= offset && head.substr(offset).starts_with(magic);
}

bool has_controls(std::string_view head) {
  return std::any_of(head.begin(), head.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f';
  });
}

bool is_gzip(std::string_view head) { return has_magic(head, "\x1F\x8B\x08"sv); }

// A frame, or a frame to skip (magic 0x184D2A50 to 0x184D2A5F), as parallel and seekable compressors write.
bool is_zstd(std::string_view head) {
  return has_magic(head, "\x28\xB5\x2F\xFD"sv) ||
         (has_magic(head, "\x2A\x4D\x18"sv, 1) && (static_cast<unsigned char>(head[0]) & 0xF0) == 0x50);
}

// Throws for content that is no text and no compression that is read.
void check_text(const std::string& path, std::string_view head) {
  for (const Magic& magic : kForeign) {
    // A line of text may begin with "ORC"; an ORC file holds bytes that no text has.
    const bool sure = magic.bytes.size() > 5 || magic.bytes[0] < 0 || has_controls(head);
    if (sure && has_magic(head, magic.bytes, magic.offset))
      throw InputError(cat(path, ": this is ", magic.what, ", which is not read; ", magic.remedy));
  }
  for (const char* end : {".gz", ".zst"}) {
    if (path.ends_with(end) && has_controls(head)) {
      throw InputError(
          cat(path, ": neither gzip nor zstd data nor text; is the file damaged? Compress the rows again"));
    }
  }
}

Descriptor open_file(const std::string& path) {
  if (path.empty()) throw InputError("the name of a data file is empty; give the path of a CSV or TSV file");
  if (path == "-") return Descriptor(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  std::string advice = "; check the path";
  for (const char* other : {".feather", ".xlsx", ".zip"}) {
    if (path.ends_with(other)) advice = cat("; ", other, " files are not read: ", kExport);
  }
  std::error_code absent;
  for (const char* ending : kRowEndings) {
    if (std::filesystem::is_regular_file(path + ending, absent))
      advice = cat("; name ", path, ending, ", which is there");
  }
  return open_to_read(path, advice);
}

}  // namespace

double ByteSource::fraction() const {
  return file_bytes_ > 0 ? std::min(1.0, static_cast<double>(consumed_) / static_cast<double>(file_bytes_)) : 1.0;
}

size_t ByteSource::read(char* out, size_t bytes) {
  const size_t n = std::min(bytes, peeked_.size());
  if (n > 0) {
    std::memcpy(out, peeked_.data(), n);
    peeked_.erase(0, n);
  }
  return n == bytes ? n : n + pull(out + n, bytes - n);
}

std::string_view ByteSource::peek(size_t bytes) {
  const size_t before = peeked_.size();
  if (before < bytes) {
    peeked_.resize(bytes);
    peeked_.resize(before + pull(peeked_.data() + before, bytes - before));
  }
  return std::string_view(peeked_).substr(0, bytes);
}

FileState file_state(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    open_file(path);  // throws, with the reason
    throw system_failure(path, "cannot be examined");
  }
  return state_of(path, info);
}

std::string content_of(const std::string& path) {
  const auto source = ByteSource::open_raw(path);
  std::vector<char> block(kInputBytes);
  while (source->read(block.data(), block.size()) > 0) {
  }
  return source->state().content;
}

std::unique_ptr<ByteSource> ByteSource::open_raw(const std::string& path) {
  Descriptor file = open_file(path);
  const std::string name = path == "-" ? "standard input" : path;
  struct stat info;
  if (::fstat(file.get(), &info) != 0) throw system_failure(name, "cannot be examined");
  if (S_ISDIR(info.st_mode)) throw InputError(cat(name, ": is a folder; name one CSV or TSV file"));
  return std::make_unique<PlainSource>(std::move(file), state_of(name, info));
}

std::unique_ptr<ByteSource> ByteSource::open(const std::string& path) {
  std::unique_ptr<ByteSource> source = open_raw(path);
  const std::string name = source->state().path;
  constexpr int kMaxDepth = 2;  // a file may decompress to itself
  for (int depth = 0;; ++depth) {
    const std::string_view head = source->peek(kHeadBytes);
    const bool gzip = is_gzip(head), zstd = is_zstd(head);
    if (!gzip && !zstd) {
      check_text(name, head);
      return source;
    }
    if (depth == kMaxDepth) {
      throw InputError(cat(name, ": is compressed more than ", kMaxDepth, " times; decompress it"));
    }
    const int64_t bytes = source->file_bytes_;
    if (gzip) {
      source = std::make_unique<GzipSource>(name, std::move(source), bytes);
    } else {
      source = std::make_unique<ZstdSource>(name, std::move(source), bytes);
    }
  }
}

}  // namespace kdef::data
