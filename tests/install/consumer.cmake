# Run by ctest; any step that fails ends it.
set(prefix ${SCRATCH}/prefix)
set(build ${SCRATCH}/consumer)
file(REMOVE_RECURSE ${prefix} ${build})
set(flags "")
if(SANITIZE)
  set(flags "-fsanitize=${SANITIZE}")
endif()
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)

# A consumer for the oldest x86-64, whatever this build is for: the installed headers must not give it other code.
if(PROCESSOR STREQUAL "x86_64")
  string(APPEND flags " -march=x86-64")
endif()
file(GLOB_RECURSE headers RELATIVE ${prefix}/include ${prefix}/include/kdef/*.h)
list(LENGTH headers count)
if(count LESS 20)
  message(FATAL_ERROR "only ${count} headers were installed")
endif()
foreach(header IN LISTS headers)
  file(READ ${prefix}/include/${header} text)
  if(text MATCHES "__AVX|__SSE|__FMA__|immintrin|vector_size")
    message(FATAL_ERROR "${header}: is installed, and its code depends on the instruction set")
  endif()
endforeach()

execute_process(COMMAND ${CMAKE_COMMAND} -S ${CONSUMER} -B ${build} -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${prefix}
  -DCMAKE_BUILD_TYPE=${BUILD_TYPE} -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_FLAGS=${flags} "-DHEADERS=${headers}"
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${build} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${build}/consumer COMMAND_ERROR_IS_FATAL ANY)

# A C program against the installed shared library.
if(EXISTS ${prefix}/include/kdef.h AND NOT SANITIZE)
  file(GLOB_RECURSE library ${prefix}/libkdef.so)
  execute_process(COMMAND cc -std=c99 -Wall -Werror -I${prefix}/include ${EXAMPLE} ${library} -o ${build}/score
    COMMAND_ERROR_IS_FATAL ANY)
  get_filename_component(folder ${library} DIRECTORY)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env LD_LIBRARY_PATH=${folder} ${build}/score ${SCRATCH}/no-run
    RESULT_VARIABLE status ERROR_VARIABLE message)
  if(NOT status EQUAL 2 OR NOT message MATCHES "no-run")
    message(FATAL_ERROR "score: status ${status}: ${message}")
  endif()
endif()
