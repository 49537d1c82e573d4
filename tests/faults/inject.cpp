// A library for LD_PRELOAD: lets the k-th system call of a kind on the files of one folder fail, write or read short,
// or be the end of the process. Calls on other files (libraries, /proc, standard output) are not counted. A call is
// counted where the program makes it through the C library's name, as kdef and libstdc++ do. The environment says what
// to do:
//   KDEF_FAULT_FOLDER      absolute path: calls on files in this folder are counted. Relative names are taken to be in
//                          it: the program is to be started in the folder
//   KDEF_FAULT_CALL        one of kNames: the kind of the calls that are numbered; any: all of them
//   KDEF_FAULT_AT          the number of the call, from 1; 0: none, calls are counted alone
//   KDEF_FAULT_ERROR       ENOSPC, EIO, EINTR: the call fails and does nothing (close() closes all the same)
//                          short: half of the bytes are written or read
//                          full: the disk is full: half of the bytes are written, and every later write fails by ENOSPC
//                          kill: the process is killed before the call
//   KDEF_FAULT_COUNT_FILE  gets a line "NAME COUNT" for every kind when the process exits, and a line
//                          "hit NAME PATH read|write" for the call that failed
// A file's fsync() is not passed on to the system, which saves time: what it does cannot be seen without a power cut.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

enum Call { kOpen, kRead, kWrite, kFsync, kRename, kMmap, kClose, kFtruncate, kMkdir, kUnlink, kFchmod, kSeek, kCalls };
constexpr const char* kNames[kCalls] = {"open",  "read",      "write", "fsync",  "rename", "mmap",
                                        "close", "ftruncate", "mkdir", "unlink", "fchmod", "lseek"};
enum class Fault { none, error, half, full, kill };

// An open file of the folder. The path stays allocated: a process opens some hundred files.
struct OpenFile {
  const char* path = nullptr;
  bool writes = false;
};
constexpr int kMaxFiles = 4096;
OpenFile g_files[kMaxFiles];

struct Settings {
  std::string folder, count_file;
  int call = -1;  // kCalls: any
  long at = 0;
  Fault fault = Fault::none;
  int error = 0;
};
Settings* g_settings = nullptr;  // null before the constructor and after the destructor: nothing is counted
std::atomic<long> g_counts[kCalls], g_all{0};
std::atomic<bool> g_full{false};
std::string* g_hit = nullptr;

const char* environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

__attribute__((constructor)) void begin() {
  auto* settings = new Settings;
  settings->folder = environment("KDEF_FAULT_FOLDER");
  settings->count_file = environment("KDEF_FAULT_COUNT_FILE");
  if (settings->folder.empty()) return;
  const std::string call = environment("KDEF_FAULT_CALL"), error = environment("KDEF_FAULT_ERROR");
  for (int i = 0; i < kCalls; ++i) {
    if (call == kNames[i]) settings->call = i;
  }
  if (call == "any") settings->call = kCalls;
  settings->at = std::atol(environment("KDEF_FAULT_AT"));
  const struct {
    const char* name;
    Fault fault;
    int error;
  } kFaults[] = {{"ENOSPC", Fault::error, ENOSPC}, {"EIO", Fault::error, EIO},    {"EINTR", Fault::error, EINTR},
                 {"short", Fault::half, 0},        {"full", Fault::full, ENOSPC}, {"kill", Fault::kill, 0}};
  for (const auto& known : kFaults) {
    if (error == known.name) {
      settings->fault = known.fault;
      settings->error = known.error;
    }
  }
  g_settings = settings;
}

__attribute__((destructor)) void end() {
  Settings* settings = g_settings;
  g_settings = nullptr;
  if (settings == nullptr || settings->count_file.empty()) return;
  std::string text;
  for (int i = 0; i < kCalls; ++i) text += std::string(kNames[i]) + " " + std::to_string(g_counts[i]) + "\n";
  text += "any " + std::to_string(g_all) + "\n";
  if (g_hit != nullptr) text += *g_hit;
  const int fd = static_cast<int>(
      ::syscall(SYS_openat, AT_FDCWD, settings->count_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666));
  [[maybe_unused]] const long written = ::syscall(SYS_write, fd, text.data(), text.size());
}

