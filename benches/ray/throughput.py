"""The throughput of partwise.ray.separate beside that of the command.

Clips of noise with a beat, at 16 kHz in 16 bits, as in benches/batch.rs. In each round both programs separate all of them into
a new folder, the command on all cores, and Ray by a worker of one core for each. The time of Ray begins with the call and
includes the start of the workers; the cluster is there before, and its start is told by itself. The outputs must have the same
bytes.

The exit status is 1 where Ray has less than 0.85 of the command's throughput, by the medians, or other bytes.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
import ray

import partwise.ray

LEAST, RATE = 0.85, 16_000


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partwise", metavar="PATH", required=True)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=2, help="of each clip (2)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="and threads of the command (all cores)")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def record(path, seed, seconds):
    time_of = np.arange(RATE * seconds)
    beat = 0.3 + 0.2 * np.sin(time_of * (0.0007 + 0.0001 * (seed % 7)))
    samples = beat * np.random.default_rng(seed).uniform(-0.5, 0.5, len(time_of))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((32767 * samples).astype("<i2").tobytes())


def digest(folder):
    """A hash of all names and bytes but the manifest's, and the number of files."""
    files = sorted(file for file in folder.iterdir() if file.name != "manifest.jsonl")
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest(), len(files)


def by_command(args, root, out):
    command = [args.partwise, "separate", "clips", "--model", "model.safetensors", "-o", str(out)]
    started = time.perf_counter()
    subprocess.run([*command, "--engine", "cpu", "--threads", str(args.workers), "-q"], cwd=root, check=True)
    return time.perf_counter() - started


def by_ray(args, root, out):
    started = time.perf_counter()
    rows = partwise.ray.separate(
        root / "clips", root / "model.safetensors", out, concurrency=args.workers, batch_size=args.batch_size
    )
    took = time.perf_counter() - started
    if any(row["status"] != "done" for row in rows.iter_rows()):
        sys.exit("a clip failed")
    done = [json.loads(line)["input"] for line in (out / "manifest.jsonl").read_text().splitlines()]
    if len(done) != args.clips or len(set(done)) != args.clips:
        sys.exit("the manifest has not every clip once")
    return took


def main():
    args = arguments()
    started = time.perf_counter()
    # Workers as eager as the command; elsewhere they are nice by 15.
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray.init(num_cpus=args.workers, include_dashboard=False, log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    cluster = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "clips").mkdir()
        for source in range(2):
            record(root / f"source{source}.wav", source, 20)
        for clip in range(args.clips):
            record(root / f"clips/{clip:06}.wav", clip, args.seconds)
        sources = ["--source", "a=source0.wav", "--source", "b=source1.wav"]
        subprocess.run([args.partwise, "train", *sources, "-o", "model.safetensors", "-q"], cwd=root, check=True)
        times, digests = {by_command: [], by_ray: []}, set()
        for _ in range(args.rounds):
            for program, taken in times.items():
                out = root / program.__name__
                taken.append(program(args, root, out))
                digests.add(digest(out))
                shutil.rmtree(out)
    ray.shutdown()
    print(f"{args.clips} clips of {args.seconds} s, {args.workers} cores, load {os.getloadavg()[0]:.1f}")
    print(f"cluster up in {cluster:.1f} s")
    for program, taken in times.items():
        each = ", ".join(f"{seconds:.2f}" for seconds in taken)
        print(f"{program.__name__:<12}{args.clips / statistics.median(taken):8.1f} clips/s, in {each} s")
    ratio = statistics.median(times[by_command]) / statistics.median(times[by_ray])
    same = len(digests) == 1
    print(f"Ray has {ratio:.3f} of the command's throughput, and {'the same' if same else 'OTHER'} bytes.")
    sys.exit(0 if same and ratio >= LEAST else 1)


if __name__ == "__main__":
    main()
