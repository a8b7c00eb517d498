"""A small text encoder for Chinese, trained here since none is to be had: characters, pairs and triples of neighbouring
characters (hashed inside the graph) as a bag, a convolution over the characters beside it, 64 numbers out.

    python3 training/chinese.py

Trained on the training rows of the Douban comments (stars, and which film is spoken of), chosen on the valid rows.
Writes models/default/encoders/text-zh/{model.onnx,tokenizer.json} with int8 tables and, in the
cache, its vectors of every comment.
"""
import json
import os
import unicodedata
from collections import Counter

import numpy as np
import torch
from sklearn.metrics import accuracy_score
from torch import nn
from torch.nn import functional as F

import safetensors_io
from convert.graph import FLOAT, INT64, Graph
from dataset import CACHE, DATA, ROOT

torch.set_num_threads(1)
PAD, UNKNOWN = 0, 1
BUCKETS, WIDTH, DIM, CHANNELS = 8191, 32, 64, 48  # a prime, so that the products below spread
MULTIPLIERS = (48271, 69621)
MAX_CHARACTERS = 256


def characters(text):
    """As the tokenizer does: NFKC, lower case, without blanks, one id a code point."""
    return [c for c in unicodedata.normalize("NFKC", text).lower() if not c.isspace()]


def numbered(text, ids_of):
    """Ids of the characters; neighbouring unknown ones are one, as Unigram tokenizers have it."""
    ids = [ids_of.get(c, UNKNOWN) for c in text]
    return [value for i, value in enumerate(ids) if value != UNKNOWN or i == 0 or ids[i - 1] != UNKNOWN]


def read_comments():
    with open(os.path.join(DATA, "reviews", "douban_reviews.tsv"), encoding="utf-8") as file:
        head, *lines = (line.rstrip("\n").split("\t") for line in file)
    return [dict(zip(head, line)) for line in lines]


class Encoder(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.chars = nn.Embedding(vocabulary, WIDTH, padding_idx=PAD)
        self.pairs = nn.Embedding(BUCKETS, WIDTH)
        self.triples = nn.Embedding(BUCKETS, WIDTH)
        for table in (self.chars, self.pairs, self.triples):
            nn.init.normal_(table.weight, std=0.02)
        self.convolution = nn.Conv1d(WIDTH, CHANNELS, 3, padding=1)
        self.out = nn.Linear(3 * WIDTH + CHANNELS, DIM)
        self.dropout = nn.Dropout(0.4)

    def forward(self, ids):
        told = (ids != PAD).float()
        second, third = F.pad(ids[:, 1:], (0, 1)), F.pad(ids[:, 2:], (0, 2))
        pair = (ids * MULTIPLIERS[0] + second) % BUCKETS
        triple = ((ids * MULTIPLIERS[0] + second) * MULTIPLIERS[1] + third) % BUCKETS
        # a pair or triple that runs over the end is read with padding as its last characters
        count = told.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
        bag = lambda table, index: (table(index) * told[:, :, None]).sum(dim=1) / count
        embedded = self.chars(ids) * told[:, :, None]
        waves = F.relu(self.convolution(embedded.transpose(1, 2))) * told[:, None, :]
        parts = [bag(self.chars, ids), bag(self.pairs, pair), bag(self.triples, triple), waves.amax(dim=2)]
        return torch.tanh(self.out(self.dropout(torch.cat(parts, dim=1))))


def quantise(matrix):
    """int8, one scale a row."""
    scale = np.abs(matrix).max(axis=1, keepdims=True) / 127
    scale[scale == 0] = 1
    return np.clip(np.round(matrix / scale), -127, 127).astype(np.int8), scale.astype(np.float32)


def rounded(encoder):
    """The tables as the graph will hold them, so that what is measured is what is shipped."""
    with torch.no_grad():
        for table in (encoder.chars, encoder.pairs, encoder.triples):
            values, scale = quantise(table.weight.numpy())
            table.weight.copy_(torch.from_numpy(values * scale))


def export(encoder, path):
    g = Graph()
    ints = lambda *values: g.const(np.array(values, np.int64))
    whole = lambda value: g.const(np.array(value, np.int64))
    ids = "input_ids"
    told = g.op("Cast", [g.op("Greater", [ids, whole(0)])], to=FLOAT)
    told3 = g.op("Unsqueeze", [told, ints(2)])
    after = lambda step: g.op(
        "Slice", [g.op("Pad", [ids, ints(0, 0, 0, step)]), ints(step), ints(2**31), ints(1)]
    )
    second, third = after(1), after(2)
    joined = g.op("Add", [g.op("Mul", [ids, whole(MULTIPLIERS[0])]), second])
    pair = g.op("Mod", [joined, whole(BUCKETS)])
    triple = g.op("Mod", [g.op("Add", [g.op("Mul", [joined, whole(MULTIPLIERS[1])]), third]), whole(BUCKETS)])

    def looked_up(name, table, index):
        values, scale = quantise(table.weight.detach().numpy())
        rows = g.op("Cast", [g.op("Gather", [g.const(values, name + "_int8"), index])], to=FLOAT)
        rows = g.op("Mul", [rows, g.op("Gather", [g.const(scale, name + "_scale"), index])])
        return g.op("Mul", [rows, told3])

    count = g.op("Sqrt", [g.op("Max", [g.op("ReduceSum", [told, ints(1)], keepdims=1), g.scalar(1)])])
    rows = [looked_up("chars", encoder.chars, ids), looked_up("pairs", encoder.pairs, pair)]
    rows.append(looked_up("triples", encoder.triples, triple))
    parts = [g.op("Div", [g.op("ReduceSum", [r, ints(1)], keepdims=0), count]) for r in rows]
    kernel = encoder.convolution
    waves = g.op(
        "Conv",
        [
            g.op("Transpose", [rows[0]], perm=[0, 2, 1]),
            g.const(kernel.weight.detach().numpy(), "convolution.weight"),
            g.const(kernel.bias.detach().numpy(), "convolution.bias"),
        ],
        pads=[1, 1],
    )
    waves = g.op("Mul", [g.op("Relu", [waves]), g.op("Unsqueeze", [told, ints(1)])])
    parts.append(g.op("ReduceMax", [waves], axes=[2], keepdims=0))
    hidden = g.op("MatMul", [g.op("Concat", parts, axis=1), g.const(encoder.out.weight.detach().numpy().T, "out.weight")])
    g.op("Tanh", [g.op("Add", [hidden, g.const(encoder.out.bias.detach().numpy(), "out.bias")])], name="embeddings")
    g.save(
        path,
        "characters_zh",
        [(ids, INT64, ["batch", "sequence"])],
        [("embeddings", FLOAT, ["batch", DIM])],
        opset=17,
        producer="cinefuse-training",
    )


def write_tokenizer(vocabulary, folder):
    """One Unigram piece a character, so that every tokenizer library cuts the text the same way."""
    unknown = {"id": UNKNOWN, "content": "<unk>", "single_word": False, "lstrip": False, "rstrip": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{**unknown, "normalized": False, "special": True}],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFKC"},
                {"type": "Lowercase"},
                {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": ""},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "Unigram",
            "unk_id": UNKNOWN,
            "vocab": [["<pad>", -100.0], ["<unk>", -100.0]] + [[c, -1.0] for c in vocabulary],
        },
    }
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(tokenizer, file, ensure_ascii=False, separators=(",", ":"))


