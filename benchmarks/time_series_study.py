"""Series with known relevance: what training does to what gradients find.

The split into tuning and judged kinds, the arms and the grids are fixed here, before any result.
Each finished cell (a network trained and measured) is one line of
`benchmarks/results/time_series_study.jsonl`; a run that was cut off goes on where it stopped, and
several runs may share the work. Change VERSION when the library changes what a cell gives.
"""

import argparse
import os
import signal
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from multiprocessing import get_context

import _study
import _study_tables as tables
from _report import ROOT, markdown_table, write_pages
from _study import mean, value
from tqdm import tqdm

from sgt_sklearn import paper_settings

VERSION = 1
PAGE = ROOT / "docs" / "time_series_study.md"

DATA = {"process": "gaussian", "n_samples": 1200, "n_train": 1000}
MAX_EPOCHS = 60
TUNING_KINDS = ("middle", "moving_small_middle")
TUNING_SEEDS = (100, 101)
JUDGED_KINDS = (
    "rare_time",
    "rare_feature",
    "moving_rare_time",
    "moving_middle",
    "positional_time",
)
SEEDS = (0, 1, 2)
CONFIRMING_SEEDS = (10, 11, 12)
DECAYS = (0.1, 0.3, 1.0, 3.0)

# module: learning rate, parameters that read the input
MODULES = {
    "lstm": (3e-3, ("*weight_ih_l0",)),
    "tcn": (3e-3, ("*blocks.0.layers.0.weight", "*blocks.0.shortcut.weight")),
    "input_cell_attention": (3e-3, ("*weight_ih_l0",)),
    "transformer": (2e-3, ("*embed.weight",)),
    "gru": (5e-3, ("*recurrence.0.weight_ih",)),
}
FIRST_MODULES = ("lstm", "tcn")

# CPU seconds of a cell without and with guidance, where none is in the cache to go by
SECONDS = {
    "lstm": (12, 22),
    "tcn": (18, 30),
    "input_cell_attention": (50, 99),
    "transformer": (37, 61),
    "gru": (29, 40),
}

PLAIN = {"consistency_weight": 0}
# spelled out, so that the arms stay what they are if the defaults of the library change
GUIDED = {
    "consistency_weight": 1.0,
    "mask_fraction": 0.5,
    "mask_schedule": "constant",
    "mask_order": "sampled",
    "saliency_output": "margin",
    "mask_fill": "marginal",
    "feature_groups": "cell",
}
# the first design of the guidance for series
RAMP = {"mask_fraction": 0.9, "mask_schedule": "ramp"}


@dataclass(frozen=True)
class Training:
    """How a network is trained, whatever its kind."""

    guidance: dict
    decay: float = 0.0  # as a multiple of the tuned one
    decay_on: str = "all"  # or "input": the weights that read the input
    callbacks: dict = field(default_factory=dict)

    @property
    def is_guided(self):
        return self.guidance["consistency_weight"] > 0

    def with_order(self, order):
        return replace(self, guidance=self.guidance | {"mask_order": order})


def guided(decay=0.0, decay_on="all", callbacks=None, **changes):
    return Training(GUIDED | changes, decay, decay_on, callbacks or {})


def plain(decay=0.0, decay_on="all", **callbacks):
    return Training(PLAIN, decay, decay_on, callbacks)


ARMS = {
    "plain": plain(),
    "decay": plain(decay=1.0),
    "paper": Training(paper_settings("time_series")),
    "guided": guided(),
    "guided_decay": guided(decay=1.0),
    "control": guided(mask_order="random"),
    "control_decay": guided(decay=1.0, mask_order="random"),
    "ramp": guided(**RAMP),
    "ramp_control": guided(**RAMP | {"mask_order": "random"}),
}

