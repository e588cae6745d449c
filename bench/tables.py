#!/usr/bin/env python3
"""speed.csv, drawn: the tables of SPEED.md between their markers, and the README's chart.

    tables.py                    bench/speed.csv -> bench/SPEED.md, docs/images/speed.svg
    tables.py --csv F --print    the tables to stdout, nothing is written

A marker is <!-- table KIND DTYPE THREADS -->, its table ends at <!-- end -->. A goal is a ratio to
the fastest peer of the row; where a row misses it, the table says so."""
import argparse
import pathlib
import re
import sys

import speedcsv
import workloads
from compare import ENGINES, ROOT, TEXTS, WORKLOADS

MODELS = {'distilbert': 'DistilBERT-base', 'minilm': 'MiniLM-L6-H384'}
NAMES = {'pt': 'PyTorch', 'ort': 'ONNX Runtime', 'ov': 'OpenVINO', 'ct2': 'CTranslate2',
         'encode_batch_fast': 'tokenizers', 'hone': 'hone'}
DTYPES = ['f32', 'bf16', 'int8']

# {(kind, workload): {dtype: the same for both models, or a pair of DistilBERT's and MiniLM's}}
UNIFORM = {'f32': (0.97, 1.1), 'bf16': (1.05, 1.25), 'int8': (1.1, 1.2)}
PACKED = {'f32': 1.5, 'bf16': 2.5, 'int8': (2.5, 2.0)}
SORTED, TWICE = dict.fromkeys(DTYPES, 1.2), dict.fromkeys(DTYPES, 2.0)
GOALS = {
    ('infer', 'b8s128'): UNIFORM, ('infer', 'b32s128'): UNIFORM,
    ('infer', 'short'): PACKED, ('infer', 'short-sorted'): SORTED,
    ('infer', 'imdb'): TWICE, ('infer', 'imdb-sorted'): SORTED,
    ('infer', 'lat:8'): {'f32': 0.9, 'bf16': 0.9, 'int8': (1 / 0.8, 1 / 0.6)},
    ('infer', 'lat:16'): {'f32': 0.9, 'bf16': 0.9, 'int8': (1 / 0.8, 1 / 0.6)},
    ('train', 'b32s128'): {'f32': 2.5, 'bf16': 1.5}, ('train', 'short'): {'f32': 6.0, 'bf16': 4.0},
}
NEVER_SLOWER = 0.9
TOKENIZE_GOAL = 5.0


def goal(kind, model, workload, dtype):
    if kind == 'tokenize':
        return TOKENIZE_GOAL
    found = GOALS.get((kind, workload), {}).get(dtype, NEVER_SLOWER)
    return found if isinstance(found, float) else found[list(MODELS).index(model)]


class Row:
    """All engines at one workload."""

    def __init__(self, rows, name, dtype, threads):
        self.engines = {}
        for engine in [*ENGINES[name.partition('/')[0], dtype], 'hone']:
            row = rows.get((f'{name}/{engine}', dtype, str(threads)))
            if row:
                self.engines[engine] = row
        self.hone = self.engines.pop('hone', None)

    def __bool__(self):
        return bool(self.hone and self.engines)

    def fastest(self):
        """By its ratio, which is of one run: medians of different days do not compare."""
        return min(self.engines, key=lambda engine: float(self.engines[engine]['ratio']))

    def ratio(self):
        """hone's to the fastest peer, with its quartiles."""
        row = self.engines[self.fastest()]
        return tuple(float(row[field]) if row[field] else None
                     for field in ('ratio', 'ratio_q1', 'ratio_q3'))


def milliseconds(row):
    if row is None:
        return '-'
    ms = float(row['median']) * 1e3
    return f'{ms:.0f}' if ms >= 100 else f'{ms:.1f}' if ms >= 10 else f'{ms:.2f}'


def against(row, least):
    """Three cells: the ratio, its quartiles, the goal."""
    ratio, low, high = row.ratio()
    spread = f'{low:.2f} - {high:.2f}' if low else ''
    missed = '' if round(ratio, 2) >= round(least, 2) else ': **missed**'
    return [f'{ratio:.2f}x {NAMES[row.fastest()]}', spread, f'{least:.2f}x{missed}']


def line(cells):
    return f'| {" | ".join(cells)} |'


def table(title, rows, engines, names, goals):
    """rows: {label: Row}"""
    lines = [line([title, *(NAMES[one] for one in engines), 'hone', names, 'quartiles', 'goal']),
             '|' + '---|' * (len(engines) + 5)]
    for label, row in rows.items():
        lines.append(line([label, *(milliseconds(row.engines.get(one)) for one in engines),
                           f'**{milliseconds(row.hone)}**', *against(row, goals[label])]))
    return lines


def model_tables(rows, kind, dtype, threads):
    lines = []
    for model, title in MODELS.items():
        found = {name: Row(rows, f'{kind}/{model}/{name}', dtype, threads)
                 for name in WORKLOADS[kind]}
        found = {name: row for name, row in found.items() if row}
        if found:
            goals = {name: goal(kind, model, name, dtype) for name in found}
            lines += ['', *table(title, found, ENGINES[kind, dtype], 'against the fastest', goals)]
    return lines or ['', 'Not measured yet.']


