#!/bin/bash
# Trains on a slice of TPU VMs, makes it anew after a preemption, and ends when the run is finished.
# From the clone on any machine with gcloud:
#   BUCKET=my-bucket docs/clusters/tpu_vm.sh nq_11b.gin [FLAGS OF t5x train ...]
# NAME of the run; ZONE (gcloud's default); TYPE and VERSION of the slice; SPOT= for one that is not
# preempted. The slice is left when the run ends: gcloud compute tpus queued-resources delete NAME.
set -u
: "${1:?give a gin file, for example nq_11b.gin}" "${BUCKET:?set BUCKET to the name of a bucket}"
here=$(cd "$(dirname "$0")" && pwd)
gin_file=$1
shift
run=$(basename "$gin_file" .gin)
name=${NAME:-${run//_/-}}
zone=${ZONE:-$(gcloud config get-value compute/zone)}
: "${zone:?set ZONE, or gcloud config set compute/zone}"
type=${TYPE:-v5p-128}
version=${VERSION:-v2-alpha-tpuv5}
flags=$(printf ' %q' "--gin.MODEL_DIR='gs://$BUCKET/$name'" "$@")
sources=$(mktemp -d)/closedbook.tar.gz
git -C "$here/../.." archive --format=tar.gz --output="$sources" HEAD || exit 2

state() {
  gcloud compute tpus queued-resources describe "$name" --zone="$zone" \
    --format='value(state.state)' 2>/dev/null
}

slice() {  # there, and all of its hosts
  case $(state) in
    ACTIVE) return 0 ;;
    SUSPENDED | FAILED)
      gcloud compute tpus queued-resources delete "$name" --zone="$zone" --force --quiet ;;
  esac
  if [ -z "$(state)" ]; then
    gcloud compute tpus queued-resources create "$name" --node-id="$name" --zone="$zone" \
      --accelerator-type="$type" --runtime-version="$version" ${SPOT---spot} || exit 2
  fi
  until [ "$(state)" = ACTIVE ]; do
    case $(state) in SUSPENDED | FAILED) return 1 ;; esac
    sleep 30
  done
}

# On every host: installs what is not there, starts the process as a service, which outlives this
# connection and is told by SIGTERM when the machine is taken away, and waits for it.
read -r -d '' remote <<REMOTE
set -u
cd "\$HOME" && mkdir -p closedbook && tar -xzf closedbook.tar.gz -C closedbook && cd closedbook
export PATH=\$HOME/.local/bin:\$PATH  # the images of TPU VMs have an old Python: uv brings one
test -e venv/installed || { python3 -m pip install --quiet --user uv && uv venv --quiet --python 3.12 venv \
  && uv pip install --quiet --python venv/bin/python '.[tpu]' && touch venv/installed; } || { echo "closedbook ended with code 2"; exit 2; }
if ! systemctl is-active --quiet closedbook; then
  rm -f code
  sudo systemd-run --unit=closedbook --collect --uid="\$(id -u)" --working-directory="\$PWD" \
    --setenv=HOME="\$HOME" --setenv=PATH="\$PWD/venv/bin:\$PATH" --setenv=CODE_FILE="\$PWD/code" \
    --property=TimeoutStopSec=180 --property=KillMode=mixed \
    --property=StandardOutput=append:"\$PWD/log" --property=StandardError=append:"\$PWD/log" \
    bash docs/clusters/train.sh $gin_file$flags
fi
while systemctl is-active --quiet closedbook; do sleep 5; done
tail -n 20 log
echo "closedbook ended with code \$(cat code)"
REMOTE

while :; do
  slice || { sleep 30; continue; }
  gcloud compute tpus tpu-vm scp "$sources" "$name:closedbook.tar.gz" --zone="$zone" --worker=all --quiet
  said=$(gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --quiet --command="$remote" \
    | tee /dev/stderr)
  if grep -qE '^closedbook ended with code [12]$' <<<"$said"; then exit 2; fi
  if grep -q '^closedbook ended with code 0$' <<<"$said" \
    && ! grep -q '^closedbook ended with code 75$' <<<"$said"; then exit 0; fi
  sleep 30
done
