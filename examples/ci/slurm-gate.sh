#!/usr/bin/env bash
# The gate on one node of a Slurm cluster: BASE and HEAD in turns, on one GPU that nothing else runs on.
# From the repository's root, on a file system that the node sees, with nets in the environment that is active:
#   NETS=own_nets.py CELLS=digits-mlp sbatch --wait slurm-gate.sh origin/main HEAD
# sbatch --wait exits with the job's own code, which is that of nets ab; figures and logs are in nets-ab-JOB/.
#SBATCH --job-name=nets-gate
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus=1
#SBATCH --exclusive
#SBATCH --time=01:30:00
#SBATCH --signal=B:INT@120
#SBATCH --output=nets-gate-%j.txt
set -euo pipefail

base=${1:?name the base revision} head=${2:?name the head revision}
out=nets-ab-${SLURM_JOB_ID:?start it by sbatch}
options=()
[[ -z ${NETS:-} ]] || options+=("--nets=$NETS")
[[ -z ${CELLS:-} ]] || options+=(--cells "$CELLS")
[[ ! -f benchmarks/gate.toml ]] || options+=(--config benchmarks/gate.toml)

mkdir -p "$out"

# Slurm's signal, two minutes before the time is up, reaches nets, which then judges what was measured.
exec nets ab "$base" "$head" "${options[@]}" --device cuda --max-minutes 80 --out "$out" --json "$out/gate.json" \
    --markdown "$out/gate.md" -- --require-gpu --require-data --cell-timeout 600
