# actserve_builtins_pack()
# Adds the target actserve_pack: the built-ins, compiled by actctl for GPUs into
# the file in which actserved looks for them. Without NVRTC the target makes
# nothing. A cache outside the checkout, keyed by the programs' texts and NVRTC's
# options, keeps the results.
function(actserve_builtins_pack)
  set(pack ${CMAKE_BINARY_DIR}/share/actserve/builtins.sass)
  if(DEFINED ENV{ACTSERVE_CACHE})
    set(cache $ENV{ACTSERVE_CACHE})
  elseif(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
    set(cache $ENV{XDG_CACHE_HOME}/actserve)
  else()
    set(cache $ENV{HOME}/.cache/actserve)
  endif()
  set(pack_lacks "")
  if(ACTSERVE_SANITIZE)
    set(pack_lacks "this build is for tests")
  elseif(NOT ACTSERVE_CUDA_ARCHITECTURES)
    set(pack_lacks "ACTSERVE_CUDA_ARCHITECTURES is empty")
  else()
    # NVRTC comes with a CUDA Toolkit, or with pip's nvidia-cuda-nvrtc in the
    # environment that scripts/setup makes.
    file(GLOB nvrtc_folders
         ${cache}/venv/lib/python3*/site-packages/nvidia/*/lib
         $ENV{ACTSERVE_VENV}/lib/python3*/site-packages/nvidia/*/lib)
    find_library(ACTSERVE_NVRTC
      NAMES libnvrtc.so.13 libnvrtc.so.12 nvrtc
      HINTS ${nvrtc_folders}
      PATHS /usr/local/cuda/lib64 $ENV{CUDA_HOME}/lib64
      DOC "NVRTC that compiles the built-ins for GPUs")
    if(NOT ACTSERVE_NVRTC)
      set(pack_lacks "there is no NVRTC (ACTSERVE_NVRTC)")
    endif()
  endif()
  if(pack_lacks)
    message(NOTICE "-- Built-ins are not precompiled for GPUs: ${pack_lacks}")
    file(REMOVE ${pack})
    add_custom_target(actserve_pack)
  else()
    file(MAKE_DIRECTORY ${cache})
    list(JOIN ACTSERVE_CUDA_ARCHITECTURES "," architectures)
    add_custom_command(
      OUTPUT ${pack}
      COMMAND ${CMAKE_COMMAND} -E env ACTSERVE_NVRTC=${ACTSERVE_NVRTC}
              $<TARGET_FILE:actctl> precompile --builtins --arch=${architectures}
              --pack=${pack} --cache_directory=${cache}/sass
      DEPENDS actctl
      COMMENT "Precompiling the built-ins for GPUs: ${ACTSERVE_CUDA_ARCHITECTURES}"
      VERBATIM)
    add_custom_target(actserve_pack ALL DEPENDS ${pack})
  endif()
endfunction()
