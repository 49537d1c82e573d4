#include "core/base/isa.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "core/base/error.h"
#include "core/base/names.h"

namespace kdef {

const char* name_of(Isa isa) {
  static constexpr const char* kNames[] = {"plain", "x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4-bf16"};
  return kNames[static_cast<int>(isa)];
}

std::vector<Isa> usable_isas() {
  std::vector<Isa> all = {Isa::plain};
#if defined(KDEF_SERVE_X86)
  // A level includes the ones below it. Bits of the operating system are among what the compiler's function asks.
  if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("popcnt")) return all;
  all.push_back(Isa::v2);
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi") ||
      !__builtin_cpu_supports("bmi2")) {
    return all;
  }
#if !defined(__clang__) && __GNUC__ >= 11  // others may not know these names
  if (!__builtin_cpu_supports("lzcnt") || !__builtin_cpu_supports("movbe") || !__builtin_cpu_supports("f16c")) {
    return all;
  }
#endif
  all.push_back(Isa::v3);
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl")) {
    return all;
  }
  all.push_back(Isa::v4);
  if (__builtin_cpu_supports("avx512bf16")) all.push_back(Isa::v4_bf16);
#endif
  return all;
}

Isa choose_isa(const std::vector<Isa>& isas) {
  const char* forced = std::getenv("KDEF_ISA");
  if (forced == nullptr || *forced == '\0') return isas.back();
  std::vector<std::string> names;
  for (const Isa isa : isas) {
    if (forced == std::string(name_of(isa))) return isa;
    names.emplace_back(name_of(isa));
  }
  throw InputError(cat("KDEF_ISA is '", forced, "'; this processor and this build have ", either(names)));
}

Isa chosen_isa() {
  static const Isa isa = choose_isa(usable_isas());
  return isa;
}

}  // namespace kdef
