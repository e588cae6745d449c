"""speed.csv: a row for every engine at every workload, as compare.py measured it.

    name        kind/model/workload/engine, such as infer/minilm/b8s128/ov
    dtype       that was asked for: f32, bf16, int8; empty for tokenizing
    commit      of hone, that last changed what is timed
    version     of the engine; says so when it computed in another type
    machine, threads
    size        tokens of a pass
    median, q1, q3, runs      seconds of a pass, over the turns
    ratio, ratio_q1, ratio_q3 the engine's time to hone's over pairs of neighbouring turns: above 1,
                              hone is faster. Empty for hone itself

A row is known by its name, dtype and threads: a new one takes the place of the old."""
import csv
import os
import statistics

FIELDS = ['name', 'dtype', 'commit', 'version', 'machine', 'threads', 'size', 'median', 'q1', 'q3',
          'runs', 'ratio', 'ratio_q1', 'ratio_q3']


def key(row):
    return row['name'], row['dtype'], row['threads']


def load(path):
    """{key: row}, every value as text; empty where there is no file."""
    if not os.path.exists(path):
        return {}
    with open(path, newline='', encoding='utf-8') as lines:
        return {key(row): row for row in csv.DictReader(lines)}


def save(path, rows):
    """Sorted, so that a difference shows what was measured anew."""
    with open(f'{path}.new', 'w', newline='', encoding='utf-8') as out:
        writer = csv.DictWriter(out, FIELDS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows[at] for at in sorted(rows))
    os.replace(f'{path}.new', path)


def middle(values):
    """median, lower and upper quartile"""
    if len(values) < 2:
        return [values[0]] * 3
    low, half, high = statistics.quantiles(values, method='inclusive')
    return half, low, high
