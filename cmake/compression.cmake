# kdef_zstd and kdef_zip: Zstandard and libzip, found by header and library, since not every package of them has CMake
# files. Also installed, for find_package(kdef).
foreach(name IN ITEMS zstd zip)
  if(NOT TARGET kdef_${name})
    find_path(KDEF_${name}_INCLUDE_DIR ${name}.h REQUIRED)
    find_library(KDEF_${name}_LIBRARY ${name} REQUIRED)
    mark_as_advanced(KDEF_${name}_INCLUDE_DIR KDEF_${name}_LIBRARY)
    add_library(kdef_${name} UNKNOWN IMPORTED GLOBAL)
    set_target_properties(kdef_${name} PROPERTIES IMPORTED_LOCATION ${KDEF_${name}_LIBRARY}
      INTERFACE_INCLUDE_DIRECTORIES ${KDEF_${name}_INCLUDE_DIR})
  endif()
endforeach()
