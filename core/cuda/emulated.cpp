#include "core/cuda/emulated.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>

#include "core/base/integers.h"
#include "core/tensor/caching_memory.h"

namespace kdef::cuda {
namespace {

// The device's memory: one range of addresses that only kernels and copies may touch while they run. A host that reads
// through a device's pointer crashes, as it does with a GPU. New memory holds NaN, since a GPU does not set it to zero.
// Several threads may use the device: the range is open while one of them runs its work.
class Arena {
 public:
  Arena() {
    // Opening and closing costs time per page; large pages stay large only if the range begins and ends with one.
    void* range = ::mmap(nullptr, kSize + kLargePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return;
    base_ = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<uintptr_t>(range), kLargePage));
    ::madvise(base_, kSize, MADV_HUGEPAGE);
  }
  void* take(size_t bytes) {
    const std::scoped_lock lock(mutex_);
    if (base_ == nullptr || used_ + bytes > kSize) return nullptr;
    std::byte* block = base_ + used_;
    used_ += bytes;
    allow(PROT_READ | PROT_WRITE);
    std::memset(block, 0xFF, bytes);
    if (depth_ == 0) allow(PROT_NONE);
    return block;
  }
  void open() {
    const std::scoped_lock lock(mutex_);
    if (depth_++ == 0) allow(PROT_READ | PROT_WRITE);
  }
  void close() {
    const std::scoped_lock lock(mutex_);
    if (--depth_ == 0) allow(PROT_NONE);
  }
  bool has(const void* address) const {
    const auto* at = static_cast<const std::byte*>(address);
    return base_ != nullptr && at >= base_ && at < base_ + kSize;
  }

 private:
  static constexpr size_t kSize = size_t{16} << 30, kLargePage = size_t{2} << 20;
  void allow(int what) const {
    if (used_ > 0) ::mprotect(base_, round_up(used_, kLargePage), what);
  }
  std::mutex mutex_;
  std::byte* base_ = nullptr;
  size_t used_ = 0;
  int depth_ = 0;
};
Arena& arena() {
  static Arena& it = *new Arena;
  return it;
}

struct EmulatedSystem {
  static size_t round_up(size_t bytes) { return bytes == 0 ? 512 : (bytes + 511) / 512 * 512; }
  static void* allocate(size_t bytes) noexcept { return arena().take(bytes); }
  static void release(void*) noexcept {}  // a range of addresses is never used twice
  static std::string shortage() { return " of the emulated device"; }
  static void copy(void* to, const void* from, size_t bytes) {
    const bool within = arena().has(to) && arena().has(from);
    KDEF_CHECK(within || !recording(), "cuda: the host takes part in a copy while work is recorded");
    copy_async(to, from, bytes);
    if (!within) synchronize();
  }
  static void zero(void* to, size_t bytes) {
    emulated::enqueue([=] { std::memset(to, 0, bytes); });
  }
};

// Runs work of the device, which may touch its memory.
void run(const std::function<void()>& work) {
  arena().open();
  try {
    work();
  } catch (...) {
    arena().close();
    throw;
  }
  arena().close();
}

using Recording = std::vector<std::function<void()>>;
Recording* g_recording = nullptr;
std::atomic<int> g_pools{0};

}  // namespace

