#include "apps/build_id.h"

#include <elf.h>
#include <link.h>

#include <cstring>

#include "core/base/error.h"
#include "core/base/integers.h"
#include "core/base/isa.h"
#include "core/base/text.h"

namespace kdef::apps {
namespace {

// The notes of a segment stand one after the other: a head, then name and content, each padded to 4 bytes.
std::string id_in(const char* notes, size_t bytes) {
  for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= bytes;) {
    ElfW(Nhdr) head;
    std::memcpy(&head, notes + at, sizeof head);
    const char* name = notes + at + sizeof head;
    const char* content = name + round_up(size_t{head.n_namesz}, size_t{4});
    if (head.n_type == NT_GNU_BUILD_ID && std::string_view(name, head.n_namesz) == std::string_view("GNU", 4)) {
      std::string text;
      for (size_t i = 0; i < head.n_descsz; ++i) {
        const auto byte = static_cast<unsigned char>(content[i]);
        text += {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
      }
      return text;
    }
    at = static_cast<size_t>(content - notes) + round_up(size_t{head.n_descsz}, size_t{4});
  }
  return "";
}

// Called for the program first.
int take_id(dl_phdr_info* info, size_t, void* out) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const std::string id = id_in(reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr), segment.p_memsz);
    if (!id.empty()) *static_cast<std::string*>(out) = id;
  }
  return 1;  // no other library
}

}  // namespace

std::string build_lines() {
  std::string id;
  ::dl_iterate_phdr(take_id, &id);
  KDEF_CHECK(!id.empty(),
             "this program has no build id, by which processes know that they are one build of kdef; link it "
             "with --build-id, and keep the section .note.gnu.build-id");
  return cat("version: ", KDEF_VERSION, "\nbuild: ", id, "\ninstructions of predictions: ", name_of(chosen_isa()),
             "\n");
}

}  // namespace kdef::apps
