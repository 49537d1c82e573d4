//! Scores the rows of a CSV file without quotes, and prints a score per row:
//!
//!     rustc -O score.rs -L PREFIX/lib
//!     LD_LIBRARY_PATH=PREFIX/lib ./score RUN FILE

use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int};
use std::{env, fs, process, ptr};

/// The part of kdef.h that is needed here.
mod ffi {
    use std::os::raw::{c_char, c_int};

    #[repr(C)]
    pub struct Model {
        _opaque: [u8; 0],
    }
    #[repr(C)]
    pub struct TextRows {
        pub columns: *const *const c_char,
        pub column_count: usize,
        pub cells: *const *const c_char,
        pub sizes: *const usize,
        pub rows: usize,
    }
    pub const ABI: c_int = 1;
    pub const OK: c_int = 0;

    #[link(name = "kdef")]
    extern "C" {
        pub fn kdef_abi() -> c_int;
        pub fn kdef_last_error() -> *const c_char;
        pub fn kdef_open(directory: *const c_char, model: *mut *mut Model) -> c_int;
        pub fn kdef_close(model: *mut Model);
        pub fn kdef_columns(model: *const Model) -> usize;
        pub fn kdef_column(model: *const Model, i: usize) -> *const c_char;
        pub fn kdef_score_text(
            model: *const Model,
            rows: *const TextRows,
            scores: *mut f32,
            student_scores: *mut f32,
        ) -> c_int;
    }
}

/// A trained model, which any number of threads may use.
pub struct Model(*mut ffi::Model);
unsafe impl Send for Model {}
unsafe impl Sync for Model {}

fn checked(status: c_int) -> Result<(), String> {
    if status == ffi::OK {
        return Ok(());
    }
    Err(unsafe { CStr::from_ptr(ffi::kdef_last_error()) }.to_string_lossy().into_owned())
}

impl Model {
    /// Opens a directory that kdef train or kdef export left.
    pub fn open(directory: &str) -> Result<Model, String> {
        if unsafe { ffi::kdef_abi() } != ffi::ABI {
            return Err("libkdef.so has another ABI".into());
        }
        let path = CString::new(directory).map_err(|e| e.to_string())?;
        let mut model = ptr::null_mut();
        checked(unsafe { ffi::kdef_open(path.as_ptr(), &mut model) })?;
        Ok(Model(model))
    }

    /// The columns that a row needs.
    pub fn columns(&self) -> Vec<String> {
        let count = unsafe { ffi::kdef_columns(self.0) };
        let name = |i| unsafe { CStr::from_ptr(ffi::kdef_column(self.0, i)) };
        (0..count).map(|i| name(i).to_string_lossy().into_owned()).collect()
    }

    /// The score of every row; `cells` has a cell per row and name of `columns`, row by row.
    pub fn score(&self, columns: &[&str], cells: &[&str]) -> Result<Vec<f32>, String> {
        if columns.is_empty() || cells.len() % columns.len() != 0 {
            return Err(format!("{} cells do not make rows of {} columns", cells.len(), columns.len()));
        }
        let names: Result<Vec<CString>, _> = columns.iter().map(|&name| CString::new(name)).collect();
        let names = names.map_err(|e| e.to_string())?;
        let names_at: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let texts: Vec<*const c_char> = cells.iter().map(|cell| cell.as_ptr().cast()).collect();
        let sizes: Vec<usize> = cells.iter().map(|cell| cell.len()).collect();
        let rows = cells.len() / columns.len();
        let table = ffi::TextRows {
            columns: names_at.as_ptr(),
            column_count: columns.len(),
            cells: texts.as_ptr(),
            sizes: sizes.as_ptr(),
            rows,
        };
        let mut scores = vec![0.0; rows];
        checked(unsafe { ffi::kdef_score_text(self.0, &table, scores.as_mut_ptr(), ptr::null_mut()) })?;
        Ok(scores)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        unsafe { ffi::kdef_close(self.0) }
    }
}

fn run(directory: &str, file: &str) -> Result<(), String> {
    let model = Model::open(directory)?;
    let text = fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().ok_or(format!("{file}: has no rows"))?.split(',').collect();
    if let Some(missing) = model.columns().iter().find(|name| !columns.contains(&name.as_str())) {
        return Err(format!("{file}: has no column {missing}"));
    }
    let cells: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
    for score in model.score(&columns, &cells)? {
        println!("{score}");
    }
    Ok(())
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if arguments.len() != 3 {
        eprintln!("usage: score RUN FILE");
        process::exit(2);
    }
    if let Err(message) = run(&arguments[1], &arguments[2]) {
        eprintln!("error: {message}");
        process::exit(2);
    }
}
