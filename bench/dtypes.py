#!/usr/bin/env python3
"""What bf16 and int8 do to the answers of fine-tuned models, and bf16 to fine-tuning.

    WORK/<task>/<model> x texts x --dtype -> predictions -> one line of RESULTS --table--> markdown

    dtypes.py --model WORK/sst2/hone-1 [...]     each on its task's texts, what RESULTS lacks
    dtypes.py --model WORK/sst2/hone-1 --peer ort --python VENV/bin/python --texts judged
                                                 the same with the int8 of another engine
    dtypes.py --train 3200 --base DIR            accuracy.py's recipe in fp32 and in bf16, 3 seeds, on so
                                                 many phrases of SST-2; judged in the dtype of training
    dtypes.py --table                            RESULTS as markdown, the end of bench/ACCURACY.md

A model's task is the name of the folder that it lies in: sst2 or imdb, as accuracy.py leaves them.
Two sets of texts a task, none of them trained on: `judged` is accuracy.py's evaluation file, whose
accuracy is the one to compare; `others` are more, for the share of equal answers, which fewer
texts would settle too coarsely: for SST-2 sentences of three other sources (Amazon, Yelp, CR), for
IMDB the reviews that follow.

equal   share of the texts whose label is fp32's
shift   largest difference of a logit from fp32's"""
import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time

import accuracy
from accuracy import ROOT, commit, machine, read_results, say
from compare import Peer
from tables import NAMES

DTYPES = ['bf16', 'int8']
PEERS = ['ort', 'ct2', 'ov']
PEER_BATCH = 32
OTHER_REVIEWS = 2000
ALL_PHRASES = 67349  # of SST-2


# ---- texts -----------------------------------------------------------------------------------

def other_sentences(data):
    """[(text, label)]: labels as SST-2 has them."""
    unique = {}
    for name in ('amazon_cells_labelled', 'yelp_labelled'):
        for line in (data / 'sentences' / f'{name}.txt').open(encoding='utf-8'):
            text, label = line.rstrip('\n').rsplit('\t', 1)
            unique.setdefault(text.strip(), label.strip())
    for name, label in (('custrev.pos', '1'), ('custrev.neg', '0')):
        for line in (data / 'cr' / name).open(encoding='utf-8', errors='replace'):
            if line.strip():
                unique.setdefault(line.strip(), label)
    return list(unique.items())


def other_reviews(data):
    """The reviews that follow those of accuracy.make_imdb."""
    begin = accuracy.IMDB_TRAIN + accuracy.IMDB_EVAL
    return accuracy.shuffled_imdb(data)[begin:begin + OTHER_REVIEWS]


def texts_of(args, task, which):
    if which == 'judged':
        return accuracy.prepare(task, args.shared / 'data', args.work)[1]
    path = args.work / task / 'others.jsonl'
    if not path.exists():
        rows = {'sst2': other_sentences, 'imdb': other_reviews}[task](args.shared / 'data')
        accuracy.write_rows(path, rows)
    return path


def labels_of(path):
    return [str(json.loads(line)['label']) for line in path.open(encoding='utf-8')]


# ---- runs ------------------------------------------------------------------------------------

def predict(args, model, path, length, dtype):
    command = [args.hone, 'predict', '--model', model, '--jsonl', '--logits', '--max-length', length,
               '--threads', args.threads, '--dtype', dtype, path]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit('hone predict failed')
    return [json.loads(line) for line in done.stdout.splitlines()]


def predict_f32(args, model, which, path, length):
    """Kept: every other dtype is compared with it."""
    file = args.work / model.parent.name / f'{model.name}-{which}-f32.jsonl'
    if not file.exists():
        found = predict(args, model, path, length, 'f32')
        part = file.with_suffix(f'.{os.getpid()}')
        part.write_text(''.join(json.dumps(row) + '\n' for row in found))
        part.rename(file)
    return [json.loads(line) for line in file.open()]


def share(hits):
    hits = list(hits)
    return round(sum(hits) / len(hits), 6)


def compare(found, reference, labels):
    return dict(texts=len(labels),
                accuracy=share(f['label'] == label for f, label in zip(found, labels)),
                accuracy_f32=share(r['label'] == label for r, label in zip(reference, labels)),
                equal=share(f['label'] == r['label'] for f, r in zip(found, reference)),
                shift=round(max(abs(a - b) for f, r in zip(found, reference)
                                for a, b in zip(f['logits'], r['logits'])), 5))


def of_hone():
    return dict(isa=os.environ.get('HONE_ISA', 'best'), commit=commit())


def keep(args, row):
    row |= dict(machine=machine(), ended=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()))
    with args.results.open('a') as out:
        out.write(json.dumps(row) + '\n')


def peer_forms(args, model):
    """The model as every engine reads it: (folder of folders, the one of these)."""
    forms = args.work / 'peers' / model.parent.name / model.name
    subprocess.run([args.python, str(ROOT / 'bench' / 'prepare.py'), str(forms), str(model)], check=True)
    return forms, next(forms.glob('*/config.json')).parent.name