def text_table(rows):
    found = {f'{name}, {threads} threads': Row(rows, f'tokenize/{name}', '', threads)
             for name in TEXTS for threads in (1, 2)}
    found = {label: row for label, row in found.items() if row}
    goals = dict.fromkeys(found, TOKENIZE_GOAL)
    return ['', *table('texts', found, ENGINES['tokenize', ''], 'ratio', goals)]


def versions(rows):
    """Who was measured, on what, with which commits of hone."""
    said = {NAMES[row['name'].rpartition('/')[2]]: set() for row in rows.values()}
    for row in rows.values():
        said[NAMES[row['name'].rpartition('/')[2]]].add(row['version'])
    commits = sorted({row['commit'] for row in rows.values()})
    lines = [f'Machine: {"; ".join(sorted({row["machine"] for row in rows.values()}))}. hone at '
             f'{", ".join(commits)}.', '']
    lines += [f'- {name}: {"; ".join(sorted(all_))}' for name, all_ in sorted(said.items())
              if name != 'hone']
    return ['', *lines]


def section(rows, words):
    kind, *rest = words.split()
    if kind == 'versions':
        return versions(rows)
    if kind == 'tokenize':
        return text_table(rows)
    dtype, threads = rest
    return model_tables(rows, kind, dtype, int(threads))


def fill(text, rows):
    """The document with its tables made anew."""
    def replace(match):
        return '\n'.join([match[1], *section(rows, match[2]), '', '<!-- end -->'])
    return re.sub(r'(<!-- table ([^>]*) -->).*?<!-- end -->', replace, text, flags=re.DOTALL)


# ---- the chart -------------------------------------------------------------------------------

CHARTED = {'b32s128': '32 sequences of 128 tokens', 'short': '256 short sentences',
           'imdb': '64 reviews'}
CHART_DTYPES = {'f32': 'fp32', 'int8': 'int8'}
WIDTH, LEFT, BAR, GAP, GROUP, TOP = 880, 132, 12, 3, 34, 64
PANEL = WIDTH // 2
BAR_MAX = PANEL - LEFT - 62
STYLE = '''
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 11px; fill: #59636e }
  .title { font-size: 15px; font-weight: 600 }
  .group { font-weight: 600 }
  .peer { fill: #b7bfc8 }
  .hone { fill: #0b7a75 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .small { fill: #9198a1 }
    .peer { fill: #545d68 }
    .hone { fill: #2bb3ab }
  }
'''


def bars(rows, model, workload):
    """[(label, tokens a second, is it hone)], fp32 first."""
    found = []
    for dtype, title in CHART_DTYPES.items():
        row = Row(rows, f'infer/{model}/{workload}', dtype, 2)
        if not row:
            continue
        for engine, one in [*row.engines.items(), ('hone', row.hone)]:
            found.append((f'{NAMES[engine]} {title}', int(one['size']) / float(one['median']),
                          engine == 'hone'))
    return found


def text_at(x, y, text, kind='', anchor='start'):
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{text}</text>'


def panel(rows, model, left):
    """One model's bars from the top down; (elements, where they end)"""
    out, y = [text_at(left + LEFT, TOP - 14, MODELS[model], 'title')], TOP
    for workload, about in CHARTED.items():
        found = bars(rows, model, workload)
        if not found:
            continue
        y += GROUP // 2
        out.append(text_at(left + LEFT, y, about, 'group'))
        y += 8
        most = max(speed for _, speed, _ in found)
        for label, speed, ours in found:
            width = max(1, round(speed / most * BAR_MAX))
            kind = 'hone' if ours else 'peer'
            out += [text_at(left + LEFT - 6, y + BAR - 2, label, '' if ours else 'small', 'end'),
                    f'<rect x="{left + LEFT}" y="{y}" width="{width}" height="{BAR}" rx="2" '
                    f'class="{kind}"/>',
                    text_at(left + LEFT + width + 5, y + BAR - 2, f'{speed:,.0f}', 'small')]
            y += BAR + GAP
        y += GROUP // 2
    return out, y


def chart(rows):
    drawn, ends = [], []
    for at, model in enumerate(workloads.SHAPES):
        elements, end = panel(rows, model, at * PANEL)
        drawn += elements
        ends.append(end)
    machine = next(iter(rows.values()))["machine"]
    height = max(ends) + 8
    return '\n'.join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-label="Tokens a second of hone and other engines">',
        f'<style>{STYLE}</style>',
        text_at(12, 22, f'Real tokens a second, 2 threads of {machine.replace(", ", " (")}); longer '
                        'is faster', ''),
        *drawn, '</svg>', ''])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = pathlib.Path
    parser.add_argument('--csv', type=path, default=ROOT / 'bench' / 'speed.csv')
    parser.add_argument('--document', type=path, default=ROOT / 'bench' / 'SPEED.md')
    parser.add_argument('--chart', type=path, default=ROOT / 'docs' / 'images' / 'speed.svg')
    parser.add_argument('--print', action='store_true')
    args = parser.parse_args()
    rows = speedcsv.load(args.csv)
    if not rows:
        sys.exit(f"no rows in '{args.csv}'")
    text = fill(args.document.read_text(encoding='utf-8'), rows)
    if args.print:
        print(text)
        return
    args.document.write_text(text, encoding='utf-8')
    args.chart.write_text(chart(rows), encoding='utf-8')


if __name__ == '__main__':
    main()
