# cmake --install: libraries, headers under include/kdef, the program, and the package files of find_package(kdef).
include(CMakePackageConfigHelpers)

get_property(libraries GLOBAL PROPERTY KDEF_LIBRARIES)
if(TARGET kdef_app)
  install(TARGETS kdef_app)
endif()
install(TARGETS kdef_flags ${libraries} EXPORT kdefTargets)
install(CODE "
include(\"${PROJECT_SOURCE_DIR}/cmake/public_headers.cmake\")
set(folder \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}\")
kdef_public_headers(\"${PROJECT_SOURCE_DIR}\" \"\$ENV{DESTDIR}\${folder}\" ${kdef_rooms})
list(TRANSFORM kdef_headers PREPEND \"\${folder}/\")
list(APPEND CMAKE_INSTALL_MANIFEST_FILES \${kdef_headers})")
if(KDEF_ARCH STREQUAL "native")
  install(CODE [[message(STATUS "kdef was built for this machine's processor (KDEF_ARCH=native). To run it on other "
    "machines, configure with -DKDEF_ARCH=x86-64-v3, or with an empty KDEF_ARCH; ./dev package makes packages for all.")]])
endif()

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/kdef)
install(EXPORT kdefTargets NAMESPACE kdef:: DESTINATION ${package_folder})
configure_package_config_file(cmake/kdefConfig.cmake.in ${PROJECT_BINARY_DIR}/kdefConfig.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/kdefConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kdefConfig.cmake ${PROJECT_BINARY_DIR}/kdefConfigVersion.cmake cmake/compression.cmake cmake/parquet.cmake
  DESTINATION ${package_folder})
