"""`partwise denoise` beside a spectral gate in scipy and noisereduce: SI-SDR gain on recordings with added noise.

    python denoising.py PARTWISE CLEAN NOISE [SNR]

CLEAN: a folder of clean recordings. NOISE: a folder of recordings of noise. Each recording gets each noise at SNR dB (0):
musical noise, clicks and crackle that are made here, hum with its harmonics, and every recording of NOISE. Needs
requirements.txt and noisereduce.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import soundfile
from scipy.signal import istft, resample_poly, stft

RATE = 16000
SECONDS = 10


def read(path):
    samples, rate = soundfile.read(path, always_2d=True)
    return resample_poly(samples[: SECONDS * rate, 0], RATE, rate)


def impulses(count, rng, per_second):
    """Impulses at random places: a decay of 1 ms and a log-normal size each."""
    hits = np.where(rng.random(count) < per_second / RATE, np.exp(rng.standard_normal(count)), 0)
    hits *= rng.choice([-1, 1], count)
    return np.convolve(hits, np.exp(-np.arange(80) / 16) * np.cos(np.arange(80)))[:count]


def musical(count, rng, window=2048):
    """Cells of a spectrogram with log-normal powers of scale 4 and random phases."""
    options = {"window": "hamming", "nperseg": window, "noverlap": window // 4 * 3}
    shape = stft(np.zeros(count), **options)[2].shape
    cells = np.exp(2 * rng.standard_normal(shape)) * np.exp(2j * np.pi * rng.random(shape))
    return np.resize(istft(cells, **options)[1], count)


def hum(count, rng):
    time = np.arange(count) / RATE
    return sum(np.sin(2 * np.pi * 50 * k * time + 6 * rng.random()) / k for k in range(1, 12))


def noises(folder):
    made = {
        "musical noise": musical,
        "clicks, 5 a second": lambda n, rng: impulses(n, rng, 5),
        "crackle, 100 a second": lambda n, rng: impulses(n, rng, 100),
        "hum": hum,
    }
    for path in sorted(pathlib.Path(folder).glob("*.wav")):
        noise = read(path)
        made[path.stem] = lambda n, rng, noise=noise: np.resize(noise, n)
    return made


def si_sdr(reference, estimate):
    part = (estimate @ reference) / (reference @ reference) * reference
    return 10 * np.log10((part @ part) / ((estimate - part) @ (estimate - part)))


def gate(noisy):
    """A spectral gate: bins below three times the median of their row over time are lowered by 20 dB."""
    _, _, spectra = stft(noisy, RATE, "hann", 1024, 768)
    size = np.abs(spectra)
    mask = np.where(size > 3 * np.median(size, axis=1, keepdims=True), 1.0, 0.1)
    return istft(mask * spectra, RATE, "hann", 1024, 768)[1][: len(noisy)]


def main(program, clean, noise, snr="0"):
    import noisereduce  # here, as benches/quality has no need of it

    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        cases = []
        for name, of in noises(noise).items():
            for path in sorted(pathlib.Path(clean).iterdir()):
                if path.suffix not in (".wav", ".flac"):
                    continue
                x = read(path)
                n = of(len(x), rng)
                n = n * np.sqrt((x @ x) / max(n @ n, 1e-30)) * 10 ** (-float(snr) / 20)
                scale = 0.5 / np.abs(x + n).max()
                file = folder / f"{len(cases)}.wav"
                soundfile.write(file, (x + n) * scale, RATE, subtype="FLOAT")
                cases.append((name, file, x * scale, (x + n) * scale))
        files = [str(case[1]) for case in cases]
        ways = {}
        for label, options in (("denoise", []), ("denoise, is", ["--divergence", "is"])):
            out = folder / label.replace(", ", "-")
            subprocess.run([program, "denoise", *files, "-o", out, "-q", *options], check=True, stdout=subprocess.DEVNULL)
            ways[label] = lambda case, out=out: soundfile.read(out / f"{case[1].stem}.denoised.wav")[0]
        ways["spectral gate"] = lambda case: gate(case[3])
        ways["noisereduce, stationary"] = lambda case: noisereduce.reduce_noise(y=case[3], sr=RATE, stationary=True)
        ways["noisereduce"] = lambda case: noisereduce.reduce_noise(y=case[3], sr=RATE)
        print("| noise |", " | ".join(ways), "|\n|---|", "---|" * len(ways), sep="")
        for name in dict.fromkeys(case[0] for case in cases):
            gains = []
            for way in ways.values():
                own = [si_sdr(c[2], way(c)) - si_sdr(c[2], c[3]) for c in cases if c[0] == name]
                gains.append(np.mean(own))
            print(f"| {name} |", " | ".join(f"{gain:+.1f}" for gain in gains), "|", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
