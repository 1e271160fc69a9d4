"""partwise beside torchnmf, scikit-learn (solver mu) and plain numpy: the same factorizations V ≈ W H in one run.

Per shape F x N x K and divergence, all from the same V, W and H in f32, with the same number of threads:

agreement       Σ d(v|wh) after --iterations of each program, by one function in f64 from its factors. It must be within 1e-3
                of plain updates in numpy with the same exponent γ. Under IS partwise updates with γ = 1 and the peers with
                γ = 1/2, so numpy runs both. Joint and extrapolated updates are other algorithms: their objective is only shown.
ms/iteration    One iteration updates H and W. The time of 10 + m iterations less that of 10, over m, so that set-up does not
                count; m is such that the difference lasts about --seconds. The median of --rounds, in each of which every
                program takes its turn, so that all meet the same machine; and the minimum, from the shortest run of
                either length. Peers are as installed.
time to quality 200 iterations of torchnmf take 200 times its median. The first iteration at which partwise's own trace is no
                higher than the objective torchnmf then has, times partwise's median, is set against that.
nmf2d           Patterns that move, V 175 x 63, 2 patterns of 7 columns at 12 pitches: ms/iteration and start of partwise, from the
                same start as torchnmf and from eight random ones side by side (whose best objective is another), and of torchnmf.
                From the same start both must have the same objective after 200 iterations, within 1e-3.
fixed bases     W as partwise learned it, H from the start: 100 plain passes over H, and the extrapolated ones that reach as low.

With --engine gpu partwise and torchnmf run on the GPU (CUDA, synchronized); numpy and scikit-learn stay on the CPU.
The exit status is 1 where a program does not agree or partwise fails; a peer that fails or is missing is only reported.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import threadpoolctl

from data import BETA, Moving, Problem, recordings
from machine import processor
from programs import Numpy, Partwise, PartwiseNmf, PartwiseStarts, ScikitLearn, TorchNmf, TorchNmf2d, majorizing

SHAPES = [(257, 1000, 64), (513, 4000, 30), (1025, 5168, 88), (257, 20000, 128)]
PLAIN, JOINT, EXTRAPOLATED = UPDATES = [f"partwise {updates}" for updates in ("alternating", "joint", "extrapolated")]
TOLERANCE = 1e-3
METHODS = ["nmf", "nmf2d"]


def shape(text):
    bins, frames, rank = (int(part) for part in text.split("x"))
    return bins, frames, rank


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partwise", metavar="PATH", required=True, help="its binary; `run` builds it where this is missing")
    parser.add_argument("--method", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--shape", metavar="FxNxK", type=shape, nargs="+", default=SHAPES)
    parser.add_argument("--divergence", nargs="+", choices=BETA, default=["is", "kl"], help="of nmf; nmf2d has kl and eu")
    parser.add_argument("--engine", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--iterations", type=int, default=50, help="of the check of agreement (50)")
    parser.add_argument("--rounds", type=int, default=5, help="of timing (5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="that one difference should take (0.5)")
    parser.add_argument("--fixed-bases", action="store_true", help="also separation: W fixed")
    parser.add_argument("--audio", metavar="FILE", nargs="+", help="recordings; by default those of examples/audio")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    return parser.parse_args()


def line(name, *cells):
    print(f"  {name:<24}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


def attempt(name, action, failures):
    """The action's result; or None, and a line, where it fails: one program must not hide the others."""
    try:
        return action()
    except Exception as error:  # whatever a peer raises
        failures.append({"program": name, "error": str(error)})
        line(name, "failed: " + str(error).partition("\n")[0])
        return None


def per_iteration(programs, problem, args, **options):
    """Median and minimum of the seconds an iteration takes, by program's name."""
    more, few, many = {}, {}, {}
    for turn in range(args.rounds + 1):
        for program in programs:
            name = program.name
            time.sleep(0.1)  # threads of the program before spin for a while
            counts = (10, 10 + more.get(name, 20))
            short, long = (program.run(problem, count, **options).seconds for count in counts)
            if turn == 0:  # finds how many make a measurement: tens, as torchnmf looks at the objective every ten
                more[name] = 10 * min(500, max(1, round(2 * args.seconds / max(long - short, 1e-6))))
                few[name], many[name] = [], []
            else:
                few[name].append(short)
                many[name].append(long)
    return {
        name: {
            "median": statistics.median(long - short for short, long in zip(few[name], many[name])) / more[name],
            "minimum": (min(many[name]) - min(few[name])) / more[name],
        }
        for name in more
    }


