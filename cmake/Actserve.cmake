# The three kinds of target that the project has. Every folder's
# CMakeLists.txt is a list of calls of these, and nothing else sets flags.

# Contraction off everywhere: the interpreter and the compiled kernels must
# round alike, so a fused multiply-add is written where it is wanted.
add_compile_options(-Wall -Wextra -Wno-unused-parameter -ffp-contract=off)
if(ACTSERVE_WERROR)
  add_compile_options(-Werror)
endif()
if(ACTSERVE_SANITIZE)
  add_compile_options(-fsanitize=${ACTSERVE_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    # They need types of libraries that were built without them, as LLVM was.
    add_compile_options(-fno-sanitize=vptr,function)
    add_link_options(-fno-sanitize=vptr,function)
    # GCC built Abseil, whose names clang 18 and later spell in another way.
    add_compile_options(-fclang-abi-compat=17)
  else()
    # GCC says itself that it warns of too much beside a sanitizer.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
  add_link_options(-fsanitize=${ACTSERVE_SANITIZE})
endif()
# The library of client/c is a shared one.
if(NOT ACTSERVE_SANITIZE)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
endif()
include_directories(${PROJECT_SOURCE_DIR})

# GNU ld takes several times as long over LLVM's static libraries.
find_program(ACTSERVE_LLD ld.lld PATHS /usr/lib/llvm-19/bin NO_DEFAULT_PATH)
if(ACTSERVE_LLD)
  cmake_path(GET ACTSERVE_LLD PARENT_PATH ACTSERVE_LLD_DIR)
  add_link_options(-B${ACTSERVE_LLD_DIR} -fuse-ld=lld)
endif()

# Objects in every program.
if(ACTSERVE_SANITIZE STREQUAL "thread")
  set(ACTSERVE_PROGRAM_OBJECTS actserve_tsan_abseil)
  add_library(actserve_tsan_abseil OBJECT
              ${PROJECT_SOURCE_DIR}/cmake/tsan_abseil.cc)
  target_link_libraries(actserve_tsan_abseil PUBLIC absl::synchronization)
endif()

# Build targets that hold the tests of a sanitizer's default run.
add_custom_target(sanitized_asan)
add_custom_target(sanitized_tsan)

# actserve_library(NAME SOURCES... [DEPS target...])
function(actserve_library name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
endfunction()

# actserve_binary(NAME SOURCES... [DEPS target...])
function(actserve_binary name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE
    ${ACTSERVE_PROGRAM_OBJECTS} ${ARG_DEPS})
endfunction()

# actserve_test(NAME SOURCES... [DEPS target...] [LABELS label...]
#               [TIMEOUT seconds] [COST seconds])
# A GoogleTest program. ctest knows it by the path of its first source:
# kernels/graph/op_test. Where one source makes two tests, the second has a name
# of its own in the same folder. COST is about what it takes, if that is long:
# ctest starts the longest first, so that none runs alone at the end. Labels:
#   full             not in the default run (scripts/test --full runs it)
#   sanitized_asan   run by default under AddressSanitizer: untrusted input
#   sanitized_tsan   run by default under ThreadSanitizer: threads
function(actserve_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT;COST" "DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE
    ${ACTSERVE_PROGRAM_OBJECTS} ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  list(GET ARG_UNPARSED_ARGUMENTS 0 source)
  cmake_path(ABSOLUTE_PATH source NORMALIZE)
  cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${PROJECT_SOURCE_DIR})
  cmake_path(REMOVE_EXTENSION source OUTPUT_VARIABLE test)
  cmake_path(GET test FILENAME stem)
  if(NOT name MATCHES "(^|_)${stem}$")
    cmake_path(REPLACE_FILENAME test ${name})
  endif()
  add_test(NAME ${test} COMMAND ${name})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  set_tests_properties(${test} PROPERTIES TIMEOUT ${ARG_TIMEOUT}
                                          LABELS "${ARG_LABELS}")
  if(ARG_COST)
    set_tests_properties(${test} PROPERTIES COST ${ARG_COST})
  endif()
  foreach(label ${ARG_LABELS})
    if(label MATCHES "^sanitized_")
      add_dependencies(${label} ${name})
    endif()
  endforeach()
endfunction()

# actserve_benchmark(NAME SOURCES... [DEPS target...])
function(actserve_benchmark name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE
    ${ACTSERVE_PROGRAM_OBJECTS} ${ARG_DEPS} benchmark::benchmark)
endfunction()
