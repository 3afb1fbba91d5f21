#!/bin/sh
# Submits an experiment, follows its log to the end, and fetches every plot, with nothing but curl and sed.
#   examples/curl.sh [FOLDER]
set -eu
url="${NCMIX_URL:-http://127.0.0.1:8000}/api/v1"
folder="${1:-plots}"
mkdir -p "$folder"

# With an API key every request needs a header; ${…:+…} is nothing where there is none.
ask() { curl -fsS ${NCMIX_API_KEY:+-H "Authorization: Bearer $NCMIX_API_KEY"} "$@"; }

answer=$(ask "$url/experiments" -H 'content-type: application/json' -d '{
  "dataset": "digits", "model": {"kind": "mlp", "hidden": [64]}, "mix": {"kind": "mixup", "alpha": 1.0},
  "epochs": 10, "measure": {"epochs": [0, 1, 5, 10]}}')
id=$(printf '%s' "$answer" | sed 's/^{"id":"\([0-9a-f]*\)".*/\1/')
echo "experiment $id"

# The end of a log is no success: a header says how the experiment has ended.
offset=0 state=
while [ -z "$state" ]; do
  ask -D "$folder/headers" "$url/experiments/$id/log?offset=$offset"
  offset=$(tr -d '\r' < "$folder/headers" | sed -n 's/^next-offset: //p')
  state=$(tr -d '\r' < "$folder/headers" | sed -n '/^log-ended: true/,$!d; s/^experiment-state: //p')
  if [ -z "$state" ]; then sleep 0.5; fi
done
rm "$folder/headers"
echo "$state"
[ "$state" = succeeded ]

for plot in nc curves last-layer last-layer-grid channel gram norms confusion spectrum reliability; do
  ask -o "$folder/$plot.png" "$url/experiments/$id/plots/$plot.png"
done
ask -o "$folder/metrics.csv" "$url/experiments/$id/metrics.csv"
