# shellcheck shell=bash
# Sourced by deploy/test after engine.sh: what runs in containers.

fail() { echo "FAILED: $*" >&2; return 1; }

# Waits until a command succeeds, at most some seconds.
await() {
  local seconds=$1 start=$SECONDS
  shift
  until "$@"; do
    ((SECONDS - start < seconds)) || { fail "after $seconds s: $*"; return 1; }
    sleep 0.3
  done
}

build_images() {
  local target base=/etc/ssl/certs/ca-certificates.crt
  image debian:12-slim make_debian
  # Nothing is missing that the image would compile with.
  docker build --file deploy/docker/Dockerfile --target configured \
    --network host . >"$engine_folder/build" 2>&1 \
    || { tail -40 "$engine_folder/build"; fail "configured"; return 1; }
  for target in cpu cuda trainer; do
    scripts/image "$target" --build-arg BINARIES=prebuilt --network host \
      --secret "id=certificates,src=$base" >"$engine_folder/build" 2>&1 \
      || { tail -40 "$engine_folder/build"; fail "image $target"; return 1; }
    tail -1 "$engine_folder/build"
  done
}

is_healthy() {
  [[ $(docker inspect --format '{{.State.Health.Status}}' "$1") == healthy ]]
}

# The container is closed as far as it can be, and still serves.
check_container() {
  local status field
  docker run --detach --name server --pull never --network host \
    --read-only --cap-drop ALL --security-opt no-new-privileges \
    --memory 1g --cpus 1 --pids-limit 300 \
    actserve:cpu --listen=127.0.0.1:50051 --drain_delay=1s >/dev/null
  await 30 is_healthy server
  status=$(docker exec server cat /proc/1/status)
  for field in 'Name:.actserved' 'Uid:.10001' 'Gid:.10001' \
    'CapEff:.0000000000000000' 'CapBnd:.0000000000000000' 'NoNewPrivs:.1' \
    'Seccomp:.2'; do
    grep -qE "^$field\b" <<<"$status" || fail "not $field: $status"
  done
  if docker exec server touch /file 2>/dev/null; then fail "writable root"; fi
  [[ $(docker exec server actctl forward relu 2) == 2 ]] || fail "relu(2)"
  docker exec server actctl health | head -1
  # A drain lets the calls finish, and ends well within the grace period.
  docker stop --time 20 server >/dev/null
  docker logs server 2>&1 | grep -q '"calls_cut_off":0' || fail "calls cut off"
  [[ $(docker inspect --format '{{.State.ExitCode}}' server) == 0 ]] \
    || fail "exit code"
  docker rm --volumes server >/dev/null
}

# The bills of materials name what the images say that they have.
check_bills() {
  local target in_image=(docker run --rm --pull never --network none)
  for target in cpu cuda; do
    "${in_image[@]}" --entrypoint dpkg-query "actserve:$target" \
      --show --showformat='${Package} ${Version}\n' >"$engine_folder/packages"
    "${in_image[@]}" "actserve:$target" --version >"$engine_folder/version"
    PATH=$deploy_cache/python/bin:$PATH scripts/sbom "actserve:$target" \
      >"$engine_folder/bill"
    run_python deploy/testing/check_bill.py "$target" "$engine_folder"
  done
}

# Without a driver, the GPU image still compiles for GPUs, and says why it does
# not start.
check_cuda_image() {
  local output
  docker run --rm --pull never --network none --read-only \
    --tmpfs /tmp:mode=1777 --volume "$PWD/kernels/catalog/relu.py:/relu.py:ro" \
    --entrypoint actctl actserve:cuda \
    precompile /relu.py --dtype float32 --arch 90 --pack=/tmp/pack
  docker run --rm --pull never --network none --entrypoint \
    test actserve:cuda -s /usr/local/share/actserve/builtins.sass \
    || fail "no pack"
  if output=$(docker run --rm --pull never --network none actserve:cuda \
    --listen=127.0.0.1:50051 --device=cuda:0 2>&1); then
    fail "started without a driver"
  fi
  grep -q 'no CUDA driver' <<<"$output" || fail "$output"
}

compose() {
  "$deploy_cache/python/bin/docker-compose" --project-name actserve-test \
    --file deploy/compose/compose.yaml \
    --file deploy/testing/compose.test.yaml "$@"
}

# in_network COMMAND...: runs it in the network that the containers share.
in_network() { nsenter --net="/proc/$engine_pid/ns/net" "$@"; }

trainer_printed_loss() { compose logs trainer | grep -q 'loss 0'; }

# query QUERY: prints the values of an instant query.
query() {
  in_network curl --silent --get --data-urlencode "query=$1" \
    http://127.0.0.1:9090/api/v1/query \
    | "$deploy_cache/python/bin/python" -c 'import json, sys
for row in json.load(sys.stdin)["data"]["result"]:
    print(row["metric"].get("job"), row["value"][1])'
}

# targets_up COUNT: Prometheus reaches so many.
targets_up() { [[ $(query up | grep -c ' 1$') == "$1" ]]; }

# panels_show_data DASHBOARD: Prometheus answers each of its queries.
panels_show_data() {
  local expression
  while read -r expression; do
    [[ $(query "$expression") ]] || return 1
  done < <("$deploy_cache/python/bin/python" -c 'import json, sys
for panel in json.load(open(sys.argv[1]))["panels"]:
    for target in panel["targets"]:
        print(target["expr"])' "$1")
}

# The images of others that the stack needs.
make_stack_images() {
  local prometheus envoy
  prometheus=$(command -v prometheus)  # of scripts/setup
  envoy=$(echo "$deploy_cache"/python/lib/python3*/site-packages/envoy/_bin/envoy)
  image envoyproxy/envoy:v1.40.0 make_wrapped 101 "$envoy" /usr/local/bin/envoy
  image prom/prometheus:v2.55.1 make_wrapped 65534 "$prometheus" /bin/prometheus
}

# The stack of deploy/compose, on one host without a registry.
check_compose() {
  compose up --detach --wait --wait-timeout 120 >"$engine_folder/up" 2>&1 \
    || { tail "$engine_folder/up"; compose logs --tail 20; fail "up"; return 1; }
  await 60 trainer_printed_loss
  compose logs trainer | head -3
  await 30 targets_up 3
  await 30 panels_show_data deploy/compose/trainer.json
  query up
  compose down --volumes --timeout 40 >/dev/null 2>&1
  [[ ! $(docker ps --all --quiet) ]] || fail "containers are left"
  [[ ! $(docker volume ls --quiet --filter name=actserve-test) ]] \
    || fail "volumes are left"
}