def main():
    comments = read_comments()
    split = np.array([comment["split"] for comment in comments])
    stars = torch.tensor([float(comment["rating"]) for comment in comments])
    label = np.array([comment["label"] for comment in comments])
    texts = [characters(comment["text"]) for comment in comments]
    train, valid, test = (split == name for name in ("train", "valid", "test"))
    counted = Counter(c for i in np.flatnonzero(train) for c in set(texts[i]))
    vocabulary = sorted(c for c, count in counted.items() if count >= 2)
    ids_of = {c: i + 2 for i, c in enumerate(vocabulary)}
    films = Counter(comment["film"] for i, comment in enumerate(comments) if train[i])
    common = {film: i for i, (film, _) in enumerate(films.most_common(12))}
    film = torch.tensor([common.get(comment["film"], 12) for comment in comments])
    ids = [numbered(text, ids_of)[:MAX_CHARACTERS] for text in texts]

    def batch(rows):
        longest = max(3, max(len(ids[i]) for i in rows))
        return torch.tensor([ids[i] + [PAD] * (longest - len(ids[i])) for i in rows])

    def encode(encoder):
        encoder.eval()
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        out = np.zeros((len(ids), DIM), np.float32)
        with torch.no_grad():
            for start in range(0, len(order), 128):
                rows = order[start : start + 128]
                out[rows] = encoder(batch(rows)).numpy()
        return out

    decided = label != "neutral"
    polarity = torch.tensor((label == "positive").astype(np.float32))
    best = None
    for seed in range(3):
        torch.manual_seed(seed)
        random = np.random.default_rng(seed)
        encoder = Encoder(len(vocabulary) + 2)
        heads = nn.ModuleDict({"polarity": nn.Linear(DIM, 1), "stars": nn.Linear(DIM, 1), "film": nn.Linear(DIM, 13)})
        parameters = [*encoder.parameters(), *heads.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=1.0)
        rows_all, size, epochs = np.flatnonzero(train), 64, 10
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 3e-3, total_steps=epochs * -(-len(rows_all) // size), pct_start=0.2
        )
        for epoch in range(epochs):
            encoder.train()
            random.shuffle(rows_all)
            for start in range(0, len(rows_all), size):
                rows = rows_all[start : start + size].tolist()
                x = batch(rows)
                x = torch.where((torch.rand(x.shape) < 0.3) & (x != PAD), torch.full_like(x, UNKNOWN), x)
                h = encoder(x)
                sure = torch.from_numpy(decided[rows]).float()
                loss = F.binary_cross_entropy_with_logits(heads["polarity"](h)[:, 0], polarity[rows], weight=sure)
                loss = loss + F.mse_loss(heads["stars"](h)[:, 0], (stars[rows] - 3) / 1.5)
                loss = loss + 0.3 * F.cross_entropy(heads["film"](h), film[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            h = torch.from_numpy(encode(encoder))
            with torch.no_grad():
                said = (heads["polarity"](h)[:, 0] > 0).numpy()
            judged = valid & decided
            score = accuracy_score(polarity[judged], said[judged])
            print(f"seed {seed} epoch {epoch}: valid {score:.4f}", flush=True)
        if best is None or score > best[0]:
            best = (score, encoder)
    encoder = best[1]
    rounded(encoder)
    folder = os.path.join(ROOT, "models", "default", "encoders", "text-zh")
    os.makedirs(folder, exist_ok=True)
    export(encoder, os.path.join(folder, "model.onnx"))
    write_tokenizer(vocabulary, folder)
    safetensors_io.write(os.path.join(CACHE, "douban.safetensors"), {"embeddings": encode(encoder)})
    print(f"{len(vocabulary)} characters, {os.path.getsize(os.path.join(folder, 'model.onnx')) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
