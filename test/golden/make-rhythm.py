"""Golden onset strength, onsets and tempo: librosa 0.11.0 on a sound made by a formula. Run: python make-rhythm.py > rhythm.json"""
import json

import librosa
import numpy as np

RATE = 22050
SECONDS = 8
BEAT = 0.48  # seconds: 125 beats a minute


def sound():
    n = RATE * SECONDS
    t = np.arange(n) / RATE
    x = 0.02 * np.sin(2 * np.pi * 110 * t)
    # A noise floor of whole numbers, the same in every language.
    state = 12345
    noise = np.empty(n)
    for i in range(n):
        state = (1103515245 * state + 12345) % 2**31
        noise[i] = state / 2**31 - 0.5
    x += 0.004 * noise
    beat = 0
    while beat * BEAT < SECONDS - 0.4:
        since = t - (0.2 + beat * BEAT)
        pitch = 330 * (1 + beat % 4)
        x += np.where(since >= 0, 0.4 * np.exp(-18 * np.maximum(since, 0)) * np.sin(2 * np.pi * pitch * since), 0)
        beat += 1
    return x.astype(np.float32)


y = sound()
strength = librosa.onset.onset_strength(y=y, sr=RATE)
onsets = librosa.onset.onset_detect(onset_envelope=strength, sr=RATE, units="frames")
tempo = librosa.feature.tempo(onset_envelope=strength, sr=RATE)
print(
    json.dumps(
        {
            "librosa": librosa.__version__,
            "strength": [round(float(v), 5) for v in strength],
            "onsets": [int(v) for v in onsets],
            "tempo": round(float(tempo[0]), 6),
        }
    )
)
