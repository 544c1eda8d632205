#!/bin/bash
# A job that may be stopped and requeued as often as the cluster likes; each time it goes on with the same run:
#     sbatch docs/slurm.sh --config configs/vae/mnist.yaml --config configs/overlay/multinode.yaml
#SBATCH --job-name=espalier
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4        # as many as --gpus-per-node
#SBATCH --gpus-per-node=4
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120          # to the processes of srun, two minutes before the time is up

srun python cli.py fit "$@"        # the run's id is slurm-<job id>, and a requeued job keeps its id
status=$?
if [ "$status" -eq 143 ]; then     # stopped by SIGTERM, everything saved
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
fi
exit "$status"
