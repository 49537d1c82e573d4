# cmake --install: libraries, headers under include/kdef, the program, and the package files of find_package(kdef).
include(CMakePackageConfigHelpers)

get_property(libraries GLOBAL PROPERTY KDEF_LIBRARIES)
set(headers core ops nn)
if(NOT KDEF_MINIMAL)
  list(APPEND headers data kdef)
endif()
if(TARGET kdef_app)
  install(TARGETS kdef_app)
endif()
install(TARGETS kdef_flags ${libraries} EXPORT kdefTargets)
# Public headers. The others are private: kernels, whose code depends on the instruction set (a consumer that is compiled
# for another processor would define the same functions differently), and headers that need a dependency of ours.
# tests/install compiles the installed headers for the oldest x86-64.
install(DIRECTORY ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kdef FILES_MATCHING PATTERN "*.h"
  REGEX "/ops/device$|/core/cuda$" EXCLUDE
  REGEX "(_kernels|norm_rows|rowwise_functors|objective_functors|_json|/optimizer/device|/networks/parts)\\.h$" EXCLUDE
  REGEX "/(config/(entries|keys|key_types|layers|prepared_data|python_text|yaml_value)|study/html)\\.h$" EXCLUDE)
file(READ cmake/relative_includes.cmake relative_includes)
install(CODE "${relative_includes}
kdef_relative_includes(\"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}/kdef\")")
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