def side_by_side(programs, problem, args, failures):
    """A row of figures for each program that works, and their fits."""
    fits = {p.name: fit for p in programs if (fit := attempt(p.name, lambda: p.run(problem, args.iterations), failures))}
    programs = [program for program in programs if program.name in fits]
    objectives = {name: problem.objective(fit.w, fit.h) for name, fit in fits.items()}
    expected = {1.0: objectives["numpy"]}
    if (gamma := majorizing(problem.beta)) not in expected:
        fit = Numpy(gamma).run(problem, args.iterations)
        expected[gamma] = problem.objective(fit.w, fit.h)
    times = per_iteration(programs, problem, args)

    line("", "on", "ms/iteration", "minimum", "to partwise", "objective", "off by")
    rows = {}
    for program in programs:
        name, gamma = program.name, program.exponent(problem.beta)
        row = rows[name] = {"device": program.device, **times[name], "exponent": gamma, "objective": objectives[name]}
        if name not in (JOINT, EXTRAPOLATED, "numpy"):
            row["off_by"] = abs(objectives[name] / expected[gamma] - 1)
        ratio = f"{row['median'] / times[PLAIN]['median']:.2f}" if PLAIN in times else ""
        milliseconds = (f"{1e3 * row[key]:.3f}" for key in ("median", "minimum"))
        off = f"{row['off_by']:.1e}" if "off_by" in row else ""
        line(name, program.device, *milliseconds, ratio, f"{row['objective']:.6g}", off)
    return rows, fits


def first_as_low(program, problem, target, iterations, failures, **options):
    """The first iteration of partwise at which its trace is no higher than the target; None where none is."""
    fit = attempt(program.name, lambda: program.run(problem, iterations, trace_every=1, **options), failures)
    return next((i for i, value in enumerate(fit.trace) if value <= target), None) if fit else None


def time_to_quality(programs, problem, rows, failures, iterations=200):
    """For each way partwise updates: when it is as low as torchnmf after so many iterations, and the share of its time."""
    fit = programs["torchnmf"].run(problem, iterations)
    target, seconds = problem.objective(fit.w, fit.h), iterations * rows["torchnmf"]["median"]
    print(f"  as low as torchnmf after {iterations} iterations, {seconds:.2f} s, {target:.6g}:")
    result = {"objective": target, "seconds": seconds}
    for name in [name for name in UPDATES if name in rows]:
        reached = first_as_low(programs[name], problem, target, 2 * iterations, failures)
        if reached is None:
            line(name, "not reached")
            continue
        own = reached * rows[name]["median"]
        result[name] = {"iteration": reached, "seconds": own, "share": own / seconds}
        line(name, f"iteration {reached}", f"{own:.3f} s", f"{100 * own / seconds:.1f} %")
    return result


def fixed_bases(programs, problem, args, failures, passes=100):
    """The seconds of plain passes over H with W fixed, and of the extrapolated ones that reach as low."""
    plain, fast = programs[PLAIN], programs[EXTRAPOLATED]
    target = float(plain.run(problem, passes, fix_w=True).trace[-1])
    times = per_iteration([plain, fast], problem, args, fix_w=True)
    result = {"objective": target, PLAIN: {"passes": passes, **times[PLAIN]}}
    print(f"  fixed bases, as low as {passes} plain passes, {passes * times[PLAIN]['median']:.3f} s, {target:.6g}:")
    reached = first_as_low(fast, problem, target, passes, failures, fix_w=True)
    result[EXTRAPOLATED] = {"passes": reached, **times[EXTRAPOLATED]}
    line(EXTRAPOLATED, *([f"pass {reached}", f"{reached * times[EXTRAPOLATED]['median']:.3f} s"] if reached else ["not reached"]))
    return result