# tried on the tuning kinds only; what is promising is confirmed on the judged kinds with new seeds
CANDIDATES = ARMS | {
    "k .3": guided(mask_fraction=0.3),
    "k .7": guided(mask_fraction=0.7),
    "k .8": guided(mask_fraction=0.8),
    "lambda .3": guided(consistency_weight=0.3),
    "lambda 3": guided(consistency_weight=3.0),
    "lambda 10": guided(consistency_weight=10.0),
    "k .7, lambda 3": guided(mask_fraction=0.7, consistency_weight=3.0),
    "order absolute": guided(mask_order="absolute"),
    "order absolute, k .3": guided(mask_order="absolute", mask_fraction=0.3),
    "order absolute, k .7": guided(mask_order="absolute", mask_fraction=0.7),
    "order absolute, lambda 3": guided(mask_order="absolute", consistency_weight=3.0),
    "order absolute, lambda 10": guided(mask_order="absolute", consistency_weight=10.0),
    "order random, k .7": guided(mask_order="random", mask_fraction=0.7),
    "order random, k .3": guided(mask_order="random", mask_fraction=0.3),
    "order signed": guided(mask_order="signed"),
    "fill mean": guided(mask_fill="mean"),
    "fill feature_uniform": guided(mask_fill="feature_uniform"),
    "fill sample_uniform": guided(mask_fill="sample_uniform"),
    "fill sample_uniform, lambda 3": guided(mask_fill="sample_uniform", consistency_weight=3.0),
    "fill sample_uniform, order random": guided(mask_fill="sample_uniform", mask_order="random"),
    "fill sample_uniform, order signed": guided(mask_fill="sample_uniform", mask_order="signed"),
    "fill sample_uniform, order absolute": guided(
        mask_fill="sample_uniform", mask_order="absolute"
    ),
    "decay, fill sample_uniform": guided(decay=1.0, mask_fill="sample_uniform"),
    "decay, fill sample_uniform, order random": guided(
        decay=1.0, mask_fill="sample_uniform", mask_order="random"
    ),
    "decay, fill sample_uniform, order absolute": guided(
        decay=1.0, mask_fill="sample_uniform", mask_order="absolute"
    ),
    "decay, paper": Training(paper_settings("time_series"), decay=1.0),
    "ranked by logit": guided(saliency_output="logit"),
    "ranked by log_proba": guided(saliency_output="log_proba"),
    "ranked by path gradient": guided(callbacks={"path_ranking": []}),
    "groups time": guided(feature_groups="time"),
    "groups feature": guided(feature_groups="feature"),
    "groups time_then_feature": guided(feature_groups="time_then_feature"),
    "one-sided": guided(consistency="one_sided"),
    "other-sided": guided(consistency="other_sided"),
    "bounded divergence": guided(consistency="bounded"),
    "logits": guided(consistency="logits"),
    "logits, lambda .1": guided(consistency="logits", consistency_weight=0.1),
    "relative logits": guided(consistency="relative_logits"),
    "relative logits, lambda .1": guided(consistency="relative_logits", consistency_weight=0.1),
    "relative logits, lambda 10": guided(consistency="relative_logits", consistency_weight=10.0),
    "relative logits, k .8": guided(consistency="relative_logits", mask_fraction=0.8),
    "relative logits, order absolute": guided(
        consistency="relative_logits", mask_order="absolute"
    ),
    "relative logits, order random": guided(consistency="relative_logits", mask_order="random"),
    "decay, relative logits": guided(decay=1.0, consistency="relative_logits"),
    "decay, relative logits, order random": guided(
        decay=1.0, consistency="relative_logits", mask_order="random"
    ),
    "input noise .3": plain(input_noise=[0.3]),
    "input noise 1": plain(input_noise=[1.0]),
    "guided, input noise .3": guided(callbacks={"input_noise": [0.3]}),
    "ramp to .5": guided(**RAMP | {"mask_fraction": 0.5}),
    "decay x .3, guided": guided(decay=0.3),
    "decay x 3": plain(decay=3.0),
    "decay, guided, lambda .3": guided(decay=1.0, consistency_weight=0.3),
    "decay, guided, lambda 3": guided(decay=1.0, consistency_weight=3.0),
    "decay, guided, k .7": guided(decay=1.0, mask_fraction=0.7),
    "decay, order random, k .3": guided(decay=1.0, mask_order="random", mask_fraction=0.3),
    "decay x .3, order random": guided(decay=0.3, mask_order="random"),
    "decay, one-sided": guided(decay=1.0, consistency="one_sided"),
    "decay, bounded divergence": guided(decay=1.0, consistency="bounded"),
    "decay, ranked by path gradient": guided(decay=1.0, callbacks={"path_ranking": []}),
    "decay, groups time_then_feature": guided(decay=1.0, feature_groups="time_then_feature"),
    "decay, input noise .3": plain(decay=1.0, input_noise=[0.3]),
    "decay, guided, input noise .3": guided(decay=1.0, callbacks={"input_noise": [0.3]}),
    "decay ramped": plain(decay=1.0, decay_ramp=[0.5]),
    "decay ramped, guided": guided(decay=1.0, callbacks={"decay_ramp": [0.5]}),
    "decay on input weights": plain(decay=1.0, decay_on="input"),
    "decay x 3 on input weights": plain(decay=3.0, decay_on="input"),
    "decay on input weights, guided": guided(decay=1.0, decay_on="input"),
}


