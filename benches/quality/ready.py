"""The models that come with partwise, beside noisereduce and a spectral gate: SI-SDR gain of speech beside something else at 0 dB.

    python ready.py PARTWISE DATA noise|piano SPEAKER...

DATA has the folders speech/16k/SPEAKER/test, noise/test and music/piano/test. Each speaker gets each noise or piece, ten seconds
at most. Name speakers that the models were not learned from. Needs requirements.txt and noisereduce.
"""
import pathlib
import subprocess
import sys
import tempfile

import noisereduce
import numpy as np
import soundfile

RATE = 16000
SECONDS = 10

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "peers"))
from denoising import gate, read, si_sdr  # noqa: E402


FOLDERS = {"noise": "noise/test", "piano": "music/piano/test"}


def mixtures(data, other, speakers):
    """Pairs of speech and what is beside it, of equal power, by name."""
    for speaker in speakers:
        clips = [read(path) for path in sorted((data / "speech/16k" / speaker / "test").glob("*.wav"))]
        speech = np.concatenate(clips)[: SECONDS * RATE]
        for path in sorted((data / FOLDERS[other]).glob("*.wav")):
            noise = read(path)
            count = min(len(speech), len(noise))
            clean, noise = speech[:count], noise[:count]
            noise = noise * np.sqrt((clean @ clean) / (noise @ noise))
            scale = 0.9 / np.abs(clean + noise).max()
            yield f"{speaker}_{path.stem}", scale * clean, scale * noise


def separated(program, folder, names, options):
    """What partwise says is speech, by the name of the mixture."""
    out = folder / "out"
    command = [program, "separate", folder / "in", *options, "-o", out, "--only", "speech", "--format", "wav-f32", "-q"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    estimates = {name: soundfile.read(out / f"{name}.speech.wav")[0] for name in names}
    for path in out.iterdir():
        path.unlink()
    return estimates


def main(program, data, other, *speakers):
    pairs = {name: (clean, noise) for name, clean, noise in mixtures(pathlib.Path(data), other, speakers)}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "in").mkdir()
        for name, (clean, noise) in pairs.items():
            soundfile.write(folder / "in" / f"{name}.wav", clean + noise, RATE, subtype="FLOAT")
        rest = ["--model", "speech", "--rest", "10"]
        estimates = {
            f"speech+{other}": separated(program, folder, pairs, ["--model", f"speech+{other}"]),
            "speech --rest 10": separated(program, folder, pairs, rest),
            "noisereduce": {n: noisereduce.reduce_noise(sum(pair), RATE) for n, pair in pairs.items()},
            "spectral gate": {n: gate(sum(pair)) for n, pair in pairs.items()},
        }
    print("| | " + " | ".join(estimates) + " |\n|" + "---|" * (len(estimates) + 1))
    gains = {
        name: [si_sdr(clean, of[name]) - si_sdr(clean, clean + noise) for of in estimates.values()]
        for name, (clean, noise) in pairs.items()
    }
    for noise in sorted({p.stem for p in (pathlib.Path(data) / FOLDERS[other]).glob("*.wav")}):
        rows = [gain for name, gain in gains.items() if name.endswith(noise)]
        print(f"| {noise} | " + " | ".join(f"{g:.1f}" for g in np.mean(rows, axis=0)) + " |")
    print("| mean | " + " | ".join(f"**{g:.2f}**" for g in np.mean(list(gains.values()), axis=0)) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])