def predict_peer(args, engine, model, path, length):
    """In batches of texts of like lengths, as an engine that pads has it best."""
    forms, name = peer_forms(args, model)
    done = subprocess.run(list(map(str, [args.hone, 'tokenize', '--model', model, '--jsonl', '--max-length', length,
                                         path])), stdout=subprocess.PIPE, text=True, check=True)
    ids = [json.loads(line)['ids'] for line in done.stdout.splitlines()]
    order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
    id2label = json.loads((model / 'config.json').read_text())['id2label']
    found = [None] * len(ids)
    with (forms / f'{engine}.log').open('w') as log:
        settings = argparse.Namespace(python=args.python, models=forms, log=log)
        peer = Peer(settings, engine, ('infer', name, 'int8', args.threads))
        peer.ready()
        for begin in range(0, len(order), PEER_BATCH):
            batch = order[begin:begin + PEER_BATCH]
            for at, logits in zip(batch, peer.logits([ids[at] for at in batch])):
                label = max(range(len(logits)), key=logits.__getitem__)
                found[at] = {'label': id2label[str(label)], 'logits': logits}
        peer.close()
    return found, peer.version


def do_peer(args, engine, model, which):
    task, name = model.parent.name, f'{model.parent.name}/{model.name}'
    key = dict(model=name, texts_of=which, dtype='int8', engine=engine)
    if any(key.items() <= row.items() for row in read_results(args.results)):
        return
    path, length = texts_of(args, task, which), accuracy.MAX_LENGTH[task]
    labels = labels_of(path)
    found, version = predict_peer(args, engine, model, path, length)
    row = dict(**key, version=version, task=task,
               **compare(found, predict_f32(args, model, which, path, length), labels))
    keep(args, row)
    say(f'{name} {which} int8 of {version}: accuracy {row["accuracy"]:.4f} (fp32 {row["accuracy_f32"]:.4f}), equal '
        f'{row["equal"]:.4f}, shift {row["shift"]}')


def do_model(args, model, which):
    task = model.parent.name
    name = f'{task}/{model.name}'
    missing = [dtype for dtype in args.dtype or DTYPES
               if not any((row.get('model'), row.get('texts_of'), row['dtype']) == (name, which, dtype)
                          for row in read_results(args.results) if 'engine' not in row)]
    if not missing:
        return
    path, length = texts_of(args, task, which), accuracy.MAX_LENGTH[task]
    labels = labels_of(path)
    reference = predict_f32(args, model, which, path, length)
    layout = json.loads((model / 'config.json').read_text())['model_type']
    for dtype in missing:
        row = dict(model=name, layout=layout, task=task, texts_of=which, dtype=dtype,
                   **compare(predict(args, model, path, length, dtype), reference, labels),
                   **of_hone())
        keep(args, row)
        say(f'{name} {which} {dtype}: accuracy {row["accuracy"]:.4f} (fp32 {row["accuracy_f32"]:.4f}), '
            f'equal {row["equal"]:.4f}, shift {row["shift"]}')


def do_training(args, seed, dtype):
    key = dict(trained=args.train, seed=seed, dtype=dtype)
    if any(key.items() <= row.items() for row in read_results(args.results)):
        return
    data = args.shared / 'data'
    paths = accuracy.first_of('sst2', args.train, data, args.work), accuracy.prepare('sst2', data, args.work)[1]
    found = accuracy.run_hone(args, 'sst2', seed, paths, '--dtype', dtype)
    row = dict(**key, task='sst2', accuracy=round(found['accuracy'], 6), loss=round(found['loss'], 6),
               cpu_seconds=round(found['cpu_seconds'], 1), **of_hone())
    keep(args, row)
    say(f'{args.train} phrases, seed {seed}, {dtype}: accuracy {row["accuracy"]:.4f}, loss {row["loss"]:.4f}')


# ---- table -----------------------------------------------------------------------------------

