#!/bin/sh
# Runs a command once a day, in a container, where there is no cron and no systemd.
#
#   nightly.sh HH:MM COMMAND…   run COMMAND each day at that time, in the zone that TZ names; and at the start, if the
#                               time has gone by today already
#   nightly.sh --healthy        0 if the last run was well, or none was due yet; for a health check
#
# A run that fails is tried again a quarter of an hour later, until one is well. On SIGTERM the command gets it too.
set -u

state=${NIGHTLY_STATE:-/tmp}
lately=1560 # minutes: a day, and two hours for a run that takes longer than the one before

if [ "${1-}" = --healthy ]; then
    [ ! -e "$state/nightly-failed" ] && [ -n "$(find "$state" -maxdepth 1 -name nightly-well -mmin -$lately 2>/dev/null)" ]
    exit
fi

at=${1-}
case $at in
    [01][0-9]:[0-5][0-9] | 2[0-3]:[0-5][0-9]) shift ;;
    *) echo "nightly.sh: '$at' is no time of day; write nightly.sh HH:MM COMMAND…, such as 02:30" >&2; exit 2 ;;
esac
[ $# -gt 0 ] || { echo "nightly.sh: there is no command behind $at" >&2; exit 2; }

child=
stop() {
    [ "$child" != starting ] || child=${!-} # asked to stop before its number was noted
    [ -z "$child" ] || { kill -TERM "$child" 2>/dev/null; wait "$child"; }
    exit 0
}
trap stop TERM INT

# In the background, so that a signal is heard at once; the status is the command's.
run() {
    child=starting
    "$@" &
    child=$!
    wait "$child"
    status=$?
    child=
    return $status
}

rm -f "$state/nightly-failed"
: > "$state/nightly-well"
done_on=
while :; do
    today=$(date +%Y-%m-%d)
    # As numbers: 02:30 is 230. A leading 1 keeps the shell from reading 08 as octal.
    if [ "$done_on" != "$today" ] && [ "1$(date +%H%M)" -ge "1${at%:*}${at#*:}" ]; then
        if run "$@"; then
            done_on=$today
            rm -f "$state/nightly-failed"
            : > "$state/nightly-well"
            echo "nightly.sh: done for $today"
        else
            echo "nightly.sh: failed with status $status; the next try is in 15 minutes: $*" >&2
            : > "$state/nightly-failed"
            run sleep 900
        fi
    fi
    run sleep 30
done
