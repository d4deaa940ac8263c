# shellcheck shell=bash
# Sourced by part: finds NVRTC and the driver where the programs would not.
#
# The programs ask the loader and know a few folders; ACTSERVE_NVRTC and
# ACTSERVE_CUDA_DRIVER name other files, and win if the user has set them.

# Returns whether the loader of this machine finds a library by its name: it
# complains if it cannot load it beside a program that needs it not.
loader_finds() {
  limited 5 "${native[@]}" LD_PRELOAD="$1" /bin/true >"$work/loader" 2>&1 &&
    [[ ! -s $work/loader ]]
}

# Prints folders in which libraries of CUDA are kept.
library_folders() {
  printf '%s\n' /usr/local/cuda/lib64 /usr/local/cuda*/lib64 \
    /usr/local/cuda*/targets/x86_64-linux/lib /usr/local/nvidia/lib64 \
    /usr/local/nvidia/lib /usr/lib/x86_64-linux-gnu /usr/lib64 /usr/lib/wsl/lib
  command -v python3 >/dev/null || return 0
  limited 10 "${native[@]}" python3 -c 'import sys; print(*sys.path, sep="\n")' \
    >"$work/folders" 2>/dev/null || return 0
  local folder
  while read -r folder; do
    [[ -z $folder ]] || printf '%s\n' "$folder"/nvidia/*/lib
  done <"$work/folders"
}

# Prints the files NAME... that are on this machine, by a search of all of it.
search_everywhere() {
  local names=(-name "$1") name
  shift
  for name; do names+=(-o -name "$name"); done
  limited 15 find / \( -path /proc -o -path /sys -o -path /dev -o -name stubs \) \
    -prune -o \( "${names[@]}" \) -print >"$work/found" 2>/dev/null || true
  cat "$work/found"
}

# find_library VARIABLE NAME...: prints where the programs get the library from.
# If only by the variable, sets it here and writes it to $folder/environment.
# Returns 1 if there is none; only for a GPU, $visible, all of the machine is
# searched.
find_library() {
  local variable=$1 folders name file=''
  shift
  if [[ -n ${!variable:-} ]]; then
    file=${!variable}
    if [[ $file == /* && ! -e $file ]]; then
      echo "$variable=$file, as it was set: there is no such file"
      return 1
    fi
    echo "$variable=$file, as it was set"
    return
  fi
  for name; do
    if loader_finds "$name"; then
      echo "$name, by the loader"
      return
    fi
  done
  library_folders >"$work/library_folders"
  mapfile -t folders <"$work/library_folders"
  for name; do
    for file in "${folders[@]/%//$name}"; do
      [[ ! -e $file ]] || break 2
    done
    file=
  done
  if [[ -z $file && -n $visible ]]; then
    search_everywhere "$@" >"$work/everywhere"
    for name; do
      file=$(grep -m 1 "/$name\$" "$work/everywhere") && break
    done
  fi
  if [[ -z $file ]]; then
    echo "not found: $*"
    return 1
  fi
  export "$variable=$file"
  printf 'export %s=%q\n' "$variable" "$file" >>"$folder/environment"
  echo "$variable=$file, by a search"
}
