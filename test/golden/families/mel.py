"""Log-mel spectrograms: librosa, Whisper, torchaudio and Kaldi conventions."""
import numpy as np

from .pack import Pack, tol
from .signals import sig_chirp, sig_voice


def hz_to_mel(f, htk):
    f = np.asarray(f, np.float64)
    if htk:
        return 2595.0 * np.log10(1.0 + f / 700.0)
    lin = f / (200.0 / 3)
    return np.where(f >= 1000.0, 15.0 + np.log(np.maximum(f, 1e-12) / 1000.0) / (np.log(6.4) / 27.0), lin)


def mel_to_hz(m, htk):
    m = np.asarray(m, np.float64)
    if htk:
        return 700.0 * (10.0 ** (m / 2595.0) - 1.0)
    return np.where(m >= 15.0, 1000.0 * np.exp((np.log(6.4) / 27.0) * (m - 15.0)), m * (200.0 / 3))


def mel_filters(sr, n_fft, n_mels, fmin, fmax, htk, norm):
    """[n_mels, n_fft//2+1] triangles with straight sides in Hz."""
    freqs = np.arange(n_fft // 2 + 1) * (sr / n_fft)
    pts = mel_to_hz(np.linspace(hz_to_mel(fmin, htk), hz_to_mel(fmax, htk), n_mels + 2), htk)
    lo, mid, hi = pts[:-2, None], pts[1:-1, None], pts[2:, None]
    w = np.maximum(0.0, np.minimum((freqs - lo) / (mid - lo), (hi - freqs) / (hi - mid)))
    if norm == 'slaney':
        w *= 2.0 / (hi - lo)
    return w


def hann_periodic(n):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)


