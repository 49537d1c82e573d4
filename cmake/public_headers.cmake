# kdef_public_headers(SOURCE FOLDER ROOMS...): the public headers of the rooms below SOURCE, as others include them:
# FOLDER/kdef/nn/module.h for nn/module.h, FOLDER/kdef/serve/scorer.h for kdef/serve/scorer.h. They include each other by
# relative paths, so that FOLDER alone is on the path of who includes them, and none of them can meet a file of the same
# path there. A file that is there with the same text is left alone. Sets kdef_headers, their paths in FOLDER.
# Called when kdef is installed, and when it is configured as a subproject.
#
# The other headers are private: kernels, whose code depends on the instruction set (a consumer that is compiled for
# another processor would define the same functions differently), and headers that need a dependency of ours. tests/install
# compiles the public ones for the oldest x86-64.
function(kdef_public_headers source folder)
  set(all)
  foreach(room IN LISTS ARGN)
    file(GLOB_RECURSE found RELATIVE ${source} ${source}/${room}/*.h)
    list(APPEND all ${found})
  endforeach()
  list(FILTER all EXCLUDE REGEX "^(ops/device|core/cuda)/")
  list(FILTER all EXCLUDE REGEX "(_kernels|norm_rows|rowwise_functors|objective_functors|_json|/optimizer/device|/networks/parts)\\.h$")
  list(FILTER all EXCLUDE REGEX "/(config/(entries|keys|key_types|layers|prepared_data|python_text|yaml_value)|study/html)\\.h$")
  set(written)
  foreach(header IN LISTS all)
    string(REGEX REPLACE "^kdef/" "" public ${header})
    get_filename_component(room ${public} DIRECTORY)
    file(RELATIVE_PATH to_root /${room} /)
    file(READ ${source}/${header} text)
    string(REGEX REPLACE "#include \"kdef/" "#include \"${to_root}" text "${text}")
    string(REGEX REPLACE "#include \"(core|ops|nn|data)/" "#include \"${to_root}\\1/" text "${text}")
    set(before)
    if(EXISTS ${folder}/kdef/${public})
      file(READ ${folder}/kdef/${public} before)
    endif()
    if(NOT "${before}" STREQUAL "${text}")
      file(WRITE ${folder}/kdef/${public} "${text}")
    endif()
    list(APPEND written kdef/${public})
  endforeach()
  set(kdef_headers ${written} PARENT_SCOPE)
endfunction()