# cells


def cell(module, kind, seed, training, tuned=None):
    """Settings of a cell as plain JSON; None where they wait for the tuned decay."""
    decay = 0.0
    if training.decay:
        if tuned is None:
            return None
        decay = round(training.decay * tuned, 6)
    lr, reads_input = MODULES[module]
    params = {"optimizer": "AdamW" if decay else "Adam", "lr": lr, **training.guidance}
    if decay and training.decay_on == "input":
        params["optimizer__weight_decay"] = 0.0
        params["optimizer__param_groups"] = [[p, {"weight_decay": decay}] for p in reads_input]
    elif decay:
        params["optimizer__weight_decay"] = decay
    return {
        "version": VERSION,
        **DATA,
        "kind": kind,
        "seed": seed,
        "module": module,
        "max_epochs": MAX_EPOCHS,
        "params": params,
        "callbacks": training.callbacks,
    }


def decay_cell(module, kind, seed, decay):
    """Plain training with a decay of the grid."""
    return cell(module, kind, seed, plain(decay=decay), tuned=1.0)


def chance_cell(kind):
    """Random attributions of the test series of the first seed."""
    return {"version": VERSION, **DATA, "kind": kind, "seed": 0, "module": None}


def grid_cells(module):
    return [
        decay_cell(module, kind, seed, decay)
        for seed in TUNING_SEEDS
        for kind in TUNING_KINDS
        for decay in DECAYS
    ]


class Results:
    """Results of finished cells, asked by what was done."""

    def __init__(self, found=None):
        self.found = _study.read_results() if found is None else found

    def get(self, settings):
        return None if settings is None else self.found.get(_study.key_of(settings))

    def of(self, module, kind, seed, training):
        return self.get(cell(module, kind, seed, training, self.tuned(module)))

    def chance(self, kind):
        return self.get(chance_cell(kind))

    def many(self, module, kinds, seeds, training):
        """Results by kind, one a seed in the order of the seeds; None if one is missing."""
        found = {kind: [self.of(module, kind, s, training) for s in seeds] for kind in kinds}
        return None if any(None in results for results in found.values()) else found

    def grid(self, module):
        """Mean (test accuracy, gradient average precision) by decay; None before all are done."""
        rows = {}
        for decay in DECAYS:
            results = [
                self.get(decay_cell(module, kind, seed, decay))
                for kind in TUNING_KINDS
                for seed in TUNING_SEEDS
            ]
            if None in results:
                return None
            accuracy = statistics.mean(result["test_accuracy"] for result in results)
            rows[decay] = accuracy, mean(value(result, "saliency") for result in results)
        return rows

    def tuned(self, module):
        """The decay of best gradient average precision within .01 of the best accuracy."""
        rows = self.grid(module)
        if rows is None:
            return None
        best = max(accuracy for accuracy, _ in rows.values())
        good = {
            decay: precision
            for decay, (accuracy, precision) in rows.items()
            if accuracy >= best - 0.01 and precision is not None
        }
        return max(good, key=good.get)