namespace emulated {

void enqueue(std::function<void()> work) {
  if (g_recording != nullptr)
    g_recording->push_back(std::move(work));
  else
    run(work);
}

OpenMemory::OpenMemory() { arena().open(); }
OpenMemory::~OpenMemory() { arena().close(); }

namespace {

constexpr size_t kStack = size_t{64} << 10;

// Where a fiber continues. swapcontext would be enough, but it asks the system for the signal mask at every change of
// fibers. So a context is used to enter a fiber for the first time, and jumps to leave and re-enter it. (The address
// sanitizer understands swapcontext only.)
struct Place {
#if defined(__SANITIZE_ADDRESS__)
  ucontext_t context;
  void go(Place& to) { swapcontext(&context, &to.context); }
#else
  jmp_buf jump;
  ucontext_t context;
  bool entered = false;
  void go(Place& to) {
    if (_setjmp(jump) != 0) return;
    if (to.entered) _longjmp(to.jump, 1);
    to.entered = true;
    setcontext(&to.context);
  }
#endif
};

// One fiber: it runs one body after the other, each from its beginning to its end.
struct Fiber {
  Place place;
  std::vector<char> stack = std::vector<char>(kStack);
  bool done = true;
};

// The fibers of this thread, and the one that is running.
struct Scheduler {
  Place main;
  std::vector<std::unique_ptr<Fiber>> fibers;
  const std::function<void(int)>* body = nullptr;
  int current = -1;
  bool progress = false;  // since the last turn: a fiber ended or left a meeting
  std::exception_ptr failure;
};
thread_local Scheduler t_scheduler;

void yield() {
  Scheduler& s = t_scheduler;
  s.fibers[static_cast<size_t>(s.current)]->place.go(s.main);
}

void run_bodies() {
  Scheduler& s = t_scheduler;
  for (;;) {
    const int me = s.current;
    try {
      (*s.body)(me);
    } catch (...) {
      s.failure = std::current_exception();
    }
    s.fibers[static_cast<size_t>(me)]->done = true;
    s.progress = true;
    yield();
  }
}

void add_fiber(Scheduler& s) {
  s.fibers.push_back(std::make_unique<Fiber>());
  Fiber& fiber = *s.fibers.back();
  getcontext(&fiber.place.context);
  fiber.place.context.uc_stack.ss_sp = fiber.stack.data();
  fiber.place.context.uc_stack.ss_size = fiber.stack.size();
  makecontext(&fiber.place.context, run_bodies, 0);
}

}  // namespace

void Meeting::wait() {
  const int64_t mine = generation_;
  if (++arrived_ == members_) {
    arrived_ = 0;
    ++generation_;
    t_scheduler.progress = true;
    return;
  }
  while (generation_ == mine) yield();
  t_scheduler.progress = true;
}

void run_fibers(int count, const std::function<void(int)>& body) {
  Scheduler& s = t_scheduler;
#if !defined(__SANITIZE_ADDRESS__)
  s.main.entered = true;
#endif
  while (static_cast<int>(s.fibers.size()) < count) add_fiber(s);
  s.body = &body;
  s.failure = nullptr;
  for (int i = 0; i < count; ++i) s.fibers[static_cast<size_t>(i)]->done = false;
  for (int left = count; left > 0;) {
    left = 0;
    s.progress = false;
    for (int i = 0; i < count; ++i) {
      Fiber& fiber = *s.fibers[static_cast<size_t>(i)];
      if (fiber.done) continue;
      s.current = i;
      s.main.go(fiber.place);
      left += !fiber.done;
    }
    const bool stuck = left > 0 && !s.progress;
    if (s.failure || stuck) s.fibers.clear();  // some stand in the middle of a body and cannot begin another
    if (s.failure) std::rethrow_exception(s.failure);
    KDEF_CHECK(!stuck, "emulated CUDA kernel: ", left,
               " threads wait for others of their block or warp that have ended");
  }
}

}  // namespace emulated

int device_count() { return 1; }
std::string describe_device(int) { return "CUDA emulated on the host, for tests"; }

Memory& memory(int) {
  static Memory& all = *new CachingMemory<EmulatedSystem>;
  return all;
}

Fault* fault() {
  static Fault* const it = new Fault{};
  return it;
}

void synchronize() { throw_fault(std::exchange(*fault(), {})); }

void copy_async(void* to, const void* from, size_t bytes) {
  emulated::enqueue([=] { std::memmove(to, from, bytes); });
}

PinnedMemory::PinnedMemory(size_t bytes) : data_(std::malloc(bytes == 0 ? 1 : bytes)) {
  if (data_ == nullptr) throw SystemError(cat("out of memory: ", bytes >> 20, " MiB asked"));
}
PinnedMemory::~PinnedMemory() { std::free(data_); }

struct CopyStream::Impl {};
CopyStream::CopyStream() = default;
CopyStream::~CopyStream() = default;
void CopyStream::copy(void* to, const void* from, size_t bytes) {
  run([=] { std::memcpy(to, from, bytes); });
}
void CopyStream::after_computation() {}
void CopyStream::before_computation() {}
void CopyStream::wait() {}

bool recording() { return g_recording != nullptr; }

struct Graph::Impl {
  Recording work;
  int pool = ++g_pools;
};
Graph::Graph() : impl_(std::make_unique<Impl>()) {}
Graph::~Graph() { memory(0).retire_pool(impl_->pool); }

void Graph::record(const std::function<void()>& work) {
  const int before = memory(0).use_pool(impl_->pool);
  try {
    work();
    g_recording = &impl_->work;
    work();
  } catch (...) {
    g_recording = nullptr;
    impl_->work.clear();
    memory(0).use_pool(before);
    throw;
  }
  g_recording = nullptr;
  memory(0).use_pool(before);
}

bool Graph::recorded() const { return !impl_->work.empty(); }

void Graph::launch() {
  for (const auto& step : impl_->work) run(step);
}

}  // namespace kdef::cuda
