"""Sends a customer's message to one of a hundred queues: hashed words and a linear model, trained out of core."""

import argparse
import gzip
import pickle
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier

import catwalk

QUEUES = 100
BATCH = 1_000


def words(count: int, rng: np.random.Generator):
    syllables = [consonant + vowel for consonant in "bdfgklmnprstv" for vowel in "aeiou"]
    return ["".join(rng.choice(syllables, rng.integers(2, 5))) for _ in range(count)]


def messages(count: int, seed: int):
    """Returns sentences of common words and words of the queue, or of its neighbour, and the queue of each."""
    language = np.random.default_rng(0)
    common, special = words(300, language), [words(12, language) for _ in range(QUEUES)]
    rng = np.random.default_rng(seed)
    queues = np.minimum(rng.geometric(0.025, count) - 1, QUEUES - 1)
    texts = []
    for queue in queues:
        topic = special[queue] + special[(queue + 1) % QUEUES][:6]
        found = [*rng.choice(common, 8), *rng.choice(topic, rng.integers(1, 5))]
        texts.append(" ".join(rng.permutation(found)))
    return texts, queues


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=2**14, help="columns that words are hashed into")
    parser.add_argument("--passes", type=int, default=5)
    args = parser.parse_args()

    problem = catwalk.Multiclass([f"queue {number}" for number in range(QUEUES)])
    with catwalk.run("tickets", problem, params=vars(args), every="7d") as run:
        texts, queues = messages(6_000, seed=1)
        test_texts, test_queues = messages(2_000, seed=2)
        vectorizer = HashingVectorizer(n_features=args.features, alternate_sign=False)
        X, X_test = vectorizer.transform(texts), vectorizer.transform(test_texts)

        model = SGDClassifier(loss="log_loss", alpha=1e-5, random_state=0)
        order = np.random.default_rng(0)
        for number in range(1, args.passes + 1):
            shuffled = order.permutation(len(texts))
            for start in range(0, len(texts), BATCH):
                rows = shuffled[start : start + BATCH]
                model.partial_fit(X[rows], queues[rows], classes=np.arange(QUEUES))
            accuracy = model.score(X_test, test_queues)
            print(f"pass {number}: {accuracy:.2%} of {len(test_texts):,} messages reach their queue")
            run.epoch(number, validation={"accuracy": accuracy})

        probabilities = model.predict_proba(X_test)
        run.test(test_queues, probabilities, inputs=test_texts)
        first_three = np.argsort(probabilities, axis=1)[:, -3:]
        print(f"{(first_three == test_queues[:, None]).any(axis=1).mean():.2%} have it among the first three")
        with gzip.open(Path("tickets.pickle.gz"), "wb") as file:
            pickle.dump((vectorizer, model), file)
        run.model("tickets.pickle.gz")
    print(run.decision)


if __name__ == "__main__":
    main()
