# kdef.pc, for pkg-config. It finds its prefix from where it lies, so that the installed tree may be moved.
function(kdef_install_pc)
  file(RELATIVE_PATH KDEF_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  configure_file(${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../bindings/c/kdef.pc.in kdef.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/kdef.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
