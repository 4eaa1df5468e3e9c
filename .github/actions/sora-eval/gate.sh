#!/usr/bin/env bash
# A suite's run, its gate and its report, for any CI system. The exit code is the gate's; its last line is the verdict.
# $SUITE and $GENERATOR say what is run, $BASELINE what it is compared with, $OUT where everything goes; $NAME is of the
# comment on a change ($OUT/comment.md): one per job that comments.
set -uo pipefail
out=${OUT:-sora-eval-out}
rm -f "$out/comment.md" # of an earlier run
sora-eval run --generator "${GENERATOR:-reference}" --out "$out/runs" -- "${SUITE:?a suite}"
code=$?
run=
for folder in "$out"/runs/*/; do [ ! -d "$folder" ] || run=$folder; done # the last one
# A run that is incomplete (12) is gated and reported all the same: both say what is missing.
if [ -z "$run" ] || { [ $code != 0 ] && [ $code != 12 ]; }; then exit $code; fi
strict=--strict
[ "${STRICT:-true}" = true ] || strict=--no-strict
gate=(sora-eval gate "$run" --baseline "${BASELINE:-baselines}" --junit "$out/gate.xml" "$strict")
[ -z "${PROFILE:-}" ] || gate+=(--profile "$PROFILE")
verdict=0
last=$("${gate[@]}" | tee /dev/stderr | tail -n 1) || verdict=$?
sora-eval report "$run" --html --out "$out/report.html" >&2
sora-eval comment "$run" --out "$out/comment.md" --name "${NAME:-sora-eval}" >&2
printf '%s\n' "$last"
exit $verdict