# what is to be done


def confirming(name):
    """Arms that run with a candidate on the judged kinds; the control has its schedule."""
    training = CANDIDATES[name]
    control = training.with_order("random") if training.is_guided else ARMS["control"]
    return {
        "plain": ARMS["plain"],
        "decay": ARMS["decay"],
        "guided": ARMS["guided"],
        f"control of {name}": control,
        name: training,
    }


def planned(options, results):
    """Cells of a run as (label, settings or None where the decay is yet to be tuned), in order."""
    yield from ((("chance", kind), chance_cell(kind)) for kind in TUNING_KINDS + JUDGED_KINDS)
    kinds, seeds, arms = options.kinds or JUDGED_KINDS, options.seeds, options.trainings
    if any(training.decay for training in arms.values()):
        for module in options.modules:
            yield from (((module, "decay grid"), settings) for settings in grid_cells(module))
    for seed in seeds:
        for kind in kinds:
            for module in options.modules:
                for name, training in arms.items():
                    settings = cell(module, kind, seed, training, results.tuned(module))
                    yield (module, name), settings


def missing(options):
    """What is planned and not in the cache, each cell once."""
    results = Results()
    todo, seen = [], set()
    for label, settings in planned(options, results):
        key = settings and _study.key_of(settings)
        if key is None or (key not in results.found and key not in seen):
            todo.append((label, settings))
            seen.add(key)
    return todo


def expected_seconds(label, settings, results):
    """CPU seconds that a cell may take: the mean of those like it, or what was measured once."""
    if label[0] == "chance":
        return 1
    is_guided = settings is None or settings["params"]["consistency_weight"] > 0
    return results.get((label[0], is_guided), SECONDS[label[0]][is_guided])


def known_seconds():
    """Mean seconds of the cells in the cache, by module and whether guided."""
    seconds = {}
    for settings, result in _study.read_cells():
        if settings["module"] is not None:
            is_guided = settings["params"]["consistency_weight"] > 0
            seconds.setdefault((settings["module"], is_guided), []).append(result["seconds"])
    return {key: statistics.mean(times) for key, times in seconds.items()}


def print_missing(options):
    todo, known = missing(options), known_seconds()
    counts, seconds = Counter(), Counter()
    for label, settings in todo:
        counts[label] += 1
        seconds[label] += expected_seconds(label, settings, known)
    rows = [[*label, counts[label], f"{seconds[label] / 60:.1f}"] for label in counts]
    print(markdown_table(["", "", "cells missing", "CPU minutes"], rows))
    print(f"\n{len(todo)} cells, about {sum(seconds.values()) / 3600:.2f} CPU hours")


def run(options):
    """Run what is missing, the decay grid first, until nothing is."""
    # so that a run that is told to stop takes its processes with it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with (
        get_context("spawn").Pool(options.jobs, _study.single_thread) as pool,
        tqdm(unit="cell", smoothing=0.1) as bar,
    ):
        while todo := missing(options):
            bar.total = bar.n + len(todo)
            waits = any(settings is None for _, settings in todo)
            ready = [s for label, s in todo if not waits or label[1] == "decay grid"]
            done = 0
            for finished in pool.imap_unordered(_study.run_cell, ready):
                done += finished
                bar.update(finished)
            if not done:
                # other runs are at all that is left
                time.sleep(5)


# tables


def confirmed_tables(results, module):
    """Each candidate that has run on the judged kinds with the fresh seeds."""
    for name in CANDIDATES:
        arms = confirming(name)
        arguments = results, module, arms, JUDGED_KINDS, CONFIRMING_SEEDS
        if name in set(ARMS) - {"guided", "guided_decay"} or not all(
            results.many(module, JUDGED_KINDS, CONFIRMING_SEEDS, arms[wanted])
            for wanted in ("plain", name, f"control of {name}")
        ):
            continue
        yield tables.overview(*arguments)
        yield tables.details(*arguments)


