"""When does greedy layer-wise pretraining help? Trains MNIST classifiers after it and without, and prints tables.

    python -m benchmarks.pretraining --root data --processes 2

The question, and most of the design, are those of Erhan et al., "Why Does Unsupervised Pre-training Help Deep
Learning?" (JMLR 2010). For every kind of layer, activation and seed, one stack of the greatest depth is pretrained on
all 54,000 training images without their labels. Greedy pretraining of five layers contains that of one, two and three,
so the lowest layers of that stack serve every depth. Then each depth is trained with each number of labels. `none`
begins at the usual initialisation instead: Glorot's for sigmoid units, He's for ReLU. The penalty of `sparse` and the
energy of `rbm` are defined for units in [0, 1], so these two have no ReLU rows.

At one number of labels all kinds and depths have the same steps, batches, optimizer and learning rate, all fixed in
advance. No training run is validated, and what is tested is its last step. The rates of SGD were chosen in short trials
on validation images, with seed 0, among 0.03, 0.1, 0.3 (sigmoid) and 0.01, 0.03, 0.1 (ReLU, where 0.1 diverges); that
of Adam is its default. `--part val --rate R` repeats such a choice. The seed chooses the weights, the order, and the
labelled images.

What has been done is read, and what was interrupted continued. `--report` only reads. The tables are also written
beside the runs, with two pictures: learning_curves.png and gradients.png.
"""

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from benchmarks.commands import place, run_here, train
from benchmarks.pretraining_plan import ACTIVATIONS, LAYERS, OPTIMIZERS, STEPS, Cell, Stack, cells, experiment, stacks
from benchmarks.pretraining_report import write_report

DEPTHS = [1, 2, 3, 5]
QUICK = {"seeds": [0], "depths": [1, 5], "budgets": ["100", "1000"], "steps": None, "epochs": 1}


def main(words: list[str] | None = None) -> None:
    """Run what is missing, write the tables and pictures, and print the tables."""
    arguments = parse(words)
    if not arguments.report:
        work([stack for stack in stacks(arguments) if stack.kind != "none"], arguments)
        work(cells(arguments), arguments)
    folders = {cell: cell.folder(arguments) for cell in cells(arguments)}
    print(write_report(folders, arguments.part, experiment(arguments)))


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder that holds MNIST, or where it is downloaded to")
    parser.add_argument("--dir", default="runs", type=Path, help="folder of the runs")
    parser.add_argument("--kinds", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--activations", nargs="+", choices=ACTIVATIONS, default=list(ACTIVATIONS))
    parser.add_argument("--depths", nargs="+", type=int, default=DEPTHS, help="hidden layers")
    parser.add_argument("--budgets", nargs="+", default=list(STEPS), help="labelled images, a multiple of 10 or `all`")
    parser.add_argument("--steps", nargs="+", type=int, help="of training, one number for each budget")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=5, help="of pretraining, for each layer")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="sgd", help="of training")
    parser.add_argument("--rate", type=float, help="learning rate of training, instead of those chosen")
    parser.add_argument("--part", choices=("test", "val"), default="test", help="what is tested on")
    parser.add_argument("--processes", type=int, default=1, help="runs at the same time, each with one thread")
    parser.add_argument("--report", action="store_true", help="run nothing, show what there is")
    parser.add_argument("--quick", action="store_true", help="one seed, two depths, two budgets, short pretraining")
    arguments = parser.parse_args(words)
    if arguments.quick:
        vars(arguments).update(QUICK)
    for budget in arguments.budgets:
        if budget != "all" and (not budget.isdecimal() or int(budget) < 10 or int(budget) % 10):
            parser.error(f"--budgets has {budget}: give multiples of 10, or all")
    if arguments.steps is None:
        if unknown := [budget for budget in arguments.budgets if budget not in STEPS]:
            parser.error(f"--budgets has {unknown[0]}: give --steps, too")
        arguments.steps = [STEPS[budget] for budget in arguments.budgets]
    if len(arguments.steps) != len(arguments.budgets):
        parser.error(
            f"--steps has {len(arguments.steps)} numbers: give one for each of {len(arguments.budgets)} budgets"
        )
    for name in ("depths", "steps", "epochs", "processes"):
        given = getattr(arguments, name)
        if (least := min(given) if isinstance(given, list) else given) < 1:
            parser.error(f"--{name} is {least}: give 1 or more")
    return arguments


def work(tasks: Sequence[Stack | Cell], arguments: argparse.Namespace) -> None:
    """Do what is missing of some tasks, several at the same time if asked to, with a line for each."""
    missing = [task for task in tasks if not is_done(task, arguments)]
    start = time.perf_counter()

    def say(task: Stack | Cell, number: int) -> None:
        seconds = time.perf_counter() - start
        print(f"{number}/{len(missing)} {task.folder(arguments).name} after {seconds:.0f} s", flush=True)

    if arguments.processes == 1:
        for number, task in enumerate(missing, start=1):
            do(task, arguments)
            say(task, number)
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that are about to start
    with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
        futures = {pool.submit(do, task, arguments): task for task in missing}
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                future.result()
                say(futures[future], number)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def is_done(task: Stack | Cell, arguments: argparse.Namespace) -> bool:
    """Whether a stack is pretrained, or a classifier tested."""
    return (task.folder(arguments) / made_by(task, arguments)).exists()


def made_by(task: Stack | Cell, arguments: argparse.Namespace) -> str:
    """The file that is the last to appear."""
    if isinstance(task, Stack):
        return "seconds.json"
    return "test.json" if arguments.part == "test" else "validate.json"


def do(task: Stack | Cell, arguments: argparse.Namespace) -> None:
    """Pretrain a stack, or train and test a classifier."""
    run = task.folder(arguments)
    train(run, *task.words(arguments), here=True)
    if isinstance(task, Cell):
        last = f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"
        if arguments.part == "test":
            run_here("test", *place(run), last)
        else:
            run_here("validate", *place(run), last, "--trainer.limit_val_batches=1.0")


if __name__ == "__main__":
    main()
