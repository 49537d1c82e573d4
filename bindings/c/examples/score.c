/* Scores rows that the program has in memory, by a run that `kdef train` left.
 *   cc -std=c99 score.c $(pkg-config --cflags --libs kdef) -o score && ./score RUN */
#include <kdef.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  kdef_model* model;
  const char** cells;
  float* students;
  float scores[2];
  kdef_text_rows rows = {0};
  kdef_status status;
  size_t columns, i, m;

  if (argc != 2) {
    fprintf(stderr, "usage: score RUN\n");
    return KDEF_BAD_INPUT;
  }
  status = kdef_open(argv[1], &model);
  if (status != KDEF_OK) {
    fprintf(stderr, "%s\n", kdef_last_error());
    return status;
  }

  /* Two rows: all cells 1, and all cells missing. */
  columns = kdef_columns(model);
  cells = malloc(2 * columns * sizeof *cells);
  students = malloc(2 * kdef_students(model) * sizeof *students);
  if (cells == NULL || students == NULL) return KDEF_SYSTEM_FAILURE;
  for (i = 0; i < 2 * columns; ++i) cells[i] = i < columns ? "1" : "";
  rows.cells = cells;
  rows.rows = 2;
  status = kdef_score_text(model, &rows, scores, students);
  if (status != KDEF_OK) {
    fprintf(stderr, "%s\n", kdef_last_error());
  } else {
    for (i = 0; i < 2; ++i) {
      printf("%.6f  students", scores[i]);
      for (m = 0; m < kdef_students(model); ++m) printf(" %.6f", students[i * kdef_students(model) + m]);
      printf("\n");
    }
  }

  free(students);
  free(cells);
  kdef_close(model);
  return status;
}
