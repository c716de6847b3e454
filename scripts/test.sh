#!/usr/bin/env bash
# Run the suite of the service, that of the transport, or both at the same time, as the transport's mostly waits:
#
#     scripts/test.sh parley|faust-redis|both [argument of pytest …]
#
# TEST_WORKERS is the number of processes of each suite. By default it is one more than there are cores, as most
# tests wait for processes rather than for a core. A module stays on one worker, as its tests share servers.
#
# A test that failed beside others runs once more by itself, with a core free for it: a time-out of a crowded
# machine passes then, a fault fails again, and both are shown.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
which=$1
shift
parallel=(-n "${TEST_WORKERS:-$(($(nproc) + 1))}" --dist loadscope --no-loadscope-reorder)
alone=(--last-failed --last-failed-no-failures none)
# Without bytecode on disk, each process that a test starts compiles its modules first.
export PYTHONDONTWRITEBYTECODE=

# Run pytest in the folder of a suite.
suite() {
  local folder=$root
  [ "$1" = parley ] || folder=$root/packages/$1
  shift
  cd "$folder" && exec "$root/.venv/bin/python" -m pytest "$@"
}

# The processes of suites that run in the background, and the suites that failed.
running=() failed=()
trap 'kill -INT "${running[@]}" 2>/dev/null; wait; exit 130' INT TERM
case $which in
  parley | faust-redis) (suite "$which" "${parallel[@]}" "$@") || failed+=("$which") ;;
  both)
    log=.venv/test-faust-redis.log
    (suite faust-redis "${parallel[@]}" "$@") >"$log" 2>&1 &
    running+=($!)
    (suite parley "${parallel[@]}" "$@") || failed+=(parley)
    wait "${running[0]}" || failed+=(faust-redis)
    cat "$log"
    ;;
  *)
    sed -n 's/^#     //p' "$0" >&2
    exit 2
    ;;
esac
status=0
for each in "${failed[@]}"; do
  (suite "$each" "${alone[@]}" "$@") || status=$?
done
exit "$status"
