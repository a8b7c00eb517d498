"""Resampling: the windowed sinc, band-limited truth, libsoxr where it is installed."""
import ctypes
import ctypes.util
import math

import numpy as np

from .pack import Pack, tol


def resample_sinc_hann(x, sr_in, sr_out, width_zeros=6, rolloff=0.99):
    """Windowed-sinc polyphase resampling (Hann window), torchaudio's default algorithm, float64."""
    x = np.asarray(x, np.float64)
    g = math.gcd(sr_in, sr_out)
    o, n = sr_in // g, sr_out // g
    base = min(o, n) * rolloff
    width = math.ceil(width_zeros * o / base)
    t = (-np.arange(n)[:, None] / n + np.arange(-width, width + o)[None, :] / o) * base
    t = np.clip(t, -width_zeros, width_zeros)
    k = np.sinc(t) * np.cos(np.pi * t / width_zeros / 2) ** 2 * (base / o)
    xp = np.concatenate([np.zeros(width), x, np.zeros(width + o)])
    blocks = len(x) // o + 1
    seg = xp[np.arange(k.shape[1])[None, :] + o * np.arange(blocks)[:, None]]
    y = (seg @ k.T).reshape(-1)
    return y[:math.ceil(n * len(x) / o)]


def soxr_hq(x, sr_in, sr_out):
    """libsoxr oneshot, recipe HQ, float64; None without the library."""
    path = ctypes.util.find_library('soxr')
    if not path:
        return None
    lib = ctypes.CDLL(path)

    class Q(ctypes.Structure):
        _fields_ = [('precision', ctypes.c_double), ('phase_response', ctypes.c_double),
                    ('passband_end', ctypes.c_double), ('stopband_begin', ctypes.c_double),
                    ('e', ctypes.c_void_p), ('flags', ctypes.c_ulong)]

    class IO(ctypes.Structure):
        _fields_ = [('itype', ctypes.c_int), ('otype', ctypes.c_int), ('scale', ctypes.c_double),
                    ('e', ctypes.c_void_p), ('flags', ctypes.c_ulong)]

    lib.soxr_quality_spec.restype = Q
    lib.soxr_quality_spec.argtypes = [ctypes.c_ulong, ctypes.c_ulong]
    lib.soxr_io_spec.restype = IO
    lib.soxr_io_spec.argtypes = [ctypes.c_int, ctypes.c_int]
    lib.soxr_oneshot.restype = ctypes.c_char_p
    q, io = lib.soxr_quality_spec(4, 0), lib.soxr_io_spec(1, 1)       # HQ, float64 in and out
    x = np.ascontiguousarray(x, np.float64)
    n_out = math.ceil(len(x) * sr_out / sr_in)
    y = np.zeros(n_out + 64)
    done = ctypes.c_size_t()
    err = lib.soxr_oneshot(ctypes.c_double(sr_in), ctypes.c_double(sr_out), ctypes.c_uint(1),
                           x.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(x)), None,
                           y.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(y)), ctypes.byref(done),
                           ctypes.byref(io), ctypes.byref(q), None)
    if err:
        raise RuntimeError(err.decode())
    return y[:min(done.value, n_out)]


def gen_resample(ctx):
    p = Pack(ctx, 'resample', 'windowed-sinc resampling, analytic truth of band-limited tones, soxr HQ for comparison')
    rng = p.rng
    t_exact = {'nmax': 1e-5}
    for sr_in, sr_out, n in ((44100, 22050, p.dim(8820)), (48000, 16000, p.dim(9601) | 1), (44100, 16000, p.dim(6000)),
                             (22050, 16000, p.dim(4410)), (16000, 22050, p.dim(3333)), (16000, 48000, p.dim(1600)),
                             (8000, 16000, p.dim(1001) | 1), (44100, 22050, 7), (48000, 16000, 1)):
        nyq = min(sr_in, sr_out) / 2
        t_in, t_out = np.arange(n) / sr_in, np.arange(math.ceil(n * sr_out / sr_in)) / sr_out
        # tones under 80 % of the lower Nyquist frequency under one smooth envelope: resampling has a known answer
        fs = rng.uniform(0.02, 0.8, 5) * nyq
        ph, am = rng.uniform(0, 6.28, 5), rng.uniform(0.1, 0.25, 5)
        dur = n / sr_in
        env = lambda t: np.sin(np.pi * np.clip(t / dur, 0, 1)) ** 2
        tone = lambda t: env(t) * sum(a * np.sin(2 * np.pi * f * t + q) for a, f, q in zip(am, fs, ph))
        x = tone(t_in).astype(np.float32)
        # outside the pass band: a tone that must vanish (only when going down)
        stop = (0.5 * env(t_in) * np.sin(2 * np.pi * (nyq + 0.5 * (sr_in / 2 - nyq)) * t_in)).astype(np.float32)
        noise = (0.3 * rng.standard_normal(n)).astype(np.float32)
        t = {'tones': x, 'tones_analytic': tone(t_out), 'noise': noise,
             'tones_sinc': resample_sinc_hann(x, sr_in, sr_out), 'noise_sinc': resample_sinc_hann(noise, sr_in, sr_out)}
        tl = tol(tones_sinc=t_exact, noise_sinc=t_exact)
        if sr_out < sr_in:
            t['stop'] = stop
            t['stop_sinc'] = resample_sinc_hann(stop, sr_in, sr_out)
            tl['stop_sinc'] = {'atol': 2e-6}
        vals = {}
        if n > 100:
            cut = slice(int(0.1 * len(t_out)), int(0.9 * len(t_out)))
            snr = lambda y: float(10 * np.log10(np.sum(t['tones_analytic'][cut] ** 2) /
                                                np.sum((np.asarray(y)[cut] - t['tones_analytic'][cut]) ** 2)))
            vals['snr_db_sinc_vs_analytic'] = round(snr(t['tones_sinc']), 1)
            if ctx.soxr:
                s = soxr_hq(x, sr_in, sr_out)
                if s is not None:                        # its length is round(), so it may be one short: compare the common part
                    t['tones_soxr_hq'] = s
                    t['noise_soxr_hq'] = soxr_hq(noise, sr_in, sr_out)
                    vals['snr_db_soxr_vs_analytic'] = round(snr(np.concatenate([s, np.zeros(len(t_out))])[:len(t_out)]), 1)
            if sr_out < sr_in:
                vals['stop_rms_db_sinc'] = round(float(20 * np.log10(np.sqrt(np.mean(t['stop_sinc'][cut] ** 2)) /
                                                                    np.sqrt(np.mean(stop.astype(np.float64) ** 2)) + 1e-30)), 1)
        p.case(f'{sr_in}_to_{sr_out}_n{n}', {'sr_in': sr_in, 'sr_out': sr_out, 'lowpass_filter_width': 6, 'rolloff': 0.99,
                                              'window': 'hann', 'out_len': 'ceil(n*sr_out/sr_in)', 'tone_hz': [float(f) for f in fs]},
               t, tl, values=vals)
    p.save()
