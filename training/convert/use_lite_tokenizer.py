"""The package's own vocabulary as a Unigram tokenizer.json.

    python3 use_lite_tokenizer.py PACKAGE/dist/vocab.json OUT_FOLDER
"""
import json
import sys

FIRST_PIECE = 6  # ids 1 to 5 are control tokens that the reference tokenizer never emits


def main(source, folder):
    with open(source, encoding="utf-8") as file:
        pieces = json.load(file)
    # a few entries that contain ":" carry a null score, which the reference tokenizer counts as 0
    vocabulary = [
        [piece, (0.0 if score is None else score) if i >= FIRST_PIECE else -100.0]
        for i, (piece, score) in enumerate(pieces)
    ]
    vocabulary[0] = ["<unk>", -100.0]
    space = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "add_prefix_space": True}
    unknown = {"id": 0, "content": "<unk>", "single_word": False, "lstrip": False, "rstrip": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{**unknown, "normalized": False, "special": True}],
        "normalizer": {"type": "NFKC"},
        "pre_tokenizer": {**space, "split": False},
        "post_processor": None,
        "decoder": space,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocabulary},
    }
    with open(f"{folder}/tokenizer.json", "w", encoding="utf-8") as file:
        json.dump(tokenizer, file, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
