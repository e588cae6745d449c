#!/usr/bin/env python3
"""`make bench`: is this tree slower than a commit before it?

    regress.py [--ref COMMIT] [--only REGEX] [--pairs N]      COMMIT: HEAD~1 unless it says so

COMMIT is built in build-bench-ref/. Then `hone bench` of both runs in turns, small cases of its
products, predictions, training and tokenizing: reference and new, then new and reference, ...
Each pair gives a ratio, new to reference; the table has its median and quartiles. A case is
slower when three of four pairs are so by more than SLOWER, and are again in a second round of twice
as many: noise of the machine passes neither twice. The exit status is then 1. What the reference
cannot do (a command or dtype that is new) is said and left out.

Models are random weights of real shapes with two layers, on one thread, where times are steadiest.
Nothing else should run on the machine."""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import random_model
import speedcsv
import workloads

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLACE = ROOT / 'build-bench-ref'
SLOWER = 0.03
PAIRS, PAUSE_S = 9, 0.05
LAYERS = 2
DTYPES = ['f32', 'bf16', 'int8']
# rows, inputs, outputs
PRODUCTS = [(8, 768, 768), (128, 768, 768), (128, 384, 1536), (16, 384, 384)]
SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']


def build(reference):
    """The reference's hone, built in a tree of its own."""
    source, tree = PLACE / 'source', PLACE / 'build'
    commit = git('rev-parse', '--verify', '--quiet', f'{reference}^{{commit}}')
    if not commit:
        sys.exit(f"'{reference}' is no commit")
    if (source / '.git').exists():
        git('-C', source, 'checkout', '--quiet', '--detach', commit)
    else:
        git('worktree', 'prune')
        git('worktree', 'add', '--quiet', '--detach', source, commit)
    if git('-C', source, 'rev-parse', 'HEAD') != commit:
        sys.exit(f"git could not check out {commit} in '{source}'")
    if not (tree / 'build.ninja').exists():
        must(['meson', 'setup', tree, source, '--buildtype=release'])
    must(['ninja', '-C', tree, 'hone'])
    return tree / 'hone'


def git(*words):
    """What git says; empty when it fails."""
    done = subprocess.run(['git', '-C', str(ROOT), *map(str, words)], stdout=subprocess.PIPE,
                          text=True)
    return done.stdout.strip()


def must(command):
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode != 0:
        sys.exit(f'{" ".join(map(str, command))} failed:\n{done.stdout}')


# ---- cases -----------------------------------------------------------------------------------

def make_model(name):
    """A shallow model, kept from one call to the next."""
    folder = PLACE / 'models' / name
    if not (folder / 'config.json').exists():
        random_model.make(folder, dict(workloads.SHAPES[name], layers=LAYERS))
        words = re.findall(r'[a-z]+', (ROOT / 'starter' / 'train.csv').read_text().lower())
        letters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
        pieces = [*SPECIAL, *letters, *(f'##{letter}' for letter in letters), *words]
        (folder / 'vocab.txt').write_text('\n'.join(dict.fromkeys(pieces)) + '\n')
    return folder


def write_ids(name, most):
    path = PLACE / f'{name.replace(":", "-")}.ids'
    rows = [ids for batch in workloads.batches(name) for ids in batch][:most]
    path.write_text(''.join(' '.join(map(str, ids)) + '\n' for ids in rows))
    return path


def cases():
    """{name: the words after `hone bench`}"""
    found = {}
    for dtype in DTYPES:
        for rows, inputs, outputs in PRODUCTS:
            found[f'product/{dtype}/{rows}x{inputs}x{outputs}'] = [
                'product', '--dtype', dtype, '--rows', rows, '--inputs', inputs, '--outputs',
                outputs, '--repeat', max(10, 4000 // rows)]
        for model, workload, repeat in (('minilm', 'lat:16', 100), ('minilm', 'short', 3),
                                        ('distilbert', 'lat:128', 10)):
            found[f'infer/{model}/{workload}/{dtype}'] = [
                'infer', '--model', make_model(model), '--ids', write_ids(workload, 64),
                '--dtype', dtype, '--threads', 1, '--repeat', repeat]
        train = ['train', '--model', make_model('minilm'), '--ids', write_ids('b8s128', 8),
                 '--batch', 8, '--threads', 1, '--repeat', 3]
        if dtype != 'int8':
            found[f'train/minilm/b8s128/{dtype}'] = [
                *train, *(['--dtype', dtype] if dtype != 'f32' else [])]
    texts = ROOT / 'starter' / 'train.csv'
    found['tokenize/starter'] = ['tokenize', '--model', make_model('minilm'), '--file', texts,
                                 '--threads', 1, '--repeat', 50]
    return found


# ---- pairs -----------------------------------------------------------------------------------

def seconds(hone, words):
    """None where this hone does not know what is asked."""
    time.sleep(PAUSE_S)
    done = subprocess.run([str(hone), 'bench', *map(str, words)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        return None
    # The best of a run's passes is steadier than their median; a change moves both.
    return json.loads(done.stdout)['min_s']


def pairs(reference, new, words, count):
    """New to reference, pair by pair: who goes first changes."""
    ratios = []
    for i in range(count):
        first, second = (reference, new) if i % 2 == 0 else (new, reference)
        times = {first: seconds(first, words)}
        times[second] = seconds(second, words)
        ratios.append(times[new] / times[reference])
    return ratios


def judge(name, reference, new, words, count):
    """Is it slower? Prints a line."""
    for hone, who in ((reference, 'the reference'), (new, 'this tree')):
        if seconds(hone, words) is None:
            print(f'{name:32} {who} cannot', flush=True)
            return False
    for again in (1, 2):
        median, low, high = speedcsv.middle(pairs(reference, new, words, count * again))
        slower = low > 1 + SLOWER
        print(f'{name:32} {median:6.3f}  {low:.3f} - {high:.3f}{"  slower" if slower else ""}',
              flush=True)
        if not slower:
            return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--ref', default=os.environ.get('REF') or 'HEAD~1')
    parser.add_argument('--hone', default=str(ROOT / 'build' / 'hone'))
    parser.add_argument('--only', type=re.compile, default=re.compile(''), metavar='REGEX')
    parser.add_argument('--pairs', type=int, default=PAIRS)
    args = parser.parse_args()
    PLACE.mkdir(exist_ok=True)
    reference = build(args.ref)
    print(f'time of {args.hone} to that of {git("log", "-1", "--format=%h %s", args.ref)}:\n'
          f'{"case":32} median  quartiles', flush=True)
    found = {name: words for name, words in cases().items() if args.only.search(name)}
    slower = [name for name, words in found.items()
              if judge(name, reference, args.hone, words, args.pairs)]
    if slower:
        sys.exit(f'slower: {", ".join(slower)}')
    print('nothing is slower')


if __name__ == '__main__':
    main()
