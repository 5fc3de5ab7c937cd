# What makes a library a plugin, in the tree and out of it.

# sluice_plugin_module(TARGET NAME SOURCE... [LINK target...]): NAME.so, which exports the plugin
# table and nothing else.
function(sluice_plugin_module target name)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  set(exports ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/sluice_plugin_exports.map)
  add_library(${target} MODULE ${arg_UNPARSED_ARGUMENTS})
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME ${name} SUFFIX .so
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(${target} PRIVATE ${arg_LINK})
  target_link_options(${target} PRIVATE -Wl,--version-script=${exports})
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${exports})
  # Some systems give the group write access to new files; the loader refuses such a library.
  add_custom_command(TARGET ${target} POST_BUILD
    COMMAND chmod go-w $<TARGET_FILE:${target}> VERBATIM)
endfunction()
