#!/bin/bash
# Trains on GPUs under SLURM, goes on after a preemption or the end of its time, and ends when the
# run is finished. From the clone, on a file system that all nodes see:
#   sbatch [--nodes=4] [--gpus-per-node=8 --ntasks-per-node=8] docs/clusters/slurm.sh nq_3b.gin [FLAGS]
# One task is one process with one GPU, as JAX takes it under SLURM: as many tasks as GPUs.
#SBATCH --job-name=closedbook
#SBATCH --nodes=4
#SBATCH --gpus-per-node=8
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -u
: "${1:?give a gin file, for example nq_3b.gin}" "${SLURM_SUBMIT_DIR:?give this file to sbatch}"
cd "$SLURM_SUBMIT_DIR" || exit 2
venv=$PWD/.venv-gpu
if [ ! -e "$venv/installed" ]; then
  for python in ${PYTHON:-python3.13 python3.12 python3.11}; do
    "$python" -m venv "$venv" 2>/dev/null && break
  done
  [ -x "$venv/bin/pip" ] || { echo "no Python 3.11 to 3.13 here; set PYTHON to one" >&2; exit 2; }
  "$venv/bin/pip" install --quiet '.[gpu]' && touch "$venv/installed" || exit 2
fi
export PATH=$venv/bin:$PATH
export CLOSEDBOOK_CACHE_DIR=${CLOSEDBOOK_CACHE_DIR:-$PWD/.cache/tokens}
codes=$PWD/.cache/codes-$SLURM_JOB_ID
rm -rf "$codes"
mkdir -p "$codes"
export codes
# shellcheck disable=SC2016  # the task's own number
srun --kill-on-bad-exit=0 bash -c 'CODE_FILE=$codes/$SLURM_PROCID bash docs/clusters/train.sh "$@"' \
  train "$@"
if grep -qxE '1|2' "$codes"/*; then exit 2; fi
if grep -qvx 0 "$codes"/* || [ "$(ls "$codes" | wc -l)" != "$SLURM_NTASKS" ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
