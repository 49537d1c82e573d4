#include "core/cuda/emulated.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>

#include "core/caching_memory.h"

namespace kdef::cuda {
namespace {

// The device's memory: one range of addresses that only running kernels and copies may touch, so that a host that reads
// a device's pointer crashes here as it would there. New memory is NaN, since a GPU's is not zeroed.
class Arena {
 public:
  Arena()
      : base_(static_cast<std::byte*>(
            ::mmap(nullptr, kSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    // Opening and closing costs by the page.
    if (base_ != MAP_FAILED) ::madvise(base_, kSize, MADV_HUGEPAGE);
  }
  void* take(size_t bytes) {
    if (base_ == MAP_FAILED || used_ + bytes > kSize) return nullptr;
    std::byte* block = base_ + used_;
    used_ += (bytes + kPage - 1) / kPage * kPage;
    open();
    std::memset(block, 0xFF, bytes);
    close();
    return block;
  }
  void open() {
    if (used_ > 0 && depth_++ == 0) ::mprotect(base_, used_, PROT_READ | PROT_WRITE);
  }
  void close() {
    if (used_ > 0 && --depth_ == 0) ::mprotect(base_, used_, PROT_NONE);
  }

 private:
  static constexpr size_t kSize = size_t{16} << 30, kPage = 4096;
  std::byte* base_;
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
  static void release(void*) noexcept {}  // a range of addresses is not used twice
  static std::string shortage() { return " of the emulated device"; }
  static void copy(void* to, const void* from, size_t bytes) { copy_async(to, from, bytes); }
  static void zero(void* to, size_t bytes) {
    emulated::enqueue([=] { std::memset(to, 0, bytes); });
  }
};

// The device at work.
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
int g_pools = 0;

}  // namespace

namespace emulated {

void enqueue(std::function<void()> work) {
  if (g_recording != nullptr)
    g_recording->push_back(std::move(work));
  else
    run(work);
}

namespace {

constexpr size_t kStack = size_t{64} << 10;

struct Fiber {
  ucontext_t context;
  bool done = false;
};

// The fibers that this thread runs, and which of them is running.
struct Scheduler {
  ucontext_t main;
  std::vector<Fiber> fibers;
  std::vector<char> stacks;
  const std::function<void(int)>* body = nullptr;
  int current = -1;
  bool progress = false;  // since the last turn: a fiber ended or left a meeting
  std::exception_ptr failure;
};
thread_local Scheduler t_scheduler;

void yield() {
  Scheduler& s = t_scheduler;
  swapcontext(&s.fibers[static_cast<size_t>(s.current)].context, &s.main);
}

void start() {
  Scheduler& s = t_scheduler;
  const int me = s.current;
  try {
    (*s.body)(me);
  } catch (...) {
    s.failure = std::current_exception();
  }
  s.fibers[static_cast<size_t>(me)].done = true;
  s.progress = true;
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
  s.fibers.assign(static_cast<size_t>(count), {});
  s.stacks.resize(static_cast<size_t>(count) * kStack);
  s.body = &body;
  s.failure = nullptr;
  for (int i = 0; i < count; ++i) {
    Fiber& fiber = s.fibers[static_cast<size_t>(i)];
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = s.stacks.data() + static_cast<size_t>(i) * kStack;
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = &s.main;
    makecontext(&fiber.context, start, 0);
  }
  for (int left = count; left > 0;) {
    left = 0;
    s.progress = false;
    for (int i = 0; i < count; ++i) {
      Fiber& fiber = s.fibers[static_cast<size_t>(i)];
      if (fiber.done) continue;
      s.current = i;
      swapcontext(&s.main, &fiber.context);
      left += !fiber.done;
    }
    if (s.failure) std::rethrow_exception(s.failure);
    KDEF_CHECK(left == 0 || s.progress, "emulated CUDA kernel: ", left,
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

void synchronize() {
  const Fault found = *fault();
  if (found.found == 0) return;
  *fault() = {};
  throw InputError(
      cat("id ", found.id, " at position ", found.position, " is outside its table of ", found.rows, " rows"));
}

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
Graph::~Graph() = default;

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