def print_table(results):
    everything = read_results(results)
    trained = [row for row in everything if 'trained' in row]
    theirs = [row for row in everything if 'engine' in row]
    rows = [row for row in everything if 'trained' not in row and 'engine' not in row]
    keys = sorted({(row['task'], row['texts_of'], row['layout'], row['model']) for row in rows})
    print('''
## bf16 and int8, beside fp32

Made by `bench/dtypes.py`, which says what the texts are; `bench/dtypes.jsonl` has each run. Predictions of models that were
fine-tuned in fp32: hone-N are those of the tables above, the model in DistilBERT's layout is hone-1 put into it
(`tools/to_distilbert.py`) and fine-tuned further on 6,400 of the phrases (SST-2) for its new head. Equal: share of the texts that
get fp32's label.
''')
    print('| task | texts | layout | model | fp32 | '
          + ' | '.join(f'{d} | {d} equal' for d in DTYPES) + ' |')
    print('|---' * (5 + 2 * len(DTYPES)) + '|')
    for task, which, layout, model in keys:
        mine = {row['dtype']: row for row in rows if (row['model'], row['texts_of']) == (model, which)}
        one = next(iter(mine.values()))
        cells = []
        for dtype in DTYPES:
            row = mine.get(dtype)
            cells += [f'{100 * row["accuracy"]:.2f} %', f'{100 * row["equal"]:.2f} %'] if row else ['', '']
        print(f'| {task} | {one["texts"]:,} {which} | {layout} | {model.split("/")[1]} '
              f'| {100 * one["accuracy_f32"]:.2f} % | ' + ' | '.join(cells) + ' |')
    print_peers(rows, theirs)
    # of all phrases, fp32's are accuracy.py's own runs
    trained += [row | dict(trained=ALL_PHRASES, dtype='f32') for row in read_results(ROOT / 'bench' / 'accuracy.jsonl')
                if (row['engine'], row['task']) == ('hone', 'sst2')]
    for count in sorted({row['trained'] for row in trained}):
        print_trained(count, [row for row in trained if row['trained'] == count])


def print_peers(rows, theirs):
    print('''
## int8, beside other engines

The same fp32 models by the engines that `bench/SPEED.md` is measured against, each in the int8 that is timed there
(`bench/prepare.py`); OpenVINO's is calibrated on random tokens. Accuracy, the share of texts
with fp32's label, and the largest shift of a logit.
''')
    print('| task | texts | model | fp32 | hone | ' + ' | '.join(NAMES[one] for one in PEERS) + ' |')
    print('|---' * (5 + len(PEERS)) + '|')
    for model, which in sorted({(row['model'], row['texts_of']) for row in theirs}):
        mine = {row.get('engine', 'hone'): row for row in rows + theirs
                if (row['model'], row['texts_of'], row['dtype']) == (model, which, 'int8')}
        cells = [f'{100 * row["accuracy"]:.2f} %, {100 * row["equal"]:.2f} %, {row["shift"]:.2f}' if row else ''
                 for row in map(mine.get, ('hone', *PEERS))]
        one = next(iter(mine.values()))
        print(f'| {one["task"]} | {one["texts"]:,} {which} | {model.split("/")[1]} | {100 * one["accuracy_f32"]:.2f} % | '
              + ' | '.join(cells) + ' |')


def print_trained(count, rows):
    print(f'''
## Fine-tuning in bf16, beside fp32

The recipe of the tables above on the first {count:,} phrases of SST-2 (`bench/dtypes.py --train`), judged by the 872 sentences in the
dtype of the training. Mean ± standard deviation over the seeds.

| dtype | seeds | accuracy of each | accuracy | loss |
|---|---|---|---|---|''')
    for dtype in ('f32', 'bf16'):
        mine = sorted((row for row in rows if row['dtype'] == dtype), key=lambda row: row['seed'])
        if mine:
            accuracies, losses = ([row[name] for row in mine] for name in ('accuracy', 'loss'))
            print(f'| {dtype} | {", ".join(str(row["seed"]) for row in mine)} '
                  f'| {", ".join(f"{a:.4f}" for a in accuracies)} | {accuracy.spread(accuracies, 4)} '
                  f'| {accuracy.spread(losses, 4)} |')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = pathlib.Path
    shared = os.environ.get('HONE_SHARED', ROOT.parent / 'shared')
    cache = path(os.environ.get('XDG_CACHE_HOME', path.home() / '.cache')) / 'hone-accuracy'
    parser.add_argument('--model', type=path, action='append', default=[])
    parser.add_argument('--texts', choices=['judged', 'others'], action='append')
    parser.add_argument('--dtype', choices=['f32', *DTYPES], action='append')
    parser.add_argument('--peer', choices=PEERS, action='append', default=[], help='its int8, too')
    parser.add_argument('--python', default=sys.executable, help='with the peers installed')
    parser.add_argument('--train', type=int, metavar='N', help='fine-tune on the first N phrases of SST-2')
    parser.add_argument('--base', type=path, default=accuracy.default_base(), help='to fine-tune')
    parser.add_argument('--seed', type=int, action='append')
    parser.add_argument('--table', action='store_true', help='print the results as markdown')
    parser.add_argument('--results', type=path, default=ROOT / 'bench' / 'dtypes.jsonl')
    parser.add_argument('--work', type=path, default=cache, help='prepared texts')
    parser.add_argument('--shared', type=path, default=path(shared), help='has data/')
    parser.add_argument('--hone', type=path, default=ROOT / 'build' / 'hone')
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    args = parser.parse_args()
    if args.table:
        return print_table(args.results)
    if args.train:
        for seed, dtype in itertools.product(args.seed or accuracy.SEEDS, args.dtype or ('f32', 'bf16')):
            do_training(args, seed, dtype)
    for model in args.model:
        for which in args.texts or ['judged', 'others']:
            do_model(args, model, which)
            for engine in args.peer:
                do_peer(args, engine, model, which)


if __name__ == '__main__':
    main()
