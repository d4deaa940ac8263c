# cmake -D SOURCE=DIR -D OUTPUT=FILE [-D REVISION=TEXT] -P write_revision.cmake
# Writes a C++ unit that defines actserve::kRevision: REVISION, or the commit of
# the git checkout at SOURCE. Leaves a file alone that says it already.
set(revision "${REVISION}")
if(revision STREQUAL "")
  execute_process(COMMAND git --no-optional-locks rev-parse --show-toplevel
                  WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE root
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  # Sources that were unpacked inside another project's checkout are not its.
  if(root STREQUAL SOURCE)
    execute_process(COMMAND git --no-optional-locks describe --always
                            --abbrev=12 --exclude=* --dirty=-modified
                    WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE revision
                    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
endif()
if(revision STREQUAL "")
  set(revision "unknown")
endif()
set(text "#include \"server/config/build_info.h\"

const char actserve::kRevision[] = \"${revision}\";
")
set(before "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} before)
endif()
if(NOT before STREQUAL text)
  file(WRITE ${OUTPUT} "${text}")
endif()
