"""Spectrograms: librosa's defaults (power or decibels) and Whisper's input.

Parameters: sampleRate, nFft, hopLength, nMels, decibels. Input: the samples, float32."""
import numpy as np

from registry import contender

BLOCK = 128


def slaney_bank(p):
    """(nMels, 1 + nFft / 2): triangles straight in Hz, of area 1, as librosa.filters.mel; nothing of it is timed."""

    def to_mel(f):
        return np.where(f < 1000, 3 * f / 200, 15 + 27 * np.log(np.maximum(f, 1) / 1000) / np.log(6.4))

    def to_hz(m):
        return np.where(m < 15, 200 * m / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))

    top = p['sampleRate'] / 2
    edges = to_hz(np.linspace(0, to_mel(np.float64(top)), p['nMels'] + 2))
    bins = np.linspace(0, top, 1 + p['nFft'] // 2)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    bank = np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return bank.astype(np.float32)


def hann(n):
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)).astype(np.float32)


@contender('mel', 'numpy + scipy', 'numpy', 'scipy')
def mel_numpy(p, x):
    from scipy.fft import rfft

    n, hop, window, bank = p['nFft'], p['hopLength'], hann(p['nFft']), slaney_bank(p)

    def call():
        padded = np.pad(x, n // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, n)[::hop]
        mel = np.empty((len(bank), len(frames)), np.float32)
        # In blocks that stay in the cache: all at once takes four times as long for long clips.
        for t in range(0, len(frames), BLOCK):
            spectrum = rfft(frames[t : t + BLOCK] * window, axis=1, overwrite_x=True)
            power = spectrum.real**2 + spectrum.imag**2
            mel[:, t : t + BLOCK] = bank @ power.T
        if not p['decibels']:
            return mel
        mel = 10 * np.log10(np.maximum(mel, 1e-10))
        mel -= mel.max()
        return np.maximum(mel, -80, out=mel)

    return call


@contender('mel', 'torch', 'torch')
def mel_torch(p, x):
    import torch

    n, hop = p['nFft'], p['hopLength']
    window, bank, samples = map(torch.from_numpy, (hann(n), slaney_bank(p), x))

    def call():
        with torch.inference_mode():
            spectrum = torch.stft(
                samples, n, hop, window=window, center=True, pad_mode='constant', return_complex=True
            )
            mel = bank @ spectrum.abs().square_()
            if not p['decibels']:
                return mel
            mel = mel.clamp_(min=1e-10).log10_().mul_(10)
            mel -= mel.max()
            return mel.clamp_(min=-80)

    return call


@contender('mel', 'torchaudio', 'torch', 'torchaudio')
def mel_torchaudio(p, x):
    import torch
    import torchaudio

    samples = torch.from_numpy(x)
    transform = torchaudio.transforms.MelSpectrogram(
        p['sampleRate'],
        n_fft=p['nFft'],
        hop_length=p['hopLength'],
        n_mels=p['nMels'],
        norm='slaney',
        mel_scale='slaney',
        pad_mode='constant',
    )
    decibels = torchaudio.transforms.AmplitudeToDB('power', top_db=80)

    def call():
        with torch.inference_mode():
            mel = transform(samples)
            if not p['decibels']:
                return mel
            mel = decibels(mel)
            return mel - mel.max()

    return call


@contender('mel', 'librosa', 'librosa')
def mel_librosa(p, x):
    import librosa

    def call():
        mel = librosa.feature.melspectrogram(
            y=x, sr=p['sampleRate'], n_fft=p['nFft'], hop_length=p['hopLength'], n_mels=p['nMels']
        )
        return librosa.power_to_db(mel, ref=np.max) if p['decibels'] else mel

    return call


@contender('whisper', 'numpy + scipy', 'numpy', 'scipy')
def whisper_numpy(p, x):
    from scipy.fft import rfft

    n, hop, window, bank = p['nFft'], p['hopLength'], hann(p['nFft']), slaney_bank(p)

    def call():
        padded = np.pad(x, n // 2, mode='reflect')
        frames = np.lib.stride_tricks.sliding_window_view(padded, n)[::hop][:-1]
        log = np.empty((len(bank), len(frames)), np.float32)
        for t in range(0, len(frames), BLOCK):
            spectrum = rfft(frames[t : t + BLOCK] * window, axis=1, overwrite_x=True)
            power = spectrum.real**2 + spectrum.imag**2
            log[:, t : t + BLOCK] = bank @ power.T
        np.log10(np.maximum(log, 1e-10, out=log), out=log)
        np.maximum(log, log.max() - 8, out=log)
        log += 4
        log *= 0.25
        return log

    return call


@contender('whisper', 'torch', 'torch')
def whisper_torch(p, x):
    """The arithmetic of openai-whisper, written anew."""
    import torch

    n, hop = p['nFft'], p['hopLength']
    window, bank, samples = map(torch.from_numpy, (hann(n), slaney_bank(p), x))

    def call():
        with torch.inference_mode():
            spectrum = torch.stft(samples, n, hop, window=window, return_complex=True)
            log = (bank @ spectrum[:, :-1].abs().square_()).clamp_(min=1e-10).log10_()
            return torch.maximum(log, log.max() - 8).add_(4).mul_(0.25)

    return call


@contender('whisper', 'torchaudio', 'torch', 'torchaudio')
def whisper_torchaudio(p, x):
    import torch
    import torchaudio

    samples = torch.from_numpy(x)
    transform = torchaudio.transforms.MelSpectrogram(
        p['sampleRate'],
        n_fft=p['nFft'],
        hop_length=p['hopLength'],
        n_mels=p['nMels'],
        norm='slaney',
        mel_scale='slaney',
    )

    def call():
        with torch.inference_mode():
            log = transform(samples)[:, :-1].clamp(min=1e-10).log10_()
            return torch.maximum(log, log.max() - 8).add_(4).mul_(0.25)

    return call


@contender('whisper', 'librosa', 'librosa')
def whisper_librosa(p, x):
    import librosa

    def call():
        mel = librosa.feature.melspectrogram(
            y=x,
            sr=p['sampleRate'],
            n_fft=p['nFft'],
            hop_length=p['hopLength'],
            n_mels=p['nMels'],
            pad_mode='reflect',
        )[:, :-1]
        log = np.log10(np.maximum(mel, 1e-10))
        return (np.maximum(log, log.max() - 8) + 4) / 4

    return call


@contender('kaldi', 'torchaudio', 'torch', 'torchaudio')
def kaldi_torchaudio(p, x):
    import torch
    import torchaudio

    samples = torch.from_numpy(x)[None]

    def call():
        with torch.inference_mode():
            return torchaudio.compliance.kaldi.fbank(
                samples, num_mel_bins=p['nMels'], sample_frequency=p['sampleRate'], dither=0.0
            )

    return call
