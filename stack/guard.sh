#!/bin/sh
# Runs a server, and ends it when its check has failed three times in a row: whoever runs it then starts it again, which
# neither supervisord nor Docker does by itself for one that lives and does not answer.
#
#   sh guard.sh CHECK COMMAND…
#
# statsd_exporter needs it: a tag named __name__ makes its /metrics answer 500 for good, while /-/healthy says 200. The
# server takes this process's place, so that signals reach it.
check=$1
shift
guard() {
    failed=0
    # Seldom while all is well, for a large page costs the server seconds.
    while sleep "${GUARD_SECONDS:-$((failed ? 5 : 30))}" && kill -0 $$ 2>/dev/null; do
        if sh -c "$check" >/dev/null 2>&1; then failed=0; else failed=$((failed + 1)); fi
        if [ "$failed" -ge 3 ]; then
            echo "guard: ends the server, for this fails: $check" >&2
            kill -TERM $$
            return
        fi
    done
}
guard &
exec "$@"
