"""Test signals."""
import numpy as np


def sig_chirp(n, sr, f0, f1, amp=0.5):
    t = np.arange(n) / sr
    k = (f1 - f0) / max(n / sr, 1e-9)
    return (amp * np.sin(2 * np.pi * (f0 * t + 0.5 * k * t * t))).astype(np.float32)


def sig_voice(rng, n, sr):
    """Speech-like: gliding harmonics under three moving resonances, bursts, a pause, noise."""
    t = np.arange(n) / sr
    f0 = 130 + 35 * np.sin(2 * np.pi * 1.7 * t) + 6 * np.sin(2 * np.pi * 5.5 * t)
    ph = 2 * np.pi * np.cumsum(f0) / sr
    x = np.zeros(n)
    form = [(500 + 250 * np.sin(2 * np.pi * 0.9 * t), 90), (1500 + 500 * np.cos(2 * np.pi * 1.3 * t), 140),
            (2600 + 200 * np.sin(2 * np.pi * 0.5 * t), 220)]
    for h in range(1, 40):
        f = h * f0
        g = sum(1 / (1 + ((f - fc) / bw) ** 2) for fc, bw in form) / h ** 0.3
        x += np.where(f < sr / 2, g, 0) * np.sin(h * ph)
    env = np.clip(np.sin(2 * np.pi * 2.1 * t) + 0.4, 0, None)
    x = x / (np.abs(x).max() + 1e-12) * env
    x += 0.05 * rng.standard_normal(n) * (np.sin(2 * np.pi * 3.3 * t) > 0.7)
    x += 1e-4 * rng.standard_normal(n)
    return (0.6 * x).astype(np.float32)
