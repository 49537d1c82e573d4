# Build options; kdef_flags, which every library links and passes on to its users; kdef_compile_options(), the compiler
# options of our own targets, which nobody inherits.
option(KDEF_ONEDNN "GEMM through oneDNN (OFF: the reference loops, no dependency)" ON)
option(KDEF_MINIMAL "Only core, ops and nn: needs nothing but a C++20 compiler" OFF)
option(KDEF_TESTS "Build the test suite (GoogleTest)" ${PROJECT_IS_TOP_LEVEL})
option(KDEF_INSTALL "Install rules for libraries, headers and the program" ${PROJECT_IS_TOP_LEVEL})
option(KDEF_BENCH "Build the microbenchmarks (Google Benchmark)" OFF)
option(KDEF_WERROR "Warnings are errors" OFF)
option(KDEF_FUZZ "Build the fuzz targets with libFuzzer (Clang, with KDEF_SANITIZE=address,undefined)" OFF)
set(arch native)
if(CMAKE_CROSSCOMPILING)
  set(arch "")
endif()
set(KDEF_ARCH "${arch}" CACHE STRING
  "-march= of kdef's own code. native runs on processors like this machine's only; for other machines give x86-64-v3, or nothing")
set(KDEF_LEVELS "" CACHE STRING "The levels of x86-64 in the package for which this build is made (packaging/)")
set(KDEF_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize= (address,undefined)")

if(KDEF_FUZZ AND NOT (CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND KDEF_SANITIZE MATCHES "address"))
  message(FATAL_ERROR "KDEF_FUZZ=ON needs Clang, and KDEF_SANITIZE with address: cmake --preset check")
endif()

set(apps ${PROJECT_IS_TOP_LEVEL})
if(KDEF_MINIMAL)
  set(apps OFF)
endif()
option(KDEF_APPS "Build the program kdef" ${apps})
option(KDEF_C "Build libkdef.so, the C interface (bindings/c/kdef.h)" ${apps})

find_package(OpenMP REQUIRED COMPONENTS CXX)

add_library(kdef_flags INTERFACE)
add_library(kdef::flags ALIAS kdef_flags)
set_target_properties(kdef_flags PROPERTIES EXPORT_NAME flags)
target_compile_features(kdef_flags INTERFACE cxx_std_20)
target_include_directories(kdef_flags INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
  "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/kdef;${CMAKE_INSTALL_INCLUDEDIR}>")
target_link_libraries(kdef_flags INTERFACE OpenMP::OpenMP_CXX)
# -Wno-missing-field-initializers: settings are written down as far as they differ from their defaults.
# -Wno-restrict: GCC 12 warns of it falsely in std::string (GCC bug 105329). Clang has no such warning.
# -Wno-psabi: vector types wider than the processor's registers are passed between inline functions of one file only.
# -ffp-contract=fast is the compiler's default; it is stated since results depend on it. errno and
# floating-point traps, which nothing here uses, would keep loops from vector registers.
function(kdef_compile_options target)
  set(options -Wall -Wextra -Wshadow $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> -Wno-missing-field-initializers -Wno-psabi
    -ffp-contract=fast -fno-math-errno -fno-trapping-math)
  if(KDEF_ARCH)
    list(APPEND options -march=${KDEF_ARCH})
  endif()
  if(KDEF_WERROR)
    list(APPEND options -Werror)
  endif()
  if(KDEF_SANITIZE)
    list(APPEND options -fsanitize=${KDEF_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
    if(KDEF_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
      list(APPEND options -D__SANITIZE_ADDRESS__)  # as GCC says it
    endif()
  endif()
  if(KDEF_FUZZ)
    list(APPEND options -fsanitize=fuzzer-no-link)
  endif()
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${options}>")
endfunction()
if(KDEF_SANITIZE)
  target_link_options(kdef_flags INTERFACE $<BUILD_INTERFACE:-fsanitize=${KDEF_SANITIZE}>)
endif()
# -O3 pays in the elementwise and row kernels.
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
endif()

# CUDA: with it, every library has its .cu files compiled by nvcc. AUTO: where there is an nvcc.
set(KDEF_CUDA AUTO CACHE STRING "The CUDA backend: AUTO, ON or OFF")
set_property(CACHE KDEF_CUDA PROPERTY STRINGS AUTO ON OFF)
set(KDEF_CUDA_ARCHITECTURES "80-real;90" CACHE STRING "CMAKE_CUDA_ARCHITECTURES of the backend: sm_80, sm_90 and PTX")
set(KDEF_HAS_CUDA OFF)
if(NOT KDEF_CUDA STREQUAL "OFF")
  include(cmake/cuda.cmake)
endif()

# MPI: libkdef_mpi.so beside the program, for trainings on several processes. AUTO: where MPI is found.
set(KDEF_MPI AUTO CACHE STRING "Trainings of several processes by MPI: AUTO, ON or OFF")
set_property(CACHE KDEF_MPI PROPERTY STRINGS AUTO ON OFF)
set(KDEF_HAS_MPI OFF)
if(KDEF_APPS AND NOT KDEF_MPI STREQUAL "OFF")
  if(KDEF_MPI STREQUAL "ON")
    find_package(MPI REQUIRED COMPONENTS CXX)
  else()
    find_package(MPI QUIET COMPONENTS CXX)
  endif()
  if(MPI_CXX_FOUND)
    set(KDEF_HAS_MPI ON)
  endif()
endif()

# kdef_library(NAME SOURCES .. [DEVICE ..] [CUDA ..] [CUDA_RUNTIME ..] [EMULATED_RUNTIME ..] PUBLIC .. [PRIVATE ..]
# [HEADERS_OF ..] [DEFINITIONS ..]): a static library kdef::NAME from explicit sources. HEADERS_OF are header-only
# packages, which are no part of its interface. CUDA lists its kernels (.cu), CUDA_RUNTIME what else only a CUDA build
# has, DEVICE the sources that differ by backend: those that use KDEF_LAUNCH or KDEF_HAS_CUDA.
# With tests there is a second library kdef_NAME_emulated, in which the same kernels and EMULATED_RUNTIME are compiled
# for the host: the CUDA backend without a GPU (core/cuda/emulated.h). SOURCES are compiled once for both.
function(kdef_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEVICE;CUDA;CUDA_RUNTIME;EMULATED_RUNTIME;PUBLIC;PRIVATE;HEADERS_OF;DEFINITIONS" ${ARGN})
  foreach(source IN LISTS ARG_SOURCES)
    file(STRINGS ${source} differs REGEX "KDEF_HAS_CUDA|KDEF_LAUNCH|core/tensor/launch\\.h" LIMIT_COUNT 1)
    if(differs)
      message(FATAL_ERROR "${CMAKE_CURRENT_SOURCE_DIR}/${source} differs by backend: list it under DEVICE")
    endif()
  endforeach()
  add_library(kdef_${name}_once OBJECT ${ARG_SOURCES})
  set_target_properties(kdef_${name}_once PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(kdef_${name}_once PRIVATE kdef_flags ${ARG_PUBLIC} ${ARG_PRIVATE})

  set(sources $<TARGET_OBJECTS:kdef_${name}_once> ${ARG_DEVICE})
  if(KDEF_HAS_CUDA)
    list(APPEND sources ${ARG_CUDA} ${ARG_CUDA_RUNTIME})
  endif()
  add_library(kdef_${name} STATIC ${sources})
  add_library(kdef::${name} ALIAS kdef_${name})
  set_target_properties(kdef_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON LINKER_LANGUAGE CXX)
  target_link_libraries(kdef_${name} PUBLIC kdef_flags ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  if(KDEF_HAS_CUDA)
    target_compile_definitions(kdef_${name} PUBLIC KDEF_HAS_CUDA)
    target_link_libraries(kdef_${name} PRIVATE ${KDEF_CUDA_LIBRARIES})
  endif()
  set_property(GLOBAL APPEND PROPERTY KDEF_LIBRARIES kdef_${name})
  set(targets kdef_${name}_once kdef_${name})

  if(KDEF_TESTS)
    set(sources $<TARGET_OBJECTS:kdef_${name}_once> ${ARG_DEVICE} ${ARG_EMULATED_RUNTIME})
    foreach(kernel IN LISTS ARG_CUDA)
      # A .cu file as a C++ source, under another name, for CMake knows one language per source.
      set(as_cpp ${CMAKE_CURRENT_BINARY_DIR}/emulated/${kernel}.cpp)
      file(RELATIVE_PATH path ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${kernel})
      file(CONFIGURE OUTPUT ${as_cpp} CONTENT "#include \"${path}\"\n")
      list(APPEND sources ${as_cpp})
    endforeach()
    add_library(kdef_${name}_emulated STATIC EXCLUDE_FROM_ALL ${sources})
    set_target_properties(kdef_${name}_emulated PROPERTIES LINKER_LANGUAGE CXX)
    set(public)
    foreach(library IN LISTS ARG_PUBLIC)
      list(APPEND public $<IF:$<TARGET_EXISTS:${library}_emulated>,${library}_emulated,${library}>)
    endforeach()
    target_compile_definitions(kdef_${name}_emulated PUBLIC KDEF_HAS_CUDA KDEF_CUDA_EMULATED)
    target_link_libraries(kdef_${name}_emulated PUBLIC kdef_flags ${public} PRIVATE ${ARG_PRIVATE})
    list(APPEND targets kdef_${name}_emulated)
  endif()

  foreach(target IN LISTS targets)
    kdef_compile_options(${target})
    target_compile_definitions(${target} PRIVATE ${ARG_DEFINITIONS})
    foreach(package IN LISTS ARG_HEADERS_OF)
      target_include_directories(${target} SYSTEM PRIVATE $<TARGET_PROPERTY:${package},INTERFACE_INCLUDE_DIRECTORIES>)
    endforeach()
  endforeach()
endfunction()
