// libkdef.so of a package: passes every call of kdef.h on to the library that was compiled for this processor, which
// the first call loads.
#include <dlfcn.h>

#include <filesystem>

#include "bindings/c/kdef.h"
#include "core/base/error.h"
#include "packaging/level.h"

namespace {

void in_this_library() {}

// The library for this processor; or why there is none, and what each call then returns.
struct Engine {
  void* handle = nullptr;
  kdef_status status = KDEF_OK;
  std::string failure;

  Engine() noexcept {
    try {
      load();
    } catch (const kdef::InputError& e) {
      fail(KDEF_BAD_INPUT, e.what());
    } catch (const std::exception& e) {
      fail(KDEF_SYSTEM_FAILURE, e.what());
    }
  }

 private:
  void load() {
    Dl_info self;
    if (::dladdr(reinterpret_cast<const void*>(&in_this_library), &self) == 0) {
      throw kdef::SystemError("libkdef.so: the dynamic loader does not tell where it lies");
    }
    const std::string folder = std::filesystem::canonical(self.dli_fname).parent_path();
    const std::string file = kdef::packaging::level_folder(folder) + "/" KDEF_LIBRARY_NAME;
    handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      throw kdef::SystemError(kdef::cat(::dlerror(), "; install the package again"));
    }
  }
  void fail(kdef_status s, const char* message) {
    handle = nullptr;
    status = s;
    failure = message;
  }
};

const Engine& engine() {
  static const Engine* const loaded = new Engine;  // calls may come until the process ends
  return *loaded;
}

// What kdef_last_error() says where there is no engine.
thread_local const char* last_error = "";

kdef_status refused() {
  last_error = engine().failure.c_str();
  return engine().status;
}

template <class Function>
Function* find(const char* name) {
  return engine().handle == nullptr ? nullptr : reinterpret_cast<Function*>(::dlsym(engine().handle, name));
}

}  // namespace

// The engine's function of that name; null where there is no engine.
#define FOUND(function)                                             \
  ([] {                                                             \
    static auto* const found = find<decltype(function)>(#function); \
    return found;                                                   \
  }())
#define PASS_ON(function, ...) (FOUND(function) != nullptr ? FOUND(function)(__VA_ARGS__) : refused())
// Those of a model: there is none without an engine.
#define PASS_ON_MODEL(function, ...) FOUND(function)(__VA_ARGS__)

int kdef_abi(void) { return KDEF_ABI; }
const char* kdef_version(void) { return KDEF_VERSION; }
const char* kdef_last_error(void) { return FOUND(kdef_last_error) != nullptr ? FOUND(kdef_last_error)() : last_error; }
kdef_status kdef_set_threads(int threads) { return PASS_ON(kdef_set_threads, threads); }

kdef_status kdef_open(const char* directory, kdef_model** model) { return PASS_ON(kdef_open, directory, model); }
kdef_status kdef_open_buffer(const void* bytes, size_t size, kdef_model** model) {
  return PASS_ON(kdef_open_buffer, bytes, size, model);
}
void kdef_opening_defaults(kdef_opening* opening) {
  if (FOUND(kdef_opening_defaults) != nullptr) {
    FOUND(kdef_opening_defaults)(opening);
  } else {
    *opening = {};
    opening->size = sizeof *opening;
  }
}
kdef_status kdef_open_as(const kdef_opening* opening, kdef_model** model) {
  return PASS_ON(kdef_open_as, opening, model);
}
size_t kdef_memory(const kdef_model* model) { return PASS_ON_MODEL(kdef_memory, model); }
void kdef_close(kdef_model* model) {
  if (model != nullptr) PASS_ON_MODEL(kdef_close, model);
}
size_t kdef_students(const kdef_model* model) { return PASS_ON_MODEL(kdef_students, model); }
int kdef_predicts_clicks(const kdef_model* model) { return PASS_ON_MODEL(kdef_predicts_clicks, model); }
size_t kdef_columns(const kdef_model* model) { return PASS_ON_MODEL(kdef_columns, model); }
const char* kdef_column(const kdef_model* model, size_t i) { return PASS_ON_MODEL(kdef_column, model, i); }
size_t kdef_id_columns(const kdef_model* model) { return PASS_ON_MODEL(kdef_id_columns, model); }
size_t kdef_number_columns(const kdef_model* model) { return PASS_ON_MODEL(kdef_number_columns, model); }

kdef_status kdef_score_text(const kdef_model* model, const kdef_text_rows* rows, float* scores, float* student_scores) {
  return PASS_ON(kdef_score_text, model, rows, scores, student_scores);
}
kdef_status kdef_score_arrow(const kdef_model* model, const ArrowSchema* schema, const ArrowArray* batch, float* scores,
                             float* student_scores) {
  return PASS_ON(kdef_score_arrow, model, schema, batch, scores, student_scores);
}
kdef_status kdef_encode_text(const kdef_model* model, const kdef_text_rows* rows, int32_t* ids, float* numbers) {
  return PASS_ON(kdef_encode_text, model, rows, ids, numbers);
}
kdef_status kdef_score_encoded(const kdef_model* model, const int32_t* ids, const float* numbers, size_t rows,
                               float* scores, float* student_scores) {
  return PASS_ON(kdef_score_encoded, model, ids, numbers, rows, scores, student_scores);
}

void kdef_training_defaults(kdef_training* training) {
  if (FOUND(kdef_training_defaults) != nullptr) {
    FOUND(kdef_training_defaults)(training);
  } else {
    *training = {};
    training->size = sizeof *training;
  }
}
kdef_status kdef_train(const kdef_training* training) { return PASS_ON(kdef_train, training); }
