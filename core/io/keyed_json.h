// JSON objects of many keys, in the order of their insertion: nlohmann::ordered_json looks a key up by comparing it
// with all others, so that reading an object takes time with the square of its size.
#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace kdef {

/// The object type of KeyedJson: nlohmann's, with an index of the keys once there are more than a few.
template <class Key, class T, class Less, class Allocator>
class KeyedObject : public nlohmann::ordered_map<Key, T, Less, Allocator> {
 public:
  using Base = nlohmann::ordered_map<Key, T, Less, Allocator>;
  using Base::Base;
  using typename Base::const_iterator;
  using typename Base::iterator;
  using typename Base::size_type;

  iterator find(const Key& key) { return this->begin() + static_cast<std::ptrdiff_t>(place(key)); }
  const_iterator find(const Key& key) const { return this->begin() + static_cast<std::ptrdiff_t>(place(key)); }
  size_type count(const Key& key) const { return place(key) < this->size() ? 1 : 0; }
  std::pair<iterator, bool> emplace(const Key& key, T&& value) {
    const size_t at = place(key);
    const bool is_new = at == this->size();
    if (is_new) this->emplace_back(key, std::forward<T>(value));
    return {this->begin() + static_cast<std::ptrdiff_t>(at), is_new};
  }
  T& operator[](const Key& key) { return emplace(key, T{}).first->second; }
  const T& operator[](const Key& key) const { return at(key); }
  T& at(const Key& key) { return const_cast<T&>(std::as_const(*this).at(key)); }
  const T& at(const Key& key) const {
    const size_t at = place(key);
    if (at == this->size()) throw std::out_of_range("key not found");
    return (*this).Base::Container::operator[](at).second;
  }
  size_type erase(const Key& key) {
    forget();
    return Base::erase(key);
  }
  iterator erase(iterator at) {
    forget();
    return Base::erase(at);
  }
  std::pair<iterator, bool> insert(const typename Base::value_type& value) {
    return emplace(value.first, T(value.second));
  }
  template <class Iterator>
  void insert(Iterator first, Iterator last) {
    for (; first != last; ++first) insert(*first);
  }

 private:
  static constexpr size_t kFew = 16;

  void forget() const { places_.clear(); }
  // Where the key stands; size() if it does not.
  size_t place(const Key& key) const {
    const auto& entries = static_cast<const typename Base::Container&>(*this);
    if (entries.size() <= kFew) {
      size_t at = 0;
      while (at < entries.size() && entries[at].first != key) ++at;
      return at;
    }
    if (places_.size() > entries.size()) forget();  // the entries were moved away
    for (size_t at = places_.size(); at < entries.size(); ++at) places_.emplace(entries[at].first, at);
    const auto known = places_.find(key);
    return known == places_.end() ? entries.size() : known->second;
  }

  mutable std::unordered_map<Key, size_t> places_;  // of the first entries
};

/// As nlohmann::ordered_json, with fast look-up.
using KeyedJson = nlohmann::basic_json<KeyedObject>;

}  // namespace kdef
