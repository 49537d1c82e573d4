/* Scoring and training with kdef from C, and from every language that calls C.
 *
 * Every function that can fail returns a kdef_status; kdef_last_error() then says what was wrong, where, and what to
 * do. Results are written only where the status is KDEF_OK. No exception leaves the library. It prints nothing, and it
 * never ends the process.
 *
 * A kdef_model does not change after it was opened: any number of threads may use one at the same time. Texts are UTF-8
 * bytes; those that the library returns belong to it.
 */
#ifndef KDEF_H
#define KDEF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KDEF_API __attribute__((visibility("default")))
#else
#define KDEF_API
#endif

/* Grows with every change that a program compiled for an older header would not survive. */
#define KDEF_ABI 1

/* The statuses are the exit statuses of the program kdef. */
typedef enum kdef_status {
  KDEF_OK = 0,
  KDEF_CHECK_FAILED = 1,   /* a loss or a gradient is not finite */
  KDEF_BAD_INPUT = 2,      /* a file, a row, a key or an argument is wrong */
  KDEF_SYSTEM_FAILURE = 3, /* memory, disk, permissions */
  KDEF_INTERRUPTED = 130   /* a callback asked the training to stop; it can be resumed */
} kdef_status;

/* KDEF_ABI of the library, to compare with the header's. */
KDEF_API int kdef_abi(void);
/* The version, as "0.1.0". */
KDEF_API const char* kdef_version(void);
/* What the last call of this thread that failed found wrong; valid until this thread's next failing call. Empty where
 * none has failed. */
KDEF_API const char* kdef_last_error(void);
/* The threads that each later scoring call of the calling thread may use; 1 to 4096. The default is 1: then no thread
 * is started, and none spins. */
KDEF_API kdef_status kdef_set_threads(int threads);

/* ---- A trained model ---- */

typedef struct kdef_model kdef_model;

/* Opens a directory that `kdef train` or `kdef export` left, or a model file (`kdef export --out FILE.kdef`), which is
 * mapped into memory. Free the model by kdef_close(). */
KDEF_API kdef_status kdef_open(const char* path, kdef_model** model);
/* Opens the bytes of a model file. They stay the caller's, and must be there unchanged until kdef_close(). Bytes that
 * do not begin at a multiple of 8 are copied. */
KDEF_API kdef_status kdef_open_buffer(const void* bytes, size_t size, kdef_model** model);

/* How a model is opened. Fill it by kdef_opening_defaults() first. */
typedef struct kdef_opening {
  size_t size;       /* sizeof(kdef_opening) */
  const char* path;  /* as of kdef_open(); null: the bytes */
  const void* bytes; /* as of kdef_open_buffer() */
  size_t byte_count;
  const char* precision; /* how weights and tables are kept: "f32", "bf16" (half the memory) or "int8" (a quarter);
                            null: "f32" */
} kdef_opening;

KDEF_API void kdef_opening_defaults(kdef_opening* opening);
KDEF_API kdef_status kdef_open_as(const kdef_opening* opening, kdef_model** model);
/* The bytes of memory that the model's packed weights and tables take; those of every thread that scores at the same
 * time, and the vocabularies, come on top. */
KDEF_API size_t kdef_memory(const kdef_model* model);
/* Frees the model; null is allowed. No other call may be using it. */
KDEF_API void kdef_close(kdef_model* model);

/* The number of sub-networks of the ensemble. */
KDEF_API size_t kdef_students(const kdef_model* model);
/* 1: scores are click probabilities. 0: they are predictions of a number. */
KDEF_API int kdef_predicts_clicks(const kdef_model* model);
/* The columns that a row of text needs, in the order of the configuration. */
KDEF_API size_t kdef_columns(const kdef_model* model);
/* The name of column i; null where i is not below kdef_columns(). */
KDEF_API const char* kdef_column(const kdef_model* model, size_t i);
/* The ids and the numbers of an encoded row. A sequence has one id per place, padded with 0. */
KDEF_API size_t kdef_id_columns(const kdef_model* model);
KDEF_API size_t kdef_number_columns(const kdef_model* model);

