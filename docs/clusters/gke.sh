#!/bin/bash
# Trains on TPUs or GPUs of a GKE cluster with JobSet, and goes on after a preemption.
#   BUCKET=my-bucket docs/clusters/gke.sh nq_11b.gin [FLAGS OF t5x train ...]
# NAME of the run; TOPOLOGY of a v5p slice, or GPU_HOSTS for so many machines of 8 H100; IMAGE where
# the container lies (project's registry); BUILD= to use the one that is there.
set -eu
: "${1:?give a gin file, for example nq_11b.gin}" "${BUCKET:?set BUCKET to the name of a bucket}"
here=$(cd "$(dirname "$0")" && pwd)
project=$(gcloud config get-value project)
export GIN_FILE=$1
shift
run=$(basename "$GIN_FILE" .gin)
export NAME=${NAME:-${run//_/-}}
export TOPOLOGY=${TOPOLOGY:-4x4x4}
if [ -n "${GPU_HOSTS:-}" ]; then
  export HOSTS=$GPU_HOSTS manifest=gke_gpu.yaml extra=gpu
else
  export HOSTS=$((${TOPOLOGY//x/*} / 4)) manifest=gke_tpu.yaml extra=tpu
fi
export IMAGE=${IMAGE:-gcr.io/$project/closedbook-$extra}
export FLAGS="--gin.MODEL_DIR=\"'gs://$BUCKET/$NAME'\""
for flag in "$@"; do FLAGS+=" $(printf %q "$flag")"; done
if [ -n "${BUILD-yes}" ]; then
  gcloud builds submit "$here/../.." --config="$here/cloudbuild.yaml" \
    --substitutions="_EXTRA=$extra,_IMAGE=$IMAGE"
fi
python3 - "$here/$manifest" <<'PROGRAM' | kubectl apply -f -
import json, os, string, sys
words = {name: json.dumps(value)[1:-1] for name, value in os.environ.items()}  # inside YAML's quotes
print(string.Template(open(sys.argv[1]).read()).substitute(words))
PROGRAM
kubectl get jobset "$NAME"
echo "logs: kubectl logs -f job/$NAME-workers-0; stop, saved: kubectl delete jobset $NAME"
