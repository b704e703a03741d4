#!/usr/bin/env bash
# A run in SHARDS parts (8) on a Slurm cluster, each with a GPU to itself, and a job that joins them when all have ended.
#
#   bash examples/ci/slurm-array.sh --require-gpu --protocol article
#
# from the repository's root on a login node, with an environment that has nets active; arguments go to pytest.
# FOLDER (nets-run), on a file system that all nodes see, gets shard-1.json ... and out.json. BASE, if it is set, is the
# stored run that out.json is held against.
set -euo pipefail

script=examples/ci/slurm-array.sh
shards=${SHARDS:-8}
folder=${FOLDER:-nets-run}

shard() {
    srun pytest benchmarks/ --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
        --benchmark-json "$folder/shard-$SLURM_ARRAY_TASK_ID.json" "$@"
}

merge() {
    nets merge "$folder"/shard-*.json --out "$folder/out.json" ${BASE:+--gate "$BASE"}
}

submit() {
    mkdir -p "$folder"
    local array
    array=$(sbatch --parsable --job-name=nets-shard --array="1-$shards" --gres=gpu:1 --cpus-per-task=8 --time=02:00:00 \
        --output="$folder/%x-%a.log" "$script" shard "$@")
    sbatch --job-name=nets-merge --dependency="afterany:$array" --time=00:10:00 --output="$folder/%x.log" "$script" merge
}

case ${1:-} in
    shard) shard "${@:2}" ;;
    merge) merge ;;
    *) submit "$@" ;;
esac
