#!/usr/bin/env bash
# Run the suites of the service and of the transport at the same time, as the tests of the transport mostly wait.
# Arguments go to both pytests; TEST_WORKERS is the number of processes of each.
#
# A test that failed beside others runs once more by itself, with a core free for it: a time-out of a crowded
# machine passes then, a fault fails again, and both are shown.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$PWD/.venv/bin/python
parallel=(-n "${TEST_WORKERS:-3}" --dist loadscope --no-loadscope-reorder "$@")
alone=(--last-failed --last-failed-no-failures none "$@")
log=.venv/test-faust-redis.log

(cd packages/faust-redis && exec "$python" -m pytest "${parallel[@]}") >"$log" 2>&1 &
transport=$!
trap 'kill -INT "$transport" 2>/dev/null; wait; exit 130' INT TERM
service_status=0 transport_status=0
"$python" -m pytest "${parallel[@]}" || service_status=$?
wait "$transport" || transport_status=$?
cat "$log"
if [ "$service_status" != 0 ]; then
  "$python" -m pytest "${alone[@]}"
  service_status=$?
fi
if [ "$transport_status" != 0 ]; then
  cd packages/faust-redis && "$python" -m pytest "${alone[@]}"
  transport_status=$?
fi
exit $((service_status != 0 || transport_status != 0))