bool is_counted(const char* path) {
  if (g_settings == nullptr || path == nullptr || *path == '\0') return false;
  if (*path != '/') return true;
  const std::string& folder = g_settings->folder;
  return std::strncmp(path, folder.c_str(), folder.size()) == 0 &&
         (path[folder.size()] == '/' || path[folder.size()] == '\0');
}

const OpenFile* file_of(int fd) {
  if (g_settings == nullptr || fd < 0 || fd >= kMaxFiles || g_files[fd].path == nullptr) return nullptr;
  return &g_files[fd];
}

// Called for every file that is opened: the C library closes some by itself, and their numbers are used again.
void opened(int fd, const char* path, bool writes) {
  if (fd >= 0 && fd < kMaxFiles) g_files[fd] = {is_counted(path) ? ::strdup(path) : nullptr, writes};
}

// Counts a call. Returns what is to happen to it, with errno set for an error.
Fault count(Call call, const char* path, bool writes) {
  const long number = ++g_counts[call], all = ++g_all;
  const Settings& s = *g_settings;
  if (s.fault == Fault::full && g_full && call == kWrite) {
    errno = ENOSPC;
    return Fault::error;
  }
  const bool is_it = s.call == kCalls ? all == s.at : s.call == call && number == s.at;
  if (!is_it) return Fault::none;
  if (s.fault == Fault::kill) {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }
  g_hit = new std::string(std::string("hit ") + kNames[call] + " " + path + (writes ? " write\n" : " read\n"));
  if (s.fault == Fault::full) g_full = true;
  errno = s.error;
  return s.fault;
}

bool fails(Call call, const char* path, bool writes) { return count(call, path, writes) == Fault::error; }
bool fails(Call call, int fd) {
  const OpenFile* file = file_of(fd);
  return file != nullptr && fails(call, file->path, file->writes);
}

// The number of bytes that a read or write of `bytes` moves; -1: it fails.
ssize_t allowed(Call call, int fd, size_t bytes) {
  const OpenFile* file = file_of(fd);
  const Fault fault = file == nullptr ? Fault::none : count(call, file->path, file->writes);
  if (fault == Fault::error) return -1;
  return static_cast<ssize_t>(fault == Fault::none || bytes < 2 ? bytes : bytes / 2);
}

template <class Function>
Function* next(Function*, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

template <class Open>
int counted_open(Open open_it, const char* path, int flags) {
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  if (is_counted(path) && fails(kOpen, path, writes)) return -1;
  const int fd = open_it();
  opened(fd, path, writes);
  return fd;
}

}  // namespace

// The C library's own function of this name.
#define REAL(name) static auto* const real = next(&::name, #name)

// The permissions that follow `flags`.
#define READ_MODE(flags)                 \
  mode_t mode = 0;                       \
  if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list rest;                        \
    va_start(rest, flags);               \
    mode = va_arg(rest, mode_t);         \
    va_end(rest);                        \
  }

#define DEFINE_OPEN(open, openat)                                                      \
  int open(const char* path, int flags, ...) {                                         \
    READ_MODE(flags)                                                                   \
    REAL(open);                                                                        \
    return counted_open([&] { return real(path, flags, mode); }, path, flags);         \
  }                                                                                    \
  int openat(int folder, const char* path, int flags, ...) {                           \
    READ_MODE(flags)                                                                   \
    REAL(openat);                                                                      \
    return counted_open([&] { return real(folder, path, flags, mode); }, path, flags); \
  }