/* Rows of text. A cell means what it means in a CSV file, and an empty cell is a missing value; nothing is quoted.
 * columns: the names of the cells of a row, in any order, others among them; null: kdef_column(0), kdef_column(1), ...
 * cells: [rows * column_count], row by row. sizes: the bytes of each cell; null: every cell ends with a zero byte. */
typedef struct kdef_text_rows {
  const char* const* columns;
  size_t column_count;
  const char* const* cells;
  const size_t* sizes;
  size_t rows;
} kdef_text_rows;

/* Scores rows of text. scores: [rows] of the ensemble. student_scores: [rows * students], row by row; or null.
 * A row's scores do not depend on the other rows. A number that is not finite makes the scores of its row NaN, and
 * those of no other row. Unknown words are scored as out of vocabulary. */
KDEF_API kdef_status kdef_score_text(const kdef_model* model, const kdef_text_rows* rows, float* scores,
                                     float* student_scores);

/* The structs of the Arrow C data interface, as its specification prescribes them; the macro is its guard. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4
struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;
  void (*release)(struct ArrowSchema*);
  void* private_data;
};
struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;
  void (*release)(struct ArrowArray*);
  void* private_data;
};
#endif

/* Scores the rows of a record batch: a struct array whose fields have the names of kdef_column(), in any order, others
 * among them. A value means what it means in a Parquet file: integers, float, double, bool, text and binary with 32 or
 * 64-bit offsets, dictionaries of them, and lists of them for sequences. Null is a missing value. The structs stay the
 * caller's: they are neither changed, kept nor released. scores and student_scores as in kdef_score_text(). */
KDEF_API kdef_status kdef_score_arrow(const kdef_model* model, const struct ArrowSchema* schema,
                                      const struct ArrowArray* batch, float* scores, float* student_scores);

/* The ids [rows * id_columns] and numbers [rows * number_columns] of rows of text; either may be null where the model
 * has no such columns. */
KDEF_API kdef_status kdef_encode_text(const kdef_model* model, const kdef_text_rows* rows, int32_t* ids,
                                      float* numbers);
/* Scores encoded rows. KDEF_BAD_INPUT names the row and the column of an id outside the vocabulary. */
KDEF_API kdef_status kdef_score_encoded(const kdef_model* model, const int32_t* ids, const float* numbers, size_t rows,
                                        float* scores, float* student_scores);

/* ---- Training ---- */

/* After a step; loss includes the regularizers. Epochs count from 1. */
typedef struct kdef_step {
  int64_t step, epoch, batch, batches;
  double loss;
} kdef_step;

/* What to train. Fill it by kdef_training_defaults() first. */
typedef struct kdef_training {
  size_t size;               /* sizeof(kdef_training) */
  const char* config;        /* the folder with the two YAML files */
  const char* experiment;    /* the experiment's id */
  const char* run;           /* the run directory; null: model_root/dataset_id/experiment */
  const char* const* values; /* "key=value", later than the files */
  size_t value_count;
  int resume;    /* continue from the checkpoint in the run directory */
  int overwrite; /* replace the run in the run directory */
  int threads;   /* 0: all processors */
  void* context; /* given to the callbacks */
  /* After every step. A result other than 0 ends the training with a checkpoint. May be null, as all callbacks. */
  int (*step)(void* context, const kdef_step* step);
  /* After every evaluation: the line of metrics.jsonl, a JSON object. */
  void (*evaluated)(void* context, const char* json);
  /* What the program kdef would print beside. */
  void (*note)(void* context, const char* text);
} kdef_training;

KDEF_API void kdef_training_defaults(kdef_training* training);
/* Prepares the data where its cache is missing or stale, trains, evaluates; leaves the run directory of `kdef train`,
 * with the same bits. */
KDEF_API kdef_status kdef_train(const kdef_training* training);

#ifdef __cplusplus
}
#endif
#endif
