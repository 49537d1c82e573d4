# kdef_relative_includes(FOLDER): the headers below the folder include each other by relative paths, so that none of them can
# meet a file of the same path in the project that includes them. Run by cmake --install.
function(kdef_relative_includes folder)
  file(GLOB_RECURSE headers RELATIVE ${folder} ${folder}/*.h)
  foreach(header IN LISTS headers)
    get_filename_component(room ${header} DIRECTORY)
    file(RELATIVE_PATH to_root /${room} /)
    file(READ ${folder}/${header} text)
    string(REGEX REPLACE "#include \"(core|ops|nn|data|kdef)/" "#include \"${to_root}\\1/" text "${text}")
    file(WRITE ${folder}/${header} "${text}")
  endforeach()
endfunction()
