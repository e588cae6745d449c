#!/usr/bin/env python3
"""Check the starter set: format, labels, sizes, balance, lengths and near-duplicates.

    check_starter.py [FOLDER]        FOLDER holds train.csv, test.csv, pool.csv and candidates.csv
                                     (default: starter)

Every problem found is printed with the rows it concerns, and the exit status is then 1. A row is
named by its file and its number; the header is row 1.
"""

import csv
import io
import re
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

LABELS = ("negative", "positive")
LEAST_ROWS = {"train": 600, "test": 150}
BALANCE = 0.02          # The share of a label may be this far from one half.
WORDS = (3, 40)         # The shortest and the longest sentence allowed, in words.
SHORT, LONG = 6, 18     # Sentences up to SHORT words are short, and those from LONG words long.
SPREAD = 0.05           # At least this share of a file is short, and at least this share long.
LENGTH_BIAS = 0.15      # The mean lengths of the labels differ by less, or length gives them away.

# Two sentences are near-duplicates when the Jaccard similarity of their shingles reaches this.
# Swapping one word in ten for another leaves about 0.8 and one in four about 0.5, whereas no two
# sentences of this set come above 0.27. One third lies between the two.
SIMILAR = 1 / 3
# Sentences that open with the same four words look like one template, whatever follows.
OPENING = 4

# The sentence of the example that hone starts from: the first that the demo asks about.
FOUNDING = "I bet I now understand how SageMaker works!"


def words_of(text):
    """The words of a sentence without case or punctuation; an emoji is not a word."""
    return re.findall(r"\w+", text.casefold().replace("'", "").replace("’", ""))


def word_shingles(words):
    """Single words and pairs: sensitive to the order of whole words."""
    return set(words) | set(zip(words, words[1:]))


def character_shingles(words):
    """Runs of four characters: these still match when an ending or a spelling was changed."""
    line = " ".join(words)
    return {line[i:i + 4] for i in range(max(1, len(line) - 3))}


def jaccard(a, b):
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)


def read_rows(path, problems):
    """The (place, text, label) of each row that has two fields; the rest goes to problems."""
    data = path.read_bytes()
    if data.startswith(b"\xef\xbb\xbf"):
        problems.append(f"{path.name}: starts with a byte order mark")
    if b"\r" in data or not data.endswith(b"\n"):
        problems.append(f"{path.name}: lines must end in LF alone, the last one too")
    table = list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))
    if not table or table[0] != ["text", "label"]:
        problems.append(f"{path.name}: the header is not text,label")
    rows = []
    for number, row in enumerate(table[1:], start=2):
        if len(row) == 2:
            rows.append((f"{path.name} row {number}", row[0], row[1]))
        else:
            problems.append(f"{path.name} row {number}: {len(row)} fields instead of 2")
    return rows


def check_file(name, rows, problems):
    """What can be told from one file alone."""
    if len(rows) < LEAST_ROWS[name]:
        problems.append(f"{name}.csv: {len(rows)} rows, fewer than {LEAST_ROWS[name]}")
    for place, text, label in rows:
        if label not in LABELS:
            problems.append(f"{place}: unknown label {label!r}")
        if text != text.strip():
            problems.append(f"{place}: white space around the text {text!r}")
        count = len(words_of(text))
        if not WORDS[0] <= count <= WORDS[1]:
            problems.append(f"{place}: {count} words in {text!r}, not {WORDS[0]} to {WORDS[1]}")
    lengths = {label: [len(words_of(t)) for _, t, own in rows if own == label] for label in LABELS}
    if not all(lengths.values()):
        problems.append(f"{name}.csv: a label has no rows")
        return
    for label in LABELS:
        share = len(lengths[label]) / len(rows)
        if abs(share - 0.5) > BALANCE:
            problems.append(f"{name}.csv: {share:.1%} of the rows are {label}")
    every = sum(lengths.values(), [])
    extremes = {"short": sum(n <= SHORT for n in every), "long": sum(n >= LONG for n in every)}
    for kind, count in extremes.items():
        if count < SPREAD * len(every):
            problems.append(f"{name}.csv: only {count} {kind} sentences of {len(every)}")
    means = sorted(sum(own) / len(own) for own in lengths.values())
    if means[1] > means[0] * (1 + LENGTH_BIAS):
        problems.append(f"{name}.csv: the labels differ in length, "
                        f"{means[0]:.1f} and {means[1]:.1f} words on average")


def near_duplicates(rows):
    """A description of each pair of rows, from either file, that says nearly the same."""
    entries = []
    for place, text, _ in rows:
        words = words_of(text)
        entries.append((place, text, words[:OPENING], word_shingles(words),
                        character_shingles(words)))
    found = []
    for a, b in combinations(entries, 2):
        likeness = max(jaccard(a[3], b[3]), jaccard(a[4], b[4]))
        if likeness >= SIMILAR:
            found.append(f"{a[0]} and {b[0]}: similarity {likeness:.2f}\n  {a[1]}\n  {b[1]}")
        elif len(a[2]) == OPENING and a[2] == b[2]:
            found.append(f"{a[0]} and {b[0]}: the same opening\n  {a[1]}\n  {b[1]}")
    return found


def read_candidates(path, problems):
    """The sentences that the demo may ask about, and the paraphrases that nobody trains on."""
    with path.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file, strict=True))
    rows = [(f"{path.name} row {number}", row["text"], row["label"])
            for number, row in enumerate(table, start=2)]
    if not table or table[0]["text"] != FOUNDING:
        problems.append(f"{path.name}: does not begin with the founding sentence")
    for number, count in Counter(row["candidate"] for row in table).items():
        if count < 3:
            problems.append(f"{path.name}: candidate {number} has fewer than two paraphrases")
    return rows


def check_unlabelled(rows, problems):
    """The pool and the candidates: a sentence and one of the labels in each row."""
    for place, text, label in rows:
        if label not in LABELS or text != text.strip() or not text:
            problems.append(f"{place}: not a sentence with a label: {text!r}, {label!r}")


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "starter")
    problems = []
    files = {}
    for name in ("train", "test"):
        try:
            files[name] = read_rows(folder / f"{name}.csv", problems)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            sys.exit(f"{folder / name}.csv cannot be read: {error}")
        check_file(name, files[name], problems)
    for name, read in (("pool", read_rows), ("candidates", read_candidates)):
        try:
            files[name] = read(folder / f"{name}.csv", problems)
        except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
            sys.exit(f"{folder / name}.csv cannot be read: {error}")
        check_unlabelled(files[name], problems)
    twins = near_duplicates(sum(files.values(), []))
    if problems or twins:
        print(*problems, *twins, sep="\n")
        sys.exit(f"starter set: {len(problems)} problems, {len(twins)} near-duplicates")
    for name, rows in files.items():
        lengths = sorted(len(words_of(text)) for _, text, _ in rows)
        counts = Counter(label for _, _, label in rows)
        print(f"{name}: {counts['positive']} positive, {counts['negative']} negative; words per "
              f"sentence {lengths[0]} to {lengths[-1]}, median {lengths[len(lengths) // 2]}")
    print(f"starter set: {len(files['train'])} train, {len(files['test'])} test, "
          f"{len(files['pool'])} in the pool, {len(twins)} near-duplicates")


if __name__ == "__main__":
    main()
