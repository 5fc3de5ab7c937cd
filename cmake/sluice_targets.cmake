# Flags every target of the tree is built with, and how plugins and tests are declared.

# Warnings are errors. Missing initializers are off: C descriptions are written with designators.
add_library(sluice_warnings INTERFACE)
target_compile_options(sluice_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow
  -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual -Wno-missing-field-initializers
  -Werror)
if(SLUICE_FUZZ)
  # Clang: comparing RapidJSON's iterators reads two ways under C++20.
  target_compile_options(sluice_warnings INTERFACE -Wno-ambiguous-reversed-operator)
endif()

if(SLUICE_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(SLUICE_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
elseif(SLUICE_SANITIZE)
  message(FATAL_ERROR "SLUICE_SANITIZE: expected empty, address or thread, got ${SLUICE_SANITIZE}")
endif()
if(SLUICE_FUZZ)
  # Counts what an input reaches; the fuzzer itself is linked to the targets alone.
  add_compile_options(-fsanitize=fuzzer-no-link
    -fsanitize-ignorelist=${PROJECT_SOURCE_DIR}/tests/fuzz/ignored.txt)
endif()
if(SLUICE_MUTANTS)
  # host/base/mutant.h
  add_compile_definitions(SLUICE_MUTANTS)
  install(CODE "message(FATAL_ERROR \"a build with mutants is for tests: it cannot be installed\")")
endif()
add_compile_definitions(_GLIBCXX_ASSERTIONS)
add_compile_options(-fstack-protector-strong)

include(sluice_plugin_module)

# sluice_add_plugin(NAME SOURCE... [LINK target...]): a stage library next to the program.
# Exports the plugin table only; every symbol it needs must be found at link time.
# In a sanitizer build the runtime comes from the program, so -z defs is off there.
function(sluice_add_plugin name)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  sluice_plugin_module(sluice_plugin_${name} ${name} ${arg_UNPARSED_ARGUMENTS}
    LINK sluice_sdk sluice_warnings ${arg_LINK})
  set_target_properties(sluice_plugin_${name} PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY ${SLUICE_PLUGIN_OUTPUT_DIRECTORY})
  # The loader refuses a folder that others can write as well.
  add_custom_command(TARGET sluice_plugin_${name} POST_BUILD
    COMMAND chmod go-w ${SLUICE_PLUGIN_OUTPUT_DIRECTORY} VERBATIM)
  if(NOT SLUICE_SANITIZE)
    target_link_options(sluice_plugin_${name} PRIVATE -Wl,-z,defs -Wl,--exclude-libs,ALL)
  endif()
  install(TARGETS sluice_plugin_${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/sluice/plugins)
endfunction()

# sluice_add_test(NAME SOURCE... [LINK target...]): one GoogleTest program, one ctest entry.
function(sluice_add_test name)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${arg_LINK} sluice_warnings GTest::gtest GTest::gmock GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE
    SLUICE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" SLUICE_BINARY_DIR="${PROJECT_BINARY_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set(seconds 600)
  if(SLUICE_SANITIZE)
    set(seconds 1800)  # ten times slower, and more under the thread sanitizer
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${seconds})
endfunction()
