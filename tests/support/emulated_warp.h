// A warp of N lanes played by N threads that meet at a barrier: the row functors of ops/ run here as they would on a
// GPU, so that their splitting over lanes is tested without one.
#pragma once

#include <barrier>
#include <functional>
#include <thread>
#include <vector>

namespace kdef::test {

template <int N>
class EmulatedWarp {
 public:
  class Lane {
   public:
    Lane(EmulatedWarp& warp, int id) : warp_(warp), id_(id) {}
    int id() const { return id_; }
    int size() const { return N; }
    template <class T>
    T sum(T v) const {
      return combine(v, [](T a, T b) { return a + b; });
    }
    template <class T>
    T max(T v) const {
      return combine(v, [](T a, T b) { return a > b ? a : b; });
    }

   private:
    // Butterfly, as warp shuffles do it: after log2(N) rounds every lane holds the result.
    template <class T, class Fn>
    T combine(T v, Fn fn) const {
      for (int offset = N / 2; offset > 0; offset /= 2) {
        warp_.slots_[static_cast<size_t>(id_)] = static_cast<double>(v);
        warp_.barrier_.arrive_and_wait();
        const T other = static_cast<T>(warp_.slots_[static_cast<size_t>(id_ ^ offset)]);
        warp_.barrier_.arrive_and_wait();
        v = fn(v, other);
      }
      return v;
    }
    EmulatedWarp& warp_;
    int id_;
  };

  /// Runs fn(lane) on all lanes at once.
  void run(const std::function<void(const Lane&)>& fn) {
    std::vector<std::thread> threads;
    for (int i = 0; i < N; ++i) threads.emplace_back([&, i] { fn(Lane(*this, i)); });
    for (std::thread& t : threads) t.join();
  }

 private:
  std::barrier<> barrier_{N};
  std::vector<double> slots_ = std::vector<double>(N);
};

}  // namespace kdef::test
