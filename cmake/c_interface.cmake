# Of libkdef.so, for the builds that make one: bindings/c and packaging.
set(kdef_c_folder ${CMAKE_CURRENT_LIST_DIR}/../bindings/c)

# The SOVERSION: KDEF_ABI of kdef.h.
file(STRINGS ${kdef_c_folder}/kdef.h abi REGEX "^#define KDEF_ABI [0-9]+$")
string(REGEX MATCH "[0-9]+$" kdef_c_soversion "${abi}")
if(NOT kdef_c_soversion)
  message(FATAL_ERROR "${kdef_c_folder}/kdef.h has no line '#define KDEF_ABI number'")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${kdef_c_folder}/kdef.h)

# kdef.pc, for pkg-config. It finds its prefix from where it lies, so that the installed tree may be moved.
function(kdef_install_pc)
  file(RELATIVE_PATH KDEF_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  configure_file(${kdef_c_folder}/kdef.pc.in kdef.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/kdef.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
