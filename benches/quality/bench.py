"""How well partwise separates, beside scikit-learn and torchnmf as a user would write them, on the same recordings.

Tasks: the recipes of --data DIR at 0 dB, with at most 60 s of recordings of each source to learn from; drums, by a stroke of
each; a trumpet and a piano, by nothing; guitars in musical noise at -10 dB. data.py says how DIR is laid out. All programs read
the same mixture from the same file. Methods of partwise run on the recipes alone.

Figures: the gain over the mixture in dB, SI-SDR / SDR (BSS Eval v3, by mir_eval): the mean of all sources of a task, and of all
tasks of a family. Seconds: wall time, one process a step, over all mixtures, with the start of Python and its imports where a
program is in Python; the imports are also given by themselves.

The exit status is 1 where a program of partwise fails; a peer that fails is only reported.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

sys.path.append(str(Path(__file__).resolve().parents[1]))

from data import INSTRUMENTS, JOBS, MIXTURE, tasks
from peers.machine import processor
from programs import LIBRARIES, NAMES, make
from score import Judge

SLOW = ["deep"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", metavar="PATH", required=True, help="its binary; `run` builds it where this is missing")
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="a folder with mix_recipes.csv and recordings")
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=NAMES, help=", ".join(NAMES))
    parser.add_argument("--all", action="store_true", help=f"also what is slow: {', '.join(SLOW)}")
    parser.add_argument("--tasks", metavar="FAMILY", nargs="+", help="such as speech+noise, drums")
    parser.add_argument("--quick", action="store_true", help="four mixtures, a family each, and no jobs")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all single scores there")
    parser.add_argument("--check", action="store_true", help="only check the scores: of the true sources, and of the mixture")
    return parser.parse_args()


def check(judges):
    """The true sources, as a program would write them, must score more than 60 dB, and the mixture gain nothing."""
    wrong = []
    for task, judge in judges:
        folder = task.mixture.parent
        for path, samples in zip(outputs(task, folder), task.sources.values()):
            soundfile.write(path, samples, task.rate, subtype="FLOAT")
        true = judge.scores(estimates(task, folder))
        least = {key: min(values) for key, values in true.items()}
        mixture = soundfile.read(task.mixture)[0]
        gained = judge.gains([mixture] * len(task.sources))
        most = {key: max(map(abs, values)) for key, values in gained.items()}
        right = min(least.values()) > 60 and max(most.values()) < 1e-3
        wrong += [] if right else [task.name]
        shown = ", ".join(f"{key} {least[key]:.0f} dB and {most[key]:.1e} dB" for key in least)
        print(f"{'right' if right else 'WRONG'}  {task.name}: true sources at least, mixture gains at most: {shown}", flush=True)
    return wrong


def outputs(task, folder):
    """The files that a program leaves, one a source: by name, or by number where nobody named them."""
    numbered = task.kind == INSTRUMENTS
    return [folder / f"mix.{f'source{k}' if numbered else name}.wav" for k, name in enumerate(task.sources, 1)]


def estimates(task, folder):
    return [soundfile.read(path)[0] for path in outputs(task, folder)]


def timed(command, threads):
    """Seconds of a command, and of its imports where it says so."""
    limits = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL")}
    started = time.perf_counter()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env={**os.environ, **limits})
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    imports = json.loads(done.stdout)["imports"] if done.stdout.startswith('{"imports"') else 0.0
    return seconds, imports


def run(program, task, judge, folder, threads):
    """The scores and seconds of one program on one task."""
    folder.mkdir(parents=True)
    steps = {"train": program.train(task, folder), "separate": program.separate(task, folder)}
    result = {"program": program.name, "task": task.name, "family": task.family, "imports": {}, "seconds": {}}
    for step, command in steps.items():
        if command:
            result["seconds"][step], result["imports"][step] = timed(command, threads)
    gains = judge.gains(estimates(task, folder), ordered=task.kind != INSTRUMENTS)
    return {**result, "gains": dict(zip(task.sources, (dict(zip(gains, pair)) for pair in zip(*gains.values()))))}


def mean(results, key):
    """Of tasks, each the mean of its sources."""
    return np.mean([np.mean([gains[key] for gains in result["gains"].values()]) for result in results])


def cell(results, wanted):
    """SI-SDR / SDR; how many there are, where some failed."""
    if not results:
        return "–"
    few = f" ({len(results)} of {wanted})" if len(results) < wanted else ""
    return f"{mean(results, 'si_sdr'):.2f} / {mean(results, 'sdr'):.2f}{few}"


def table(names, every, results, jobs):
    """Rows of programs in Markdown: families of mixtures, their mean and seconds; or the jobs, and the seconds of all of them."""
    every = [task for task in every if (task.kind in JOBS) == jobs]
    families = dict.fromkeys(task.family for task in every)
    heads = ["gain, dB", *families, *(["all steps, s"] if jobs else [f"all {len(every)}", "train, s", "separate, s"])]
    rows = [heads, ["---"] * len(heads)]
    for name in names:
        own = [result for result in results if result["program"] == name and (result["family"] in JOBS) == jobs]
        if own:
            row = [name, *(cell([r for r in own if r["family"] == f], sum(t.family == f for t in every)) for f in families)]
            seconds = [sum(result["seconds"].get(step, 0) for result in own) for step in ("train", "separate")]
            row += [f"{sum(seconds):.1f}"] if jobs else [cell(own, len(every)), *(f"{value:.1f}" for value in seconds)]
            rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) if every and len(rows) > 2 else ""


def compete(programs, judges, work, args, report):
    """Runs every program on its tasks and adds to the report, which is written after each program, as far as it is."""
    for program in programs:
        for task, judge in judges:
            if task.kind not in program.kinds:
                continue
            try:
                result = run(program, task, judge, work / program.name / task.name, args.threads)
                report["results"].append(result)
                note = f"{mean([result], 'si_sdr'):6.2f} dB, {sum(result['seconds'].values()):.1f} s"
            except Exception as error:  # whatever a program leaves, or raises
                report["failures"].append({"program": program.name, "task": task.name, "error": str(error)})
                note = f"failed: {error}"
            print(f"{program.name:<36}{task.name:<30}{note}", file=sys.stderr, flush=True)
        if args.json:
            args.json.write_text(json.dumps(report, indent=1) + "\n")


def show(report, every):
    print(f"{report['processor']}, {report['threads']} threads; {'; '.join(report['versions'])}")
    print("{mixtures:.0f} s of mixtures, {training:.0f} s to learn from, {jobs:.0f} s of jobs".format(**report["seconds"]))
    results = report["results"]
    names = list(dict.fromkeys(result["program"] for result in results))
    for jobs in (False, True):
        if text := table(names, every, results, jobs):
            print(f"\n{text}")
    print()
    for name in names:
        imports = [seconds for result in results if result["program"] == name for seconds in result["imports"].values()]
        if any(imports):
            print(f"{name}: {np.mean(imports):.2f} s of imports a process")
    for failure in report["failures"]:
        print("failed: {program} {task}: {error}".format(**failure))


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        every = tasks(args.data, work / "tasks", args.tasks, args.quick)
        judges = [(task, Judge(task)) for task in every]
        if args.check:
            wrong = check(judges)
            print(f"{len(every) - len(wrong)} of {len(every)} tasks are scored as they must be")
            sys.exit(1 if wrong else 0)
        programs, failures = [], []
        for name in args.only or [name for name in NAMES if args.all or name not in SLOW]:
            try:
                programs.append(make(name, args.program, args.threads))
            except Exception as error:  # a library that is missing must not hide the others
                failures.append({"program": name, "task": "", "error": str(error)})
        mixtures = [task for task in every if task.kind == MIXTURE]
        report = {
            "processor": processor(),
            "threads": args.threads,
            "versions": list(dict.fromkeys(program.version for program in programs)),
            "seconds": {
                "mixtures": sum(task.seconds for task in mixtures),
                "training": sum(task.training_seconds() for task in mixtures),
                "jobs": sum(task.seconds for task in every if task.kind in JOBS),
            },
            "results": [],
            "failures": failures,
        }
        compete(programs, judges, work / "runs", args, report)
    show(report, every)
    sys.exit(0 if all(failure["program"].startswith(LIBRARIES) for failure in failures) else 1)


if __name__ == "__main__":
    main()
