# Run by ctest: of the builds in a package, the program and the library start the one for the processor. Small programs and
# libraries that say their names stand for the builds.
set(levels x86-64-v2 x86-64-v3 x86-64-v4)
set(builds ${SCRATCH}/level_builds)
set(package ${SCRATCH}/level_package)
set(prefix ${SCRATCH}/level_prefix)
file(REMOVE_RECURSE ${builds} ${package} ${prefix})
foreach(level IN LISTS levels)
  file(WRITE ${builds}/${level}/bin/kdef "#!/bin/sh\necho \"program of ${level}: $*\"\nexit 7\n")
  file(CHMOD ${builds}/${level}/bin/kdef PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
  file(MAKE_DIRECTORY ${builds}/${level}/bindings/c)
  execute_process(COMMAND ${C_COMPILER} -shared -fPIC -I${SOURCE}/bindings/c -DLEVEL="${level}" ${STUB}
    -o ${builds}/${level}/bindings/c/libkdef.so.1 COMMAND_ERROR_IS_FATAL ANY)
endforeach()
execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE}/packaging -B ${package} -G ${GENERATOR} -DKDEF_BUILDS=${builds} "-DKDEF_LEVELS=${levels}"
  -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_FLAGS=-Werror OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${package} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
# Installed below another prefix than it was configured for.
execute_process(COMMAND ${CMAKE_COMMAND} --install ${package} --prefix ${prefix} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)

# A C program, compiled with what kdef.pc says.
find_program(PKG_CONFIG pkg-config)
set(flags -I${prefix}/include -L${prefix}/lib -lkdef)
if(PKG_CONFIG)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${prefix}/lib/pkgconfig
    ${PKG_CONFIG} --cflags --libs kdef OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags)
endif()
execute_process(COMMAND ${C_COMPILER} -std=c99 ${SOURCE}/bindings/c/examples/score.c ${flags} -o ${prefix}/score
  COMMAND_ERROR_IS_FATAL ANY)

# expect(STATUS TEXT COMMAND...): the command ends with the status, and prints the text.
function(expect status text)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env --unset=KDEF_ISA LD_LIBRARY_PATH=${prefix}/lib ${ARGN}
    RESULT_VARIABLE found OUTPUT_VARIABLE out ERROR_VARIABLE out)
  string(FIND "${out}" "${text}" at)
  if(NOT found EQUAL status OR at EQUAL -1)
    message(FATAL_ERROR "${ARGN}\nended with ${found}, expected ${status}; printed\n${out}\nexpected\n${text}")
  endif()
endfunction()

set(program ${prefix}/bin/kdef)
set(score ${prefix}/score no-run)
expect(7 "program of x86-64-v" ${program} train "a b")
expect(7 "train a b" ${program} train "a b")
expect(1 "library of x86-64-v" ${score})
expect(7 "program of x86-64-v2: " KDEF_ISA=x86-64-v2 ${program})
expect(1 "library of x86-64-v2" KDEF_ISA=x86-64-v2 ${score})
foreach(wrong plain v9)
  expect(2 "KDEF_ISA is '${wrong}'; this processor and this build have x86-64-v2" KDEF_ISA=${wrong} ${program})
  expect(2 "KDEF_ISA is '${wrong}'; this processor and this build have x86-64-v2" KDEF_ISA=${wrong} ${score})
endforeach()
file(REMOVE ${prefix}/lib/kdef/x86-64-v2/kdef ${prefix}/lib/kdef/x86-64-v2/libkdef.so.1)
expect(3 "x86-64-v2/kdef: cannot be started: No such file or directory; install the package again"
  KDEF_ISA=x86-64-v2 ${program})
expect(3 "x86-64-v2/libkdef.so.1: cannot open shared object file" KDEF_ISA=x86-64-v2 ${score})

# The interface is that of the list, whichever library has it.
find_program(NM nm)
if(NM)
  execute_process(COMMAND ${NM} -D --defined-only ${prefix}/lib/libkdef.so OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "kdef_[a-z0-9_]+" symbols "${symbols}")
  file(STRINGS ${SOURCE}/bindings/c/abi.txt expected REGEX "^function ")
  list(TRANSFORM expected REPLACE "^function " "")
  if(NOT symbols STREQUAL expected)
    message(FATAL_ERROR "libkdef.so of the package has ${symbols}; bindings/c/abi.txt has ${expected}")
  endif()
endif()

# Other processors, where an emulator is installed. Debian 12's emulates AVX2, and no AVX-512.
find_program(QEMU qemu-x86_64)
if(NOT QEMU)
  message(STATUS "other processors were not tried: there is no qemu-x86_64 (Debian: qemu-user)")
  return()
endif()
foreach(model IN ITEMS qemu64 core2duo)
  expect(3 "kdef: this package of kdef is for processors that have x86-64-v2" ${QEMU} -cpu ${model} ${program})
  expect(3 "this package of kdef is for processors that have x86-64-v2" ${QEMU} -cpu ${model} ${score})
endforeach()
file(INSTALL ${builds}/x86-64-v2/bin/kdef DESTINATION ${prefix}/lib/kdef/x86-64-v2 USE_SOURCE_PERMISSIONS)
expect(7 "program of x86-64-v2: " ${QEMU} -cpu Nehalem ${program})
expect(2 "this processor and this build have x86-64-v2" KDEF_ISA=x86-64-v3 ${QEMU} -cpu Nehalem ${program})
expect(7 "program of x86-64-v3: " ${QEMU} -cpu max ${program})
expect(1 "library of x86-64-v3" ${QEMU} -cpu max ${score})
