"""One pass of word2vec by gensim, for word_vectors.bench.ts: corpus algorithm threads."""
import json
import sys
import warnings

warnings.filterwarnings("ignore")
from gensim.models import Word2Vec  # noqa: E402

corpus, algorithm, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(corpus, encoding="utf8") as file:
    texts = [line.split() for line in file]
skip_gram = algorithm == "skip-gram"


def train():
    model = Word2Vec(
        texts,
        vector_size=100,
        window=5,
        min_count=5,
        sg=int(skip_gram),
        negative=5,
        sample=1e-3,
        alpha=0.025 if skip_gram else 0.05,
        epochs=1,
        workers=threads,
        seed=1,
    )
    return len(model.wv)


print("ready", flush=True)
for _ in sys.stdin:
    print(json.dumps(train()), flush=True)
