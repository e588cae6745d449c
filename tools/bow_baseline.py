#!/usr/bin/env python3
"""The bag-of-words baseline: what counting words and word pairs reaches on a labelled csv.

    bow_baseline.py TRAIN TEST

Logistic regression on tf-idf weighted words and pairs, fitted by gradient descent. The strength of
the L2 penalty is chosen by cross-validation on TRAIN alone; TEST is read once, at the end. There is
nothing random in it, so the same files always give the same figure.
"""

import csv
import json
import math
import re
import sys
from collections import Counter

FOLDS = 5
PENALTIES = (0.01, 0.003, 0.001, 0.0003, 0.0001, 0.00003)   # Strongest first.
STEPS = 120


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def terms(text):
    """Words and pairs of words. A sign such as an emoji or "!" counts as a word: it says a lot."""
    words = re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", text.casefold())
    return words + list(zip(words, words[1:]))


class Features:
    """Sparse rows of length one; terms that the training texts lack are left out."""

    def __init__(self, texts):
        seen = Counter(term for text in texts for term in set(terms(text)))
        self.column = {term: i for i, term in enumerate(seen)}
        self.weight = [1 + math.log((1 + len(texts)) / (1 + n)) for n in seen.values()]

    def row(self, text):
        columns = sorted({self.column[term] for term in terms(text) if term in self.column})
        length = math.sqrt(sum(self.weight[c] ** 2 for c in columns)) or 1.0
        return [(c, self.weight[c] / length) for c in columns]


def score(row, weights, bias):
    return bias + sum(weights[c] * value for c, value in row)


def fit(rows, targets, width, penalty):
    """Minimise the mean logistic loss plus penalty/2 times the squared weights (not the bias)."""
    weights = last_weights = [0.0] * width
    bias = last_bias = 0.0
    # Rows of length one, with the bias, bound the curvature by 1/2, so this step cannot overshoot.
    rate = 1 / (0.5 + penalty)
    for step in range(STEPS):
        # Nesterov's momentum: plain steps would need thousands of rounds under a weak penalty.
        carry = step / (step + 3)
        ahead = [w + carry * (w - last) for w, last in zip(weights, last_weights)]
        ahead_bias = bias + carry * (bias - last_bias)
        slope, bias_slope = [penalty * w for w in ahead], 0.0
        for row, target in zip(rows, targets):
            error = (1 / (1 + math.exp(-score(row, ahead, ahead_bias))) - target) / len(rows)
            bias_slope += error
            for c, value in row:
                slope[c] += error * value
        last_weights, last_bias = weights, bias
        weights = [w - rate * s for w, s in zip(ahead, slope)]
        bias = ahead_bias - rate * bias_slope
    return weights, bias


def train_and_predict(texts, targets, unseen, penalty):
    features = Features(texts)
    rows = [features.row(text) for text in texts]
    weights, bias = fit(rows, targets, len(features.column), penalty)
    return [score(features.row(text), weights, bias) > 0 for text in unseen]


def cross_validate(texts, targets, penalty):
    """The share of texts that a model fitted on the other folds gets right."""
    right = 0
    for fold in range(FOLDS):
        kept = [i for i in range(len(texts)) if i % FOLDS != fold]
        held = range(fold, len(texts), FOLDS)
        guesses = train_and_predict([texts[i] for i in kept], [targets[i] for i in kept],
                                    [texts[i] for i in held], penalty)
        right += sum(guess == targets[i] for guess, i in zip(guesses, held))
    return right / len(texts)


def f1(guesses, truth, wanted):
    hits = sum(g == t == wanted for g, t in zip(guesses, truth))
    return 2 * hits / max(1, guesses.count(wanted) + truth.count(wanted))


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: bow_baseline.py TRAIN TEST")
    (texts, names), (unseen, answers) = read(sys.argv[1]), read(sys.argv[2])
    labels = sorted(set(names + answers))
    if len(labels) != 2:
        sys.exit(f"this baseline needs two labels, not {labels}")
    targets = [name == labels[1] for name in names]
    truth = [answer == labels[1] for answer in answers]
    scores = {penalty: cross_validate(texts, targets, penalty) for penalty in PENALTIES}
    best = max(scores, key=scores.get)      # Of equals the first, which is the strongest.
    guesses = train_and_predict(texts, targets, unseen, best)
    accuracy = sum(g == t for g, t in zip(guesses, truth)) / len(truth)
    macro_f1 = (f1(guesses, truth, True) + f1(guesses, truth, False)) / 2
    print(json.dumps({"accuracy": round(accuracy, 4), "macro_f1": round(macro_f1, 4),
                      "penalty": best, "cross_validated_accuracy": round(scores[best], 4)}))


if __name__ == "__main__":
    main()
