"""What the Python package costs.

wheel           its size in MB (10^6 bytes); at most 15.
import          seconds of `import partwise` in a new process, less those of a process that imports nothing: the least of --rounds;
                at most 0.2.
ms/iteration    of `partwise factorize` and of `partwise.NMF`, from the same V, W and H in f32 with the same threads. The time of
                1 + m iterations less that of 1, over m; the median of --rounds, in each of which all take their turn, and the
                minimum. At most 1.05 of the command's.
a call          the time of `fit_transform` beside its iterations: that of 1 iteration less the above. It checks the data, packs
                them for the engine, and reads the factors. Arrays in C order (samples one after the other), in Fortran order,
                and of f64. The command's is without reading and writing files.

The exit status is 1 where a limit is not kept.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

from data import Problem, recordings  # noqa: E402
from machine import processor  # noqa: E402
from programs import Partwise, PartwiseNmf  # noqa: E402

COMMAND, PACKAGE = "partwise alternating", "partwise.NMF mu"
LAYOUTS = {"C": np.ascontiguousarray, "F": np.asfortranarray, "f64": lambda x: np.ascontiguousarray(x, np.float64)}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partwise", metavar="PATH", required=True)
    parser.add_argument("--wheel", metavar="PATH", required=True)
    parser.add_argument("--shape", metavar="FxNxK", default="257x1000x64")
    parser.add_argument("--divergence", choices=["kl", "eu", "is"], default="kl")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--iterations", type=int, default=200, help="m (200)")
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


def seconds_of(code):
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def main():
    args = arguments()
    print(f"{processor()}, {args.threads} threads, load {os.getloadavg()[0]:.1f}")
    size = Path(args.wheel).stat().st_size / 1e6
    imports = min(seconds_of("import partwise") for _ in range(args.rounds)) - min(seconds_of("") for _ in range(args.rounds))
    print(f"wheel {size:.1f} MB, import {imports:.3f} s")

    problem = Problem.of(recordings(None), tuple(int(part) for part in args.shape.split("x")), args.divergence)
    programs = {COMMAND: Partwise(args.partwise, "alternating", "cpu", args.threads)}
    programs |= {f"{PACKAGE}, {name}": PartwiseNmf("mu", "cpu", args.threads, of) for name, of in LAYOUTS.items()}
    few, many = ({name: [] for name in programs} for _ in range(2))
    for turn in range(args.rounds + 1):
        for name, program in programs.items():
            short, long = (program.run(problem, count).seconds for count in (1, 1 + args.iterations))
            if turn:
                few[name].append(short)
                many[name].append(long)
    rows = {}
    for name in programs:
        each = [(long - short) / args.iterations for short, long in zip(few[name], many[name])]
        least = (min(many[name]) - min(few[name])) / args.iterations
        rows[name] = statistics.median(each), least, min(few[name]) - least
    print(f"{'':<24}{'ms/iteration':>14}{'minimum':>10}{'of command':>12}{'a call, ms':>12}")
    for name, (median, least, call) in rows.items():
        ratio = least / rows[COMMAND][1]
        print(f"{name:<24}{1e3 * median:>14.3f}{1e3 * least:>10.3f}{ratio:>12.3f}{1e3 * call:>12.2f}")
    ratio = rows[f"{PACKAGE}, C"][1] / rows[COMMAND][1]
    kept = size <= 15 and imports <= 0.2 and ratio <= 1.05
    print("All limits are kept." if kept else "A limit is not kept.")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