#define DEFINE_FOPEN(fopen)                                             \
  FILE* fopen(const char* path, const char* mode) {                     \
    REAL(fopen);                                                        \
    const bool writes = *mode != 'r';                                   \
    if (is_counted(path) && fails(kOpen, path, writes)) return nullptr; \
    FILE* file = real(path, mode);                                      \
    if (file != nullptr) opened(::fileno(file), path, writes);          \
    return file;                                                        \
  }

#define DEFINE_FTRUNCATE(ftruncate, off_t)                \
  int ftruncate(int fd, off_t length) noexcept {          \
    REAL(ftruncate);                                      \
    return fails(kFtruncate, fd) ? -1 : real(fd, length); \
  }

#define DEFINE_SEEK(lseek, off_t)                            \
  off_t lseek(int fd, off_t offset, int whence) noexcept {   \
    REAL(lseek);                                             \
    return fails(kSeek, fd) ? -1 : real(fd, offset, whence); \
  }

#define DEFINE_MMAP(mmap, off_t)                                                                  \
  void* mmap(void* at, size_t length, int protection, int flags, int fd, off_t offset) noexcept { \
    REAL(mmap);                                                                                   \
    return fails(kMmap, fd) ? MAP_FAILED : real(at, length, protection, flags, fd, offset);       \
  }

#define DEFINE_ONE_PATH(name, call)                                       \
  int name(const char* path) noexcept {                                   \
    REAL(name);                                                           \
    return is_counted(path) && fails(call, path, true) ? -1 : real(path); \
  }

extern "C" {

DEFINE_OPEN(open, openat)
DEFINE_OPEN(open64, openat64)
DEFINE_FOPEN(fopen)
DEFINE_FOPEN(fopen64)
DEFINE_FTRUNCATE(ftruncate, off_t)
DEFINE_FTRUNCATE(ftruncate64, off64_t)
DEFINE_SEEK(lseek, off_t)
DEFINE_SEEK(lseek64, off64_t)
DEFINE_MMAP(mmap, off_t)
DEFINE_MMAP(mmap64, off64_t)
DEFINE_ONE_PATH(unlink, kUnlink)
DEFINE_ONE_PATH(rmdir, kUnlink)
DEFINE_ONE_PATH(remove, kUnlink)

DIR* opendir(const char* path) {
  REAL(opendir);
  if (is_counted(path) && fails(kOpen, path, false)) return nullptr;
  return real(path);
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  REAL(unlinkat);
  return is_counted(path) && fails(kUnlink, path, true) ? -1 : real(folder, path, flags);
}

int mkdir(const char* path, mode_t mode) noexcept {
  REAL(mkdir);
  return is_counted(path) && fails(kMkdir, path, true) ? -1 : real(path, mode);
}

int rename(const char* from, const char* to) noexcept {
  REAL(rename);
  return is_counted(to) && fails(kRename, to, true) ? -1 : real(from, to);
}

ssize_t read(int fd, void* data, size_t bytes) {
  REAL(read);
  const ssize_t count = allowed(kRead, fd, bytes);
  return count < 0 ? count : real(fd, data, static_cast<size_t>(count));
}

ssize_t write(int fd, const void* data, size_t bytes) {
  REAL(write);
  const ssize_t count = allowed(kWrite, fd, bytes);
  return count < 0 ? count : real(fd, data, static_cast<size_t>(count));
}

int fsync(int fd) {
  REAL(fsync);
  if (file_of(fd) == nullptr) return real(fd);
  return fails(kFsync, fd) ? -1 : 0;
}

int close(int fd) {
  REAL(close);
  const bool failing = fails(kClose, fd);
  const int reason = errno;
  if (fd >= 0 && fd < kMaxFiles) g_files[fd].path = nullptr;
  const int status = real(fd);
  if (!failing) return status;
  errno = reason;
  return -1;
}

int fchmod(int fd, mode_t mode) noexcept {
  REAL(fchmod);
  return fails(kFchmod, fd) ? -1 : real(fd, mode);
}

}  // extern "C"
