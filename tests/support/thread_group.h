// A group of threads that meet in one process: what a group of processes does, for tests.
#pragma once

#include <algorithm>
#include <barrier>
#include <cstring>
#include <exception>
#include <functional>
#include <span>
#include <thread>
#include <vector>

#include "core/base/group.h"
#include "core/base/pairwise.h"

namespace kdef::test {

class ThreadGroup {
 public:
  explicit ThreadGroup(int size) : size_(size), slots_(static_cast<size_t>(size)), meet_(size) {}

  // Runs `work` once per member, each in a thread of its own under its GroupScope. The failure of the lowest rank is
  // rethrown; members must not throw while others wait for them.
  void run(const std::function<void(Group&)>& work) {
    std::vector<std::exception_ptr> failures(slots_.size());
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size_; ++rank) {
      threads.emplace_back([&, rank] {
        Member member(*this, rank);
        const GroupScope scope(member);
        try {
          work(member);
        } catch (...) {
          failures[static_cast<size_t>(rank)] = std::current_exception();
        }
      });
    }
    for (std::thread& t : threads) t.join();
    for (const std::exception_ptr& failure : failures) {
      if (failure) std::rethrow_exception(failure);
    }
  }

 private:
  class Member final : public Group {
   public:
    Member(ThreadGroup& all, int rank) : all_(all), rank_(rank) {}
    int rank() const override { return rank_; }
    int size() const override { return all_.size_; }
    void all_reduce(std::span<double> values) override { sum(values); }
    void all_reduce(std::span<float> values) override { sum(values); }
    std::vector<Bytes> all_gather(const Bytes& mine) override {
      return exchange(&mine, [](const void* slot) { return *static_cast<const Bytes*>(slot); });
    }
    std::vector<Bytes> all_to_all(const std::vector<Bytes>& parts) override {
      return exchange(&parts, [&](const void* slot) {
        return (*static_cast<const std::vector<Bytes>*>(slot))[static_cast<size_t>(rank_)];
      });
    }
    void broadcast(std::span<std::byte> data, int root) override {
      publish(data.data());
      if (rank_ != root) std::memcpy(data.data(), all_.slots_[static_cast<size_t>(root)], data.size());
      all_.meet_.arrive_and_wait();
    }
    bool agree(bool mine) override {
      float count = mine ? 1 : 0;
      sum(std::span(&count, 1));
      return count > 0;
    }
    void barrier() override { all_.meet_.arrive_and_wait(); }

   private:
    void publish(const void* data) {
      all_.slots_[static_cast<size_t>(rank_)] = data;
      all_.meet_.arrive_and_wait();
    }
    template <class Fn>
    std::vector<Bytes> exchange(const void* mine, Fn&& part_for_me) {
      publish(mine);
      std::vector<Bytes> result;
      for (const void* slot : all_.slots_) result.push_back(part_for_me(slot));
      all_.meet_.arrive_and_wait();
      return result;
    }
    template <class T>
    void sum(std::span<T> values) {
      publish(values.data());
      std::vector<std::vector<T>> parts;
      for (const void* slot : all_.slots_) {
        const T* part = static_cast<const T*>(slot);
        parts.emplace_back(part, part + values.size());
      }
      add_pairwise(parts.size(), [&](size_t to, size_t from) {
        for (size_t i = 0; i < values.size(); ++i) parts[to][i] += parts[from][i];
      });
      all_.meet_.arrive_and_wait();  // all have read before one writes
      std::copy(parts[0].begin(), parts[0].end(), values.begin());
    }

    ThreadGroup& all_;
    int rank_;
  };

  int size_;
  std::vector<const void*> slots_;  // what each member shows to the others
  std::barrier<> meet_;
};

}  // namespace kdef::test