def finished_seeds(results, module, kinds, seeds):
    """Seeds that plain training has run with on all kinds; all of them if that is none."""
    return [s for s in seeds if results.many(module, kinds, [s], ARMS["plain"])] or list(seeds)


def report(options):
    """Return the text of each region of the page."""
    results, modules = Results(), options.modules
    kinds, seeds = options.kinds or JUDGED_KINDS, options.report_seeds
    each = [
        (results, module, ARMS, kinds, finished_seeds(results, module, kinds, seeds))
        for module in modules
    ]
    tried = [(results, module, CANDIDATES, TUNING_KINDS, TUNING_SEEDS) for module in modules]
    regions = {
        "expectations": ["\n".join(tables.expectations(results, ARMS, seeds))],
        "decay": [tables.decay_table(results, modules, DECAYS)],
        "judged": [table(*a) for table in (tables.overview, tables.pairs) for a in each],
        "details": [tables.details(*a) for a in each],
        "candidates": [tables.candidates_table(*a) for a in tried],
        "confirmed": [text for module in modules for text in confirmed_tables(results, module)],
    }
    return {name: "\n\n".join(filter(None, parts)) for name, parts in regions.items()}


def write(regions):
    """Put each text between the markers of its name."""
    for name, text in regions.items():
        write_pages(name, text or "Not run.", [PAGE])


# command line


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread (default: 1)")
    parser.add_argument("--modules", nargs="+", choices=MODULES, default=list(FIRST_MODULES))
    parser.add_argument("--kinds", nargs="+", choices=TUNING_KINDS + JUDGED_KINDS)
    parser.add_argument("--arms", nargs="+", choices=CANDIDATES, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--quick", action="store_true", help="12 cells, under 10 minutes")
    what.add_argument(
        "--candidates", action="store_true", help="try all (or --arms) on the tuning kinds"
    )
    what.add_argument(
        "--confirm", choices=CANDIDATES, metavar="NAME", help="a candidate on the judged kinds"
    )
    parser.add_argument("--list", action="store_true", help="only show what is missing")
    parser.add_argument("--report", action="store_true", help="only print the tables so far")
    parser.add_argument("--write", action="store_true", help="write the tables to the docs")
    options = parser.parse_args(arguments)
    options.trainings = {name: CANDIDATES[name] for name in options.arms or ARMS}
    options.report_seeds = options.seeds or SEEDS
    if options.quick:
        options.kinds, options.report_seeds = ("rare_time", "rare_feature"), (0,)
        options.trainings = {name: ARMS[name] for name in ("plain", "guided", "control")}
        options.seeds = (0,)
    elif options.candidates:
        options.kinds = options.kinds or TUNING_KINDS
        options.seeds = options.seeds or TUNING_SEEDS
        options.trainings = {name: CANDIDATES[name] for name in options.arms or CANDIDATES}
        if not set(options.kinds) <= set(TUNING_KINDS):
            parser.error(f"--candidates runs on the tuning kinds only: {', '.join(TUNING_KINDS)}")
    elif options.confirm:
        options.seeds = options.seeds or CONFIRMING_SEEDS
        options.trainings = confirming(options.confirm)
    options.seeds = options.seeds or SEEDS
    if options.write and (options.quick or options.kinds or options.seeds != SEEDS):
        parser.error("--write takes all kinds and seeds: leave --quick, --kinds and --seeds out.")
    return options


def main():
    options = parse()
    if options.list:
        print_missing(options)
        return
    if not (options.report or options.write):
        # read by the processes when they import torch
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        run(options)
    regions = report(options)
    if options.write:
        write(regions)
    else:
        print("\n\n".join(f"## {name}\n\n{text}" for name, text in regions.items() if text))


if __name__ == "__main__":
    main()
