// Scores the rows of a CSV file without quotes, and prints a score per row:
//
//	CGO_CFLAGS=$(pkg-config --cflags kdef) CGO_LDFLAGS=$(pkg-config --libs kdef) go build -o score score.go
//	./score RUN FILE
package main

/*
#include <kdef.h>
#include <stdlib.h>
*/
import "C"

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"
)

// Model is a trained model, which any number of goroutines may use.
type Model struct {
	handle  *C.kdef_model
	Columns []string
}

// failure gives the message of the call that has just failed. It belongs to the thread, so that the goroutine must not
// have changed its thread since: the caller has locked it.
func failure() error { return errors.New(C.GoString(C.kdef_last_error())) }

// Open opens a directory that kdef train or kdef export left.
func Open(directory string) (*Model, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	path := C.CString(directory)
	defer C.free(unsafe.Pointer(path))
	model := &Model{}
	if C.kdef_open(path, &model.handle) != C.KDEF_OK {
		return nil, failure()
	}
	for i := C.size_t(0); i < C.kdef_columns(model.handle); i++ {
		model.Columns = append(model.Columns, C.GoString(C.kdef_column(model.handle, i)))
	}
	return model, nil
}

// Close frees the model.
func (m *Model) Close() { C.kdef_close(m.handle) }

// Score gives the score of every row; a row has a cell per name of columns.
func (m *Model) Score(columns []string, rows [][]string) ([]float32, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The cells stand one after the other in C's memory: a pointer to Go's memory must not be stored there.
	var text strings.Builder
	for _, row := range rows {
		if len(row) != len(columns) {
			return nil, fmt.Errorf("a row has %d cells, not %d", len(row), len(columns))
		}
		for _, cell := range row {
			text.WriteString(cell)
		}
	}
	bytes := C.CString(text.String())
	defer C.free(unsafe.Pointer(bytes))
	count := len(rows) * len(columns)
	names := pointers(len(columns))
	defer C.free(unsafe.Pointer(names))
	for i, column := range columns {
		name := C.CString(column)
		defer C.free(unsafe.Pointer(name))
		unsafe.Slice(names, len(columns))[i] = name
	}
	cells := pointers(count)
	defer C.free(unsafe.Pointer(cells))
	sizes := (*C.size_t)(C.malloc(C.size_t(count) * C.sizeof_size_t))
	defer C.free(unsafe.Pointer(sizes))
	at, i := 0, 0
	for _, row := range rows {
		for _, cell := range row {
			unsafe.Slice(cells, count)[i] = (*C.char)(unsafe.Add(unsafe.Pointer(bytes), at))
			unsafe.Slice(sizes, count)[i] = C.size_t(len(cell))
			at, i = at+len(cell), i+1
		}
	}
	table := C.kdef_text_rows{
		columns: names, column_count: C.size_t(len(columns)), cells: cells, sizes: sizes, rows: C.size_t(len(rows)),
	}
	scores := make([]float32, len(rows))
	if C.kdef_score_text(m.handle, &table, (*C.float)(&scores[0]), nil) != C.KDEF_OK {
		return nil, failure()
	}
	return scores, nil
}

func pointers(count int) **C.char {
	return (**C.char)(C.malloc(C.size_t(count) * C.size_t(unsafe.Sizeof(uintptr(0)))))
}

func run(directory, file string) error {
	model, err := Open(directory)
	if err != nil {
		return err
	}
	defer model.Close()
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	var rows [][]string
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		rows = append(rows, strings.Split(lines.Text(), ","))
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if len(rows) == 0 {
		return fmt.Errorf("%s: has no rows", file)
	}
	scores, err := model.Score(rows[0], rows[1:])
	for _, score := range scores {
		fmt.Printf("%.9g\n", score)
	}
	return err
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: score RUN FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
}
