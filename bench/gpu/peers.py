"""PyTorch, eager and compiled, on the shapes of bench/gpu: `python3 bench/gpu/peers.py FILE.tsv`.

One line a case: name, eager microseconds, compiled microseconds (empty when it did not compile). Kernels alone, by
events, the L2 cache flushed before each, medians, as in bench/gpu/main.cc. Needs CUDA; uses torchaudio where it is.
"""
import statistics
import sys

import torch
import torch.nn.functional as F

out = open(sys.argv[1], "w", encoding="utf8")
device = torch.device("cuda")
torch.manual_seed(0)
flush = torch.empty(256 << 20, dtype=torch.uint8, device=device)


def median_us(call, repeats=20):
    for _ in range(3):
        call()
    times = []
    for _ in range(repeats):
        flush.zero_()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e3)
    return statistics.median(times)


def case(name, function, *arguments, compile_it=True):
    eager = compiled = None
    try:
        with torch.inference_mode():
            eager = median_us(lambda: function(*arguments))
            if compile_it:
                torch._dynamo.reset()
                fast = torch.compile(function)
                compiled = median_us(lambda: fast(*arguments))
    except Exception as error:  # a peer that does not work is a missing ratio, not a failed bench
        print(f"peers: {name}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
    if eager is None:
        return
    print(f"{name}\t{eager:.3f}\t{'' if compiled is None else f'{compiled:.3f}'}", file=out, flush=True)


def rand(*shape, dtype=torch.float32):
    return (torch.rand(*shape, device=device) * 2 - 1).to(dtype)


def precisions():
    """(suffix, dtype) for each precision path; sets what float32 products mean."""
    torch.backends.cuda.matmul.allow_tf32 = False
    yield "fp32", torch.float32
    torch.backends.cuda.matmul.allow_tf32 = True
    yield "tf32", torch.float32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield "bf16", torch.bfloat16


def with_one(h):
    return torch.cat([h, torch.ones_like(h[:, :1])], dim=1)


def tensor_fusion(h1, h2, h3, weight, bias):
    z = torch.einsum("bi,bj,bk->bijk", with_one(h1), with_one(h2), with_one(h3))
    return F.linear(z.flatten(1), weight, bias)


for sizes, row_counts in (((32, 32, 32), (1, 8, 32, 256, 4096)), ((128, 32, 32), (1, 32, 256, 4096))):
    k = 1
    for d in sizes:
        k *= d + 1
    for rows in row_counts:
        for suffix, dtype in precisions():
            h = [rand(rows, d, dtype=dtype) for d in sizes]
            name = f"tensor_fusion {' '.join(map(str, sizes))} -> 128, {rows} rows {suffix}"
            case(name, tensor_fusion, *h, rand(128, k, dtype=dtype), rand(128, dtype=dtype), compile_it=suffix == "fp32")


def low_rank(h1, h2, h3, f1, f2, f3):
    product = 1
    for h, f in ((h1, f1), (h2, f2), (h3, f3)):
        product = product * torch.matmul(with_one(h).unsqueeze(0), f)
    return product.sum(0)


for rows in (1, 4096):
    for suffix, dtype in precisions():
        h = [rand(rows, d, dtype=dtype) for d in (128, 64, 32)]
        factors = [rand(8, d + 1, 128, dtype=dtype) for d in (128, 64, 32)]
        case(f"low_rank_fusion 128 64 32 -> 128 rank 8, {rows} rows {suffix}", low_rank, *h, *factors, compile_it=suffix == "fp32")

for rows in (1, 256, 8192):
    for suffix, dtype in precisions():
        x, w, b = rand(rows, 4096, dtype=dtype), rand(4096, 4096, dtype=dtype), rand(4096, dtype=dtype)
        case(f"linear gelu 4096 -> 4096, {rows} rows {suffix}", lambda x, w, b: F.gelu(F.linear(x, w, b)), x, w, b, compile_it=suffix == "fp32")


class Head(torch.nn.Module):
    SHAPES = ((130, 144), (512, 96), (40, 96), (1792, 72), (512, 72))

    def __init__(self):
        super().__init__()
        self.projections = torch.nn.ModuleList(torch.nn.Linear(i, o) for i, o in self.SHAPES)
        self.first, self.second = torch.nn.Linear(480, 288), torch.nn.Linear(288, 144)
        self.heads = torch.nn.ModuleList(torch.nn.Linear(144, 1) for _ in range(3))
        for i, (n, _) in enumerate(self.SHAPES):
            self.register_buffer(f"mean{i}", torch.randn(n))
            self.register_buffer(f"scale{i}", torch.rand(n))

    def forward(self, *inputs):
        h = []
        for i, x in enumerate(inputs):
            x = (x - getattr(self, f"mean{i}")) * getattr(self, f"scale{i}")
            h.append(F.silu(self.projections[i](x)))
        f = F.silu(self.second(F.silu(self.first(torch.cat(h, 1)))))
        return torch.cat([head(f) for head in self.heads], 1)


for rows in (1, 16, 256, 4096):
    for suffix, dtype in precisions():
        head = Head().to(device, dtype)
        inputs = [rand(rows, n, dtype=dtype) for n, _ in Head.SHAPES]
        case(f"full head (concat, 5 modalities), {rows} rows {suffix}", head, *inputs, compile_it=suffix == "fp32")

x = rand(65536, 1024)
case("gelu (65536, 1024)", F.gelu, x)
case("softmax (65536, 1024)", lambda x: F.softmax(x, 1), x)
gain, bias = rand(1024), rand(1024)
case("layer_norm (65536, 1024)", lambda x: F.layer_norm(x, (1024,), gain, bias), x)
del x


def modality(h, w, b, score):
    e = torch.tanh(F.linear(h, w, b)) @ score if score is not None else F.linear(h, w, b)
    alpha = torch.softmax(e, 1)
    return (alpha * h).sum(1) if score is None else torch.einsum("bm,bmd->bd", alpha, h), alpha


for suffix, dtype in precisions():
    h = rand(65536, 5, 256, dtype=dtype)
    w, b = rand(256, 256, dtype=dtype), rand(256, dtype=dtype)
    case(f"modality_attention feature (65536, 5, 256) {suffix}", lambda h, w, b: modality(h, w, b, None), h, w, b, compile_it=suffix == "fp32")
    w, b, s = rand(64, 256, dtype=dtype), rand(64, dtype=dtype), rand(64, dtype=dtype)
    case(f"modality_attention tanh (65536, 5, 256) {suffix}", modality, h, w, b, s, compile_it=suffix == "fp32")
    del h


def temporal(q, keys, values):
    alpha = torch.softmax(0.0625 * torch.einsum("bd,btd->bt", q, keys), 1)
    return torch.einsum("bt,btd->bd", alpha, values), alpha


for batch, steps in ((4096, 100), (1, 100), (8, 4096)):
    q, keys, values = rand(batch, 256), rand(batch, steps, 256), rand(batch, steps, 256)
    case(f"temporal_attention ({batch}, {steps}, 256)", temporal, q, keys, values)
    del keys, values


def additive(x, w, b, score):
    alpha = torch.softmax(torch.tanh(F.linear(x, w, b)) @ score, 1)
    return torch.einsum("bt,btd->bd", alpha, x), alpha


for suffix, dtype in precisions():
    x, w, b, s = rand(4096, 100, 256, dtype=dtype), rand(64, 256, dtype=dtype), rand(64, dtype=dtype), rand(64, dtype=dtype)
    case(f"additive_attention (4096, 100, 256) {suffix}", additive, x, w, b, s, compile_it=suffix == "fp32")
    del x


def spatial(x, q):
    alpha = torch.softmax(torch.einsum("bcn,c->bn", x, q), 1)
    return torch.einsum("bcn,bn->bc", x, alpha), alpha


case("spatial_attention (4096, 512, 49)", spatial, rand(4096, 512, 49), rand(512))

for suffix, dtype in precisions():
    mha = torch.nn.MultiheadAttention(512, 8, batch_first=True).to(device, dtype)
    x, context = rand(256, 64, 512, dtype=dtype), rand(256, 64, 512, dtype=dtype)
    case(f"cross_attention (256, 64, 512), 8 heads {suffix}", lambda x, c: mha(x, c, c, need_weights=False)[0], x, context, compile_it=suffix == "fp32")

try:
    import torchaudio

    for name, n_fft, hop, n_mels, clips, seconds, db in (
        ("mel log 400/160/80, 256 clips of 10 s", 400, 160, 80, 256, 10, False),
        ("mel decibel 2048/512/128, 64 clips of 30 s", 2048, 512, 128, 64, 30, True),
        ("mel log 400/160/80, 1 clips of 10 s", 400, 160, 80, 1, 10, False),
    ):
        mel = torchaudio.transforms.MelSpectrogram(16000, n_fft=n_fft, hop_length=hop, n_mels=n_mels, norm="slaney", mel_scale="slaney").to(device)
        to_db = torchaudio.transforms.AmplitudeToDB(top_db=80).to(device)
        samples = rand(clips, 16000 * seconds)
        case(name, (lambda x: to_db(mel(x))) if db else (lambda x: torch.log(mel(x).clamp(min=1e-10))), samples, compile_it=False)
except ImportError:
    print("peers: no torchaudio: no ratios for mel", file=sys.stderr)

mean = torch.tensor([0.485, 0.456, 0.406], device=device).view(1, 3, 1, 1)
std = torch.tensor([0.229, 0.224, 0.225], device=device).view(1, 3, 1, 1)


def rgb_frames(pixels):
    x = pixels.permute(0, 3, 1, 2).float() / 255
    return (F.interpolate(x, (224, 224), mode="bilinear", antialias=True) - mean) / std


def nv12_frames(luma, chroma):
    y = (luma.float() - 16) / 219
    c = F.interpolate((chroma.permute(0, 3, 1, 2).float() - 128) / 224, scale_factor=2, mode="bilinear")
    u, v = c[:, 0], c[:, 1]
    rgb = torch.stack([y + 1.5748 * v, y - 0.1873 * u - 0.4681 * v, y + 1.8556 * u], 1).clamp(0, 1)
    x = F.interpolate(rgb, (224, 398), mode="bilinear", antialias=True)[:, :, :, 87:311]
    return (x - mean) / std


case("frames rgb 512x512 -> 224 float, 512 pictures", rgb_frames, torch.randint(0, 255, (512, 512, 512, 3), dtype=torch.uint8, device=device))
case(
    "frames nv12 1920x1080 -> 224 float, 256 pictures",
    nv12_frames,
    torch.randint(0, 255, (256, 1080, 1920), dtype=torch.uint8, device=device),
    torch.randint(0, 255, (256, 540, 960, 2), dtype=torch.uint8, device=device),
)
