#!/bin/sh
# Runs a server, and ends it when its check has failed three times in a row, so that supervisord or Docker restarts it.
# By themselves, these don't restart a process that is alive but does not answer.
#
#   sh guard.sh CHECK COMMAND…
# statsd_exporter needs it: a tag named __name__ makes its /metrics answer 500 forever, while /-/healthy answers 200.
# The server replaces this process, so that signals reach it.
check=$1
shift
guard() {
    failed=0
    # Rarely while all is well, because a large page costs the server seconds.
    while sleep "${GUARD_SECONDS:-$((failed ? 5 : 30))}" && kill -0 $$ 2>/dev/null; do
        if sh -c "$check" >/dev/null 2>&1; then failed=0; else failed=$((failed + 1)); fi
        if [ "$failed" -ge 3 ]; then
            echo "guard: ending the server, because this check fails: $check" >&2
            kill -TERM $$
            return
        fi
    done
}
guard &
exec "$@"
