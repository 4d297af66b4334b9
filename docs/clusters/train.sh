#!/bin/bash
# One process of a run of several. Ends with 0 when the run is finished, with 75 when the same
# command is to be given again (it was stopped and has saved, or another process is gone), and with
# 1 or 2 after an error, which comes again. A crash is an error in the first CRASH_SECONDS (900), as
# it will come again then; later it may be a machine's. SIGTERM is passed on.
#   train.sh GIN_FILE [FLAGS OF t5x train ...]
set -u
gin_file=$1
shift
output=$(mktemp)
t5x train --gin_file="$gin_file" --multiprocess_gpu "$@" >"$output" &
child=$!
trap 'kill -TERM "$child" 2>/dev/null' TERM INT HUP
code=0
while :; do
  wait "$child"
  code=$?
  kill -0 "$child" 2>/dev/null || break  # a signal ends the wait and not the run
done
cat "$output"
if [ "$code" = 0 ] && grep -q '^stopped at step' "$output"; then code=75; fi
case $code in
  0 | 1 | 2 | 75) ;;
  129 | 130 | 143) code=75 ;;
  *) if [ "$SECONDS" -lt "${CRASH_SECONDS:-900}" ]; then code=2; else code=75; fi ;;
esac
rm -f "$output"
if [ -n "${CODE_FILE:-}" ]; then echo "$code" >"$CODE_FILE"; fi
exit "$code"
