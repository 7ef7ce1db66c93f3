#!/bin/bash
# Several runs on one project: sbatch array.sh CONFIG PROJECT
#SBATCH --job-name=icefront
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
# Two minutes before the end of its time a run is told to stop and gives its scenes back.
#SBATCH --signal=INT@120
set -euo pipefail
srun --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" icefront monitor run "$1" --out "$2"
