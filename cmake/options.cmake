# Build options, and the target every library links: kdef_flags.
option(KDEF_ONEDNN "GEMM through oneDNN (OFF: the reference loops, no dependency)" ON)
option(KDEF_MINIMAL "Only core, ops and nn: needs nothing but a C++20 compiler" OFF)
option(KDEF_TESTS "Build the test suite (GoogleTest)" ON)
option(KDEF_BENCH "Build the microbenchmarks (Google Benchmark)" OFF)
option(KDEF_WERROR "Warnings are errors" OFF)
set(KDEF_ARCH "native" CACHE STRING "-march= of our own kernels; empty for the compiler's portable default")
set(KDEF_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize= (address,undefined)")

find_package(OpenMP REQUIRED COMPONENTS CXX)

add_library(kdef_flags INTERFACE)
add_library(kdef::flags ALIAS kdef_flags)
set_target_properties(kdef_flags PROPERTIES EXPORT_NAME flags)
target_compile_features(kdef_flags INTERFACE cxx_std_20)
target_include_directories(kdef_flags INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/kdef>)
target_link_libraries(kdef_flags INTERFACE OpenMP::OpenMP_CXX)
# -Wno-missing-field-initializers: settings are written down as far as they differ from their defaults.
# -Wno-restrict: GCC 12 warns of it falsely in std::string (GCC bug 105329).
# -ffp-contract=fast is the compiler's default; it is stated since results depend on it. errno and
# floating-point traps, which nothing here uses, would keep loops from vector registers.
target_compile_options(kdef_flags INTERFACE $<BUILD_INTERFACE:-Wall -Wextra -Wshadow -Wno-restrict -Wno-missing-field-initializers -ffp-contract=fast -fno-math-errno -fno-trapping-math>)
if(KDEF_ARCH)
  target_compile_options(kdef_flags INTERFACE $<BUILD_INTERFACE:-march=${KDEF_ARCH}>)
endif()
if(KDEF_WERROR)
  target_compile_options(kdef_flags INTERFACE $<BUILD_INTERFACE:-Werror>)
endif()
if(KDEF_SANITIZE)
  target_compile_options(kdef_flags INTERFACE $<BUILD_INTERFACE:-fsanitize=${KDEF_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined>)
  target_link_options(kdef_flags INTERFACE $<BUILD_INTERFACE:-fsanitize=${KDEF_SANITIZE}>)
endif()
# One release flag set: -O3 pays in the elementwise and row kernels.
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

# kdef_library(NAME SOURCES... ): a static library kdef::NAME from explicit sources.
function(kdef_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(kdef_${name} STATIC ${ARG_SOURCES})
  add_library(kdef::${name} ALIAS kdef_${name})
  set_target_properties(kdef_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(kdef_${name} PUBLIC kdef_flags ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  set_property(GLOBAL APPEND PROPERTY KDEF_LIBRARIES kdef_${name})
endfunction()
