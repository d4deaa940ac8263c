# Fuzz targets: kernels/base/testing/fuzz_target.h. The preset `fuzz` makes a
# program of libFuzzer of each; every other build runs their seeds as one test.

option(ACTSERVE_FUZZ "Build fuzz targets as programs of libFuzzer (clang)" OFF)
# Their names, dictionaries and seeds, one target a line, for scripts/fuzz and
# for the test of the seeds.
set(ACTSERVE_FUZZ_TARGETS ${CMAKE_BINARY_DIR}/fuzz/targets)
file(WRITE ${ACTSERVE_FUZZ_TARGETS} "")
add_custom_target(fuzzers)

# actserve_fuzzer(NAME SOURCE [DEPS target...] [DICTIONARY file]
#                 SEEDS folder...)
# SOURCE defines the fuzz target NAME. Folders and the file are beside it.
function(actserve_fuzzer name source)
  cmake_parse_arguments(ARG "" "DICTIONARY" "DEPS;SEEDS" ${ARGN})
  set(places "")
  foreach(place ${ARG_DICTIONARY} ${ARG_SEEDS})
    cmake_path(ABSOLUTE_PATH place NORMALIZE)
    string(APPEND places " ${place}")
  endforeach()
  file(APPEND ${ACTSERVE_FUZZ_TARGETS} "${name}${places}\n")
  if(ACTSERVE_FUZZ)
    actserve_binary(${name}_fuzzer ${source} DEPS ${ARG_DEPS})
    target_compile_definitions(${name}_fuzzer PRIVATE ACTSERVE_LIBFUZZER)
    target_link_options(${name}_fuzzer PRIVATE -fsanitize=fuzzer)
    set_target_properties(${name}_fuzzer PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
    add_dependencies(fuzzers ${name}_fuzzer)
  else()
    add_library(${name}_fuzz_target OBJECT ${source})
    target_link_libraries(${name}_fuzz_target PUBLIC ${ARG_DEPS})
    set_property(GLOBAL APPEND PROPERTY ACTSERVE_FUZZ_TARGET_LIBRARIES
                 ${name}_fuzz_target)
  endif()
endfunction()

# The test of all seeds; call it once, after the targets.
function(actserve_fuzz_seeds_test source)
  get_property(targets GLOBAL PROPERTY ACTSERVE_FUZZ_TARGET_LIBRARIES)
  if(ACTSERVE_FUZZ OR NOT targets)
    return()
  endif()
  list(TRANSFORM targets REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>"
       OUTPUT_VARIABLE objects)
  actserve_test(fuzz_seeds_test ${source} ${objects} DEPS ${targets}
                LABELS sanitized_asan)
  target_compile_definitions(fuzz_seeds_test PRIVATE
    ACTSERVE_FUZZ_TARGETS="${ACTSERVE_FUZZ_TARGETS}")
endfunction()