def moving(problem, args, failures, iterations=200):
    """A row of figures for each program that works: partwise from one start, and from several, and torchnmf."""
    makers = {
        PLAIN: lambda: Partwise(args.partwise, "alternating", args.engine, args.threads),
        "partwise, 8 starts": lambda: PartwiseStarts(args.partwise, args.engine, args.threads),
        "torchnmf": lambda: TorchNmf2d(args.engine, args.threads),
    }
    programs = [program for name, make in makers.items() if (program := attempt(name, make, failures))]
    fits = {p.name: fit for p in programs if (fit := attempt(p.name, lambda: p.run(problem, iterations), failures))}
    times = per_iteration([program for program in programs if program.name in fits], problem, args)
    line("", "ms/iteration", "minimum", "of torchnmf", "objective", "off by")
    objectives = {name: problem.objective(fit.w, fit.h) for name, fit in fits.items()}
    rows = {}
    for name, row in times.items():
        rows[name] = row = {**row, "objective": objectives[name]}
        if name == "torchnmf" and PLAIN in objectives:
            row["off_by"] = abs(objectives[name] / objectives[PLAIN] - 1)
        if "torchnmf" in times:
            row["times_faster"] = {key: times["torchnmf"][key] / row[key] for key in ("median", "minimum")}
        milliseconds = (f"{1e3 * row[key]:.3f}" for key in ("median", "minimum"))
        faster = f"1/{row['times_faster']['minimum']:.0f}" if "times_faster" in row else ""
        off = f"{row['off_by']:.1e}" if "off_by" in row else ""
        line(name, *milliseconds, faster, f"{row['objective']:.6g}", off)
    return rows


def disagreements(title, rows, failures):
    """What of these makes a run fail."""
    wrong = [f"{title}: {name} does not agree" for name, row in rows.items() if not row.get("off_by", 0) <= TOLERANCE]
    return wrong + [f"{title}: {failure['program']} failed" for failure in failures if "partwise" in failure["program"]]


def main():
    args = arguments()
    failures = []
    makers = {name: lambda name=name: Partwise(args.partwise, name.split()[1], args.engine, args.threads) for name in UPDATES}
    makers |= {"partwise.NMF mu": lambda: PartwiseNmf("mu", args.engine, args.threads)}
    makers |= {"torchnmf": lambda: TorchNmf(args.engine, args.threads), "scikit-learn": ScikitLearn, "numpy": Numpy}
    programs = {name: program for name, make in makers.items() if (program := attempt(name, make, failures))}
    threadpoolctl.threadpool_limits(args.threads)
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    blas = sorted({f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}" for pool in pools})
    versions = list(dict.fromkeys(program.version for program in programs.values()))
    report = {"processor": processor(), "threads": args.threads, "blas": blas, "versions": versions, "failures": failures}
    print(f"{report['processor']}, {args.threads} threads; BLAS: {', '.join(blas)}\n{'; '.join(versions)}")

    report["results"], wrong = [], [f"{failure['program']} is missing" for failure in failures if failure["program"] in UPDATES]
    samples = recordings(args.audio) if "nmf" in args.method else None
    for dimensions in args.shape if "nmf" in args.method else []:
        for divergence in args.divergence:
            title, failures = f"{' x '.join(map(str, dimensions))}, {divergence}", []
            print(f"\n{title}: {args.iterations} iterations", flush=True)
            problem = Problem.of(samples, dimensions, divergence)
            rows, fits = side_by_side(programs.values(), problem, args, failures)
            result = {"shape": dimensions, "divergence": divergence, "programs": rows, "failures": failures}
            if {"torchnmf", PLAIN} <= rows.keys():
                result["quality"] = time_to_quality(programs, problem, rows, failures)
            if args.fixed_bases and {PLAIN, EXTRAPOLATED} <= rows.keys():
                problem = Problem.of(samples, dimensions, divergence, w=fits[PLAIN].w)
                result["fixed_bases"] = fixed_bases(programs, problem, args, failures)
            report["results"].append(result)
            wrong += disagreements(title, rows, failures)
    for divergence in ["kl", "eu"] if "nmf2d" in args.method else []:
        title, failures = f"nmf2d, {divergence}", []
        print(f"\n{title}: 175 x 63, 2 patterns of 7 columns at 12 pitches, 200 iterations", flush=True)
        rows = moving(Moving.of(divergence), args, failures)
        report["results"].append({"method": "nmf2d", "divergence": divergence, "programs": rows, "failures": failures})
        wrong += disagreements(title, rows, failures)

    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n")
    print("\n" + ("\n".join(wrong) or "All that ran agree."))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
