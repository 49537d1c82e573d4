# kdef_parquet: Arrow C++ with its part for Parquet, where it is found; sets KDEF_HAS_PARQUET. Debian 12 does not package
# it. KDEF_PYARROW names a Python that has the package pyarrow, whose headers and libraries serve as well: enough to
# build and test with, but a program that is linked so needs this Python package where it runs. Also installed, for
# find_package(kdef).
set(KDEF_HAS_PARQUET OFF)
if(NOT TARGET kdef_parquet AND KDEF_PYARROW)
  execute_process(COMMAND ${KDEF_PYARROW} -c "import pyarrow; print(pyarrow.get_include(), pyarrow.get_library_dirs()[0], sep=';')"
    OUTPUT_VARIABLE folders OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  list(LENGTH folders count)
  if(NOT count EQUAL 2)
    message(FATAL_ERROR "KDEF_PYARROW=${KDEF_PYARROW}: this program has no package pyarrow; it is to be a Python that has: "
                        "python3 -m venv DIR && DIR/bin/pip install pyarrow, then KDEF_PYARROW=DIR/bin/python")
  endif()
  list(GET folders 0 headers)
  list(GET folders 1 folder)
  file(GLOB libraries "${folder}/libarrow.so.*" "${folder}/libparquet.so.*")
  add_library(kdef_parquet INTERFACE IMPORTED GLOBAL)
  target_include_directories(kdef_parquet SYSTEM INTERFACE ${headers})
  target_link_libraries(kdef_parquet INTERFACE ${libraries})
elseif(NOT TARGET kdef_parquet)
  find_package(Parquet CONFIG QUIET)
  if(Parquet_FOUND)
    add_library(kdef_parquet INTERFACE IMPORTED GLOBAL)
    foreach(library IN ITEMS Parquet::parquet_shared Parquet::parquet_static parquet_shared parquet_static)
      if(TARGET ${library})
        target_link_libraries(kdef_parquet INTERFACE ${library})
        break()
      endif()
    endforeach()
  endif()
endif()
if(TARGET kdef_parquet)
  set(KDEF_HAS_PARQUET ON)
elseif(KDEF_PARQUET STREQUAL "ON")
  message(FATAL_ERROR "KDEF_PARQUET=ON, but Arrow C++ with Parquet (find_package(Parquet)) was not found. Install it, name its "
                      "folder with CMAKE_PREFIX_PATH, or give KDEF_PYARROW; KDEF_PARQUET=OFF builds without it.")
endif()