def stft_power(x, n_fft, hop, win, center, pad_mode, power):
    """[n_fft//2+1, frames]; the window of length win sits in the middle of the n_fft frame."""
    x = np.asarray(x, np.float64)
    if center:
        x = np.pad(x, n_fft // 2, mode='constant' if pad_mode == 'zero' else 'reflect')
    frames = 1 + (len(x) - n_fft) // hop
    w = np.zeros(n_fft)
    left = (n_fft - win) // 2
    w[left:left + win] = hann_periodic(win)
    idx = np.arange(n_fft)[None, :] + hop * np.arange(frames)[:, None]
    mag = np.abs(np.fft.rfft(x[idx] * w, axis=1)).T
    return mag ** power


def mel_spectrogram(x, c):
    s = stft_power(x, c['n_fft'], c['hop'], c['win'], c['center'], c['pad'], c['power'])
    fb = mel_filters(c['sr'], c['n_fft'], c['n_mels'], c['fmin'], c['fmax'], c['mel'] == 'htk', c['norm'])
    return fb @ s


def power_to_db(s, ref='max', amin=1e-10, top_db=80.0):
    r = s.max() if ref == 'max' else float(ref)
    d = 10 * np.log10(np.maximum(amin, s)) - 10 * np.log10(max(amin, r))
    return d if top_db is None else np.maximum(d, d.max() - top_db)


def whisper_log_mel(x, c):
    m = mel_spectrogram(x, c)[:, :-1]              # the last frame is dropped
    g = np.log10(np.maximum(m, 1e-10))
    return (np.maximum(g, g.max() - 8.0) + 4.0) / 4.0


def kaldi_fbank(x, c):
    """Energies and their logs, [frames, n_mels]; snip_edges, per-frame DC removal, pre-emphasis, Povey window, no dither."""
    x = np.asarray(x, np.float64)
    sr = c['sr']
    win, hop = int(sr * c['frame_length_ms'] * 0.001), int(sr * c['frame_shift_ms'] * 0.001)
    n_fft = 1 << (win - 1).bit_length()
    frames = 0 if len(x) < win else 1 + (len(x) - win) // hop
    f = x[np.arange(win)[None, :] + hop * np.arange(frames)[:, None]]
    f = f - f.mean(axis=1, keepdims=True)
    f = f - c['preemphasis'] * np.concatenate([f[:, :1], f[:, :-1]], axis=1)
    sym = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win) / (win - 1))
    f = f * sym ** 0.85
    p = np.abs(np.fft.rfft(f, n_fft, axis=1)) ** 2
    mel = lambda v: 1127.0 * np.log(1.0 + v / 700.0)
    lo, hi = mel(c['low_freq']), mel(sr / 2 + c['high_freq'] if c['high_freq'] <= 0 else c['high_freq'])
    d = (hi - lo) / (c['n_mels'] + 1)
    m = mel(np.arange(n_fft // 2) * sr / n_fft)[None, :]      # the Nyquist bin takes no part
    left = lo + d * np.arange(c['n_mels'])[:, None]
    w = np.maximum(0.0, np.minimum((m - left) / d, (left + 2 * d - m) / d))   # straight sides in mel
    e = p[:, :n_fft // 2] @ w.T
    return e, np.log(np.maximum(e, float(np.finfo(np.float32).eps)))


def sparse_rows(w):
    """Rows as [start, count] plus their values end to end (empty rows: 0, 0)."""
    start, count, vals = [], [], []
    for r in w:
        nz = np.flatnonzero(r)
        if len(nz) == 0:
            start.append(0), count.append(0)
            continue
        a, b = nz[0], nz[-1] + 1
        start.append(a), count.append(b - a)
        vals.append(r[a:b])
    v = np.concatenate(vals) if vals else np.zeros(0)
    return {'fb_start': np.array(start, np.int32), 'fb_count': np.array(count, np.int32), 'fb_values': v}


LIBROSA = dict(sr=22050, n_fft=2048, hop=512, win=2048, center=True, pad='zero', power=2.0,
               n_mels=128, fmin=0.0, fmax=11025.0, mel='slaney', norm='slaney')
WHISPER = dict(sr=16000, n_fft=400, hop=160, win=400, center=True, pad='reflect', power=2.0,
               n_mels=80, fmin=0.0, fmax=8000.0, mel='slaney', norm='slaney')
TORCHAUDIO = dict(sr=16000, n_fft=400, hop=200, win=400, center=True, pad='reflect', power=2.0,
                  n_mels=128, fmin=0.0, fmax=8000.0, mel='htk', norm=None)
KALDI = dict(sr=16000, frame_length_ms=25.0, frame_shift_ms=10.0, preemphasis=0.97, n_mels=80,
             low_freq=20.0, high_freq=0.0, window='povey')


def gen_mel(ctx):
    p = Pack(ctx, 'mel', 'log-mel spectrograms: librosa, Whisper, torchaudio (HTK) and Kaldi conventions')
    rng = p.rng
    t_pow = tol(mel={'rtol': 1e-4, 'nmax': 1e-9}, db={'atol': 0.01})
    t_amp = tol(mel={'rtol': 1e-4, 'nmax': 5e-7})

    def sig(kind, n, sr):
        if kind == 'chirp':
            return sig_chirp(n, sr, 40.0, 0.48 * sr)
        if kind == 'noise':
            return (0.3 * rng.standard_normal(n)).astype(np.float32)
        if kind == 'silence':
            return np.zeros(n, np.float32)
        if kind == 'impulse':
            x = np.zeros(n, np.float32)
            x[n // 3] = 1.0
            return x
        if kind == 'voice':
            return sig_voice(rng, n, sr)
        if kind == 'tone':
            return (0.8 * np.sin(2 * np.pi * 440.0 * np.arange(n) / sr)).astype(np.float32)
        raise ValueError(kind)

    def fb_case(name, c):
        w = mel_filters(c['sr'], c['n_fft'], c['n_mels'], c['fmin'], c['fmax'], c['mel'] == 'htk', c['norm'])
        p.case(f'filterbank_{name}', {'kind': 'filterbank', **c}, sparse_rows(w),
               tol(fb_values={'nmax': 3e-7}))

    def power_case(name, kind, n, c, db=True):
        x = sig(kind, n, c['sr'])
        m = mel_spectrogram(x, c)
        t = {'input': x, 'mel': m}
        if db:
            t['db'] = power_to_db(m)
        p.case(name, {'kind': 'mel', 'signal': kind, **c, 'db': {'ref': 'max', 'amin': 1e-10, 'top_db': 80.0}},
               t, t_pow if c['power'] == 2.0 else t_amp)

    fb_case('librosa', LIBROSA)
    L = LIBROSA
    sr = 22050
    power_case('librosa_chirp', 'chirp', p.dim(22050), L)
    power_case('librosa_noise_odd', 'noise', p.dim(11027) | 1, L)
    power_case('librosa_silence', 'silence', p.dim(4096), L)
    power_case('librosa_impulse', 'impulse', p.dim(4100), L)
    power_case('librosa_voice', 'voice', p.dim(28665), L)
    power_case('librosa_tone', 'tone', p.dim(8192), L)
    for n in (1, 2, p.dim(100), 511, 512, 1023, 1024, 1025, 2047, 2048, 2049, p.dim(5003) | 1):
        if f'librosa_len{n}' not in {c['name'] for c in p.cases}:
            power_case(f'librosa_len{n}', 'noise', n, L)
    R = dict(L, pad='reflect')
    for kind, n in (('chirp', p.dim(13001) | 1), ('voice', p.dim(9000)), ('noise', 1025), ('noise', 2048),
                    ('impulse', p.dim(3001) | 1)):
        power_case(f'librosa_reflect_{kind}_{n}', kind, n, R)
    # shorter than half a frame: numpy-style reflection bounces more than once (torch refuses these)
    power_case(f'librosa_reflect_multi_{p.dim(700)}', 'noise', 700, R)
    power_case('librosa_center_false', 'voice', p.dim(7777), dict(L, center=False))
    power_case('librosa_win_shorter', 'voice', p.dim(9001) | 1, dict(L, win=1200))
    power_case('librosa_hop_odd_band', 'noise', p.dim(9000), dict(L, hop=p.dim(441), n_mels=p.dim(40), fmin=50.0, fmax=8000.0))
    power_case('librosa_amplitude', 'chirp', p.dim(6000), dict(L, power=1.0), db=False)
    power_case('librosa_htk_nonorm', 'chirp', p.dim(6000), dict(L, mel='htk', norm=None))
    power_case('librosa_16k_1024', 'voice', p.dim(9600), dict(L, sr=16000, n_fft=1024, win=1024, hop=256, n_mels=64, fmax=8000.0))
    power_case('librosa_44k', 'voice', p.dim(12000), dict(L, sr=44100, fmax=22050.0))
    power_case('librosa_nfft_odd_factor', 'voice', p.dim(6000), dict(L, n_fft=1500, win=1500, hop=375))
    # dB variants on one input
    x = sig('voice', p.dim(6144), sr)
    m = mel_spectrogram(x, L)
    p.case('librosa_db_variants', {'kind': 'mel', **L}, {
        'input': x, 'mel': m, 'db_ref1_top80': power_to_db(m, 1.0), 'db_ref1_notop': power_to_db(m, 1.0, top_db=None),
        'db_max_amin1e-5': power_to_db(m, 'max', 1e-5), 'db_max_top40': power_to_db(m, 'max', top_db=40.0)},
        tol(mel=t_pow['mel'], **{k: {'atol': 0.01} for k in ('db_ref1_top80', 'db_max_amin1e-5', 'db_max_top40')},
            db_ref1_notop={'atol': 0.05}))

    # ---- Whisper
    fb_case('whisper80', WHISPER)
    fb_case('whisper128', dict(WHISPER, n_mels=128))
    t_w = tol(out={'atol': 2e-4})
    for kind, n, mels in (('chirp', p.dim(16000), 80), ('noise', p.dim(8001) | 1, 80), ('silence', p.dim(3200), 80),
                          ('impulse', p.dim(4801) | 1, 80), ('voice', p.dim(20001) | 1, 80), ('voice', p.dim(12000), 128),
                          ('noise', 400, 80), ('noise', 201, 80), ('noise', 399, 80)):
        c = dict(WHISPER, n_mels=mels)
        x = sig(kind, n, 16000)
        p.case(f'whisper{mels}_{kind}_{n}', {'kind': 'whisper', 'signal': kind, **c}, {'input': x, 'out': whisper_log_mel(x, c)}, t_w)
    n = p.dim(24000)
    x = sig('voice', n, 16000)
    full = whisper_log_mel(np.concatenate([x, np.zeros(480000 - n, np.float32)]), WHISPER)
    keep = n // 160 + 4
    assert np.ptp(full[:, keep:]) == 0
    p.case('whisper80_pad30s', {'kind': 'whisper_pad30s', **WHISPER, 'pad_to': 480000, 'frames': int(full.shape[1]),
                                'rest_value': float(full[0, -1])}, {'input': x, 'out_head': full[:, :keep]},
           tol(out_head={'atol': 2e-4}))

    # ---- torchaudio defaults (HTK, no norm): n_mels=128 on n_fft=400 leaves empty filters
    fb_case('torchaudio', TORCHAUDIO)
    for kind, n in (('chirp', p.dim(8000)), ('voice', p.dim(9601) | 1), ('noise', 201), ('noise', 400), ('silence', 800)):
        power_case(f'torchaudio_{kind}_{n}', kind, n, TORCHAUDIO)
    power_case('torchaudio_1024', 'voice', p.dim(9000), dict(TORCHAUDIO, n_fft=1024, win=1024, hop=256, n_mels=64))

    # ---- Kaldi
    for kind, n, c in (('voice', p.dim(16000), KALDI), ('noise', p.dim(4001) | 1, KALDI), ('chirp', p.dim(6400), dict(KALDI, n_mels=23)),
                       ('noise', 400, KALDI), ('silence', 1000, KALDI)):
        x = np.round(sig(kind, n, 16000) * 32767).astype(np.float32)
        e, out = kaldi_fbank(x, c)
        # a chirp leaves bins 125 dB under the loudest: float32 rounding noise shows in their logs
        p.case(f'kaldi{c["n_mels"]}_{kind}_{n}', {'kind': 'kaldi', 'signal': kind, **c, 'input_scale': '16-bit integers as float'},
               {'input': x, 'energy': e, 'out': out}, tol(energy={'rtol': 1e-4, 'nmax': 1e-9}, out={'atol': 0.2 if kind == 'chirp' else 2e-3}))
    p.save()
