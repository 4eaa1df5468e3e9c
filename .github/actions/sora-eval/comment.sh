#!/usr/bin/env bash
# Puts $OUT/comment.md on the pull request $NUMBER, in place of the comment that an earlier run of this job left there.
# The comment is found by its hidden first line. Without the file, the comment says that there is no result: a verdict of an
# older commit must not stay. Without a pull request, nothing is done. gh and its $GH_TOKEN are those of the job.
set -euo pipefail
[ -n "${NUMBER:-}" ] || exit 0
out=${OUT:-sora-eval-out}
body=$out/comment.md
if [ ! -s "$body" ]; then
  mkdir -p "$out"
  name=${NAME:-sora-eval}
  printf '<!-- sora-eval:%s -->\n## gate: no result\n\nThe job ended before the gate; its log says why.\n' "${name//[^A-Za-z0-9._-]/-}" > "$body"
fi
marker=$(head -n 1 "$body")
[ -z "${ARTIFACT_URL:-}" ] || printf '\n[Run, report and worst clips](%s)\n' "$ARTIFACT_URL" >> "$body"
# Only a bot's: anyone can write a comment with this line.
id=$(gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments?per_page=100" \
  --jq ".[] | select(.user.type == \"Bot\" and (.body | startswith(\"$marker\"))) | .id" | head -n 1)
if [ -n "$id" ]; then
  gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$id" --field "body=@$body"
else
  gh api --silent --method POST "repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments" --field "body=@$body"
fi
