# cmake --install: libraries, headers under include/kdef, the program, and the package files of find_package(kdef).
include(CMakePackageConfigHelpers)

get_property(libraries GLOBAL PROPERTY KDEF_LIBRARIES)
set(headers core ops nn)
if(NOT KDEF_MINIMAL)
  list(APPEND headers data kdef)
  install(TARGETS kdef_app)
endif()
install(TARGETS kdef_flags ${libraries} EXPORT kdefTargets)
install(DIRECTORY ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kdef FILES_MATCHING PATTERN "*.h"
  PATTERN "config/yaml_value.h" EXCLUDE PATTERN "config/keys.h" EXCLUDE)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/kdef)
install(EXPORT kdefTargets NAMESPACE kdef:: DESTINATION ${package_folder})
configure_package_config_file(cmake/kdefConfig.cmake.in ${PROJECT_BINARY_DIR}/kdefConfig.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/kdefConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kdefConfig.cmake ${PROJECT_BINARY_DIR}/kdefConfigVersion.cmake cmake/compression.cmake
  DESTINATION ${package_folder})
