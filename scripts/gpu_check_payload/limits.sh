# shellcheck shell=bash
# Sourced by run and part: commands that end in time, whatever they do.
#
# A process that is stuck in a driver ends by no signal. So nothing here waits
# for one without a limit: after SIGTERM and SIGKILL it is left behind.

# How long each signal has to take effect. The tests set it.
grace=${GPU_CHECK_GRACE_SECONDS:-5}
# limited()'s exit code for a command that was left behind.
abandoned_code=200

# Returns whether a process runs; one that only waits to be reaped does not.
is_alive() {
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  stat=${stat##*) }
  [[ ${stat:0:1} != [ZX] ]]
}

# Prints when a process started, in ticks since the machine did: with its number
# this names it for good.
start_time() {
  local stat fields
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
  read -r -a fields <<<"${stat##*) }"
  echo "${fields[19]}"
}

# ends_within SECONDS PROCESS
ends_within() {
  local end=$((SECONDS + $1))
  while is_alive "$2"; do
    ((SECONDS <= end)) || return 1
    sleep 0.1
  done
}

# Prints the processes of a session that run.
session_processes() {
  local file stat fields
  for file in /proc/[0-9]*/stat; do
    { read -r stat <"$file"; } 2>/dev/null || continue
    read -r -a fields <<<"${stat##*) }"
    if [[ ${fields[3]} == "$1" && ${fields[0]} != [ZX] ]]; then
      file=${file%/stat}
      echo "${file#/proc/}"
    fi
  done
}

# Ends all processes of a session. Returns whether that worked.
end_session() {
  local signal pids end
  for signal in TERM KILL; do
    end=$((SECONDS + grace))
    while mapfile -t pids < <(session_processes "$1"); ((${#pids[@]})); do
      ((SECONDS <= end)) || break
      kill -"$signal" "${pids[@]}" 2>/dev/null
      sleep 0.1
    done
  done
  ((${#pids[@]} == 0))
}

# limited SECONDS PROGRAM [ARGUMENT...]: within a part, for at most the given
# seconds, and fewer if the part has no more. Returns the program's exit code,
# 124 if it did not end in time, $abandoned_code if it still runs.
limited() {
  local seconds=$1 code=0 pid end left=$((part_seconds - SECONDS - 2 * grace))
  shift
  ((seconds < left)) || seconds=$left
  ((seconds >= 1)) || seconds=1
  end=$((SECONDS + seconds))
  # By way of 3, as a shell gives a command in the background no input.
  { timeout -k "$grace" "$seconds" "$@" <&3 & pid=$!; } 3<&0
  ends_within $((seconds + 2 * grace)) "$pid" || return "$abandoned_code"
  { wait "$pid" || code=$?; } 2>/dev/null
  ((code != 137 || SECONDS < end)) || code=124
  return "$code"
}

# Prints what an exit code of limited() means.
outcome() {
  case $1 in
    124) echo "did not end in time" ;;
    127) echo "exit code 127: there is no such program" ;;
    "$abandoned_code") echo "did not end, could not be killed; abandoned" ;;
    129 | 1[3-9]?) echo "ended by SIG$(kill -l "$(($1 - 128))")" ;;
    *) echo "exit code $1" ;;
  esac
}
