# shellcheck shell=bash disable=SC2034
# Sourced by deploy/test: a Docker engine of its own, and the images that the
# files of deploy/ name. Needs root. Its images stay in $ACTSERVE_CACHE/deploy, so
# that a second run builds only what has changed.

deploy_cache=$ACTSERVE_CACHE/deploy
engine_data=$deploy_cache/engine
# The socket's path has to be short.
engine_folder=
engine_pid=

# start_engine [COMMAND...]: starts the engine, below COMMAND if there is one.
# Returns 1, with the reason in engine_problem, if it does not start.
start_engine() {
  engine_problem=
  if ((EUID != 0)); then engine_problem="not root"; return 1; fi
  if [[ ! -x $deploy_cache/debian/usr/sbin/dockerd ]]; then
    engine_problem="no packages of Debian's"
    return 1
  fi
  mkdir -p "$engine_data"
  exec {engine_lock}>"$engine_data.lock"
  if ! flock --wait 600 "$engine_lock"; then
    engine_problem="another run has it"
    return 1
  fi
  engine_folder=$(mktemp -d /tmp/engine.XXXXXX)
  export DOCKER_HOST=unix://$engine_folder/docker.sock
  # A bridge would need iptables, and would change the machine's network.
  "$@" env PATH="$deploy_cache/debian/usr/sbin:$deploy_cache/debian/usr/bin:$PATH" \
    dockerd --host "$DOCKER_HOST" --data-root "$engine_data" \
    --exec-root "$engine_folder/run" --pidfile "$engine_folder/pid" \
    --bridge=none --iptables=false --ip6tables=false --ip-forward=false \
    --ip-masq=false --oom-score-adjust=0 \
    >"$engine_folder/log" 2>&1 </dev/null &
  engine_pid=$!
  export PATH=$deploy_cache/debian/usr/bin:$PATH DOCKER_BUILDKIT=1
  local attempt
  for ((attempt = 0; attempt < 120; ++attempt)); do
    if docker version >/dev/null 2>&1; then
      # What a run has left that was killed.
      docker ps --all --quiet | xargs --no-run-if-empty docker rm --force --volumes
      return
    fi
    kill -0 "$engine_pid" 2>/dev/null || break
    sleep 0.25
  done
  engine_problem="dockerd: $(grep -E 'level=(error|fatal)|failed' \
    "$engine_folder/log" | tail -1)"
  stop_engine
  return 1
}

# Stops the engine and removes what it leaves: its folder, mounts and cgroups.
stop_engine() {
  [[ $engine_pid ]] || return 0
  kill "$engine_pid" 2>/dev/null || true
  wait "$engine_pid" 2>/dev/null || true
  engine_pid=
  local mount
  { grep -F -e " $engine_folder/" -e " $engine_data/" /proc/self/mounts || true; } \
    | cut -d' ' -f2 | sort -r | while read -r mount; do umount "$mount"; done
  rm -rf "$engine_folder"
  find /sys/fs/cgroup -depth -type d \( -name docker -o -path '*/docker/*' \) \
    -exec rmdir {} \; 2>/dev/null || true
  exec {engine_lock}>&-
}

# has_image NAME
has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# image NAME MAKE...: has the image, of the registry that it names if that
# answers, otherwise what MAKE NAME makes in its place.
image() {
  local name=$1
  shift
  if has_image "$name"; then return; fi
  if timeout 60 docker pull --quiet "$name" >/dev/null 2>&1; then return; fi
  echo "no registry has $name: making one for this test"
  "$@" "$name"
}

# Debian's smallest system, without what the official slim image leaves out.
make_debian() {
  mmdebstrap --mode=root --variant=minbase --components=main --quiet \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook="rm -f \"\$1\"/etc/resolv.conf \"\$1\"/etc/hostname" \
    --customize-hook="rm -rf \"\$1\"/var/cache/apt/*.bin \"\$1\"/var/log/apt" \
    bookworm - /etc/apt/sources.list.d/debian.sources \
    | docker import - "$1" >/dev/null
}

# make_wrapped USER PROGRAM ENTRYPOINT NAME: the base with one program more.
make_wrapped() {
  local user=$1 program=$2 entrypoint=$3 name=$4 context
  context=$(mktemp -d)
  cp "$program" "$context/program"
  printf '%s\n' "FROM debian:12-slim" "COPY program $entrypoint" \
    "RUN install -d -o $user /prometheus" "USER $user" \
    "ENTRYPOINT [\"$entrypoint\"]" >"$context/Dockerfile"
  docker build --quiet --network host --tag "$name" "$context" >/dev/null
  rm -rf "$context"
}
