#!/usr/bin/env python3
"""Time hone and its peers side by side, in one run, and print how they compare.

    compare.py --peers ../shared/peers --prepared DIR --python DIR/venv/bin/python

    infer/<model>/<workload>      predictions in fp32: PyTorch, ONNX Runtime, OpenVINO, CTranslate2
    train/<model>/<workload>      steps of full fine-tuning: PyTorch
    tokenize/<texts>/<threads>    texts to ids: encode_batch_fast of tokenizers

--peers is the folder of the peer benchmarks, whose common.py defines workloads and models; they
stand prepared below --prepared, and --python has the peers installed. hone gets the very same
token ids.

A machine drifts, so the engines take turns: peer, hone, next peer, hone, ..., --rounds times. A
turn is one pass of the workload to warm up and then passes for at least --turn-s seconds, whose
median is kept; a peer stays loaded between its turns (peer.py), and where one pass takes
WARM_BELOW_S or more it warms up in its first turn alone. The tables have medians over the turns,
hone's ratio to the fastest peer (above 1: hone is faster), and the quartiles of that ratio over
the pairs of neighbouring turns. The CSV has every engine's median and quartiles. Before an
inference workload is timed, all engines must agree on a few logits.

Run it on an idle machine."""
import argparse
import csv
import gzip
import json
import math
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ['distilbert', 'minilm']
INFER_WORKLOADS = ['b8s128', 'b32s128', 'short', 'short-sorted', 'imdb']
TRAIN_WORKLOADS = ['b32s128', 'short']
TEXTS = {'sentences': 90, 'reviews': 1200}  # characters of a text, at least
TEXTS_BYTES = 1 << 20
ENGINES = {'infer': ['pt', 'ort', 'ov', 'ct2'], 'train': ['pt'], 'tokenize': ['encode_batch_fast']}
BATCH = 32
TRAIN_BATCHES = 2     # peer.py trains on as many
WARM_BELOW_S = 2.0
REPEAT_MAX = 50
PAUSE_S = 0.3         # threads of a peer spin a while after their turn
LOGITS_AGREE = 1e-3   # fused kernels differ by some 1e-5


def say(line):
    print(line, file=sys.stderr, flush=True)


# ---- engines ---------------------------------------------------------------------------------

class Peer:
    def __init__(self, args, kind, engine, model, threads):
        self.process = subprocess.Popen(
            [args.python, str(ROOT / 'bench' / 'peer.py'), '--peers', str(args.peers),
             '--kind', kind, '--engine', engine, '--model', model, '--threads', str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=args.log, text=True)
        self.name, self.log = engine, args.log.name
        self.version = self._read()['version']

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f'{self.name} ended: see {self.log}')
        return json.loads(line)

    def _ask(self, **request):
        self.process.stdin.write(json.dumps(request) + '\n')
        self.process.stdin.flush()
        return self._read()

    def passes(self, workload, warm, repeat):
        """(seconds of each pass, tokens of one)"""
        answer = self._ask(workload=str(workload), warm=warm, repeat=repeat)
        return answer['seconds'], answer['tokens']

    def logits(self, ids):
        return self._ask(logits=ids)['logits']

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Hone:
    """Loads anew in each turn; loading and the pass to warm up are not in its figures."""
    name = 'hone'

    def __init__(self, args, kind, model, threads):
        self.binary = args.hone
        self.model = pathlib.Path(args.prepared) / 'models' / model
        self.kind, self.threads = kind, threads

    def run(self, *words, stdin=None):
        done = subprocess.run([self.binary, *map(str, words)], input=stdin,
                              stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f'hone {" ".join(map(str, words))} failed')
        return done.stdout

    def passes(self, workload, warm, repeat):
        del warm  # always one
        given = (['--file', workload] if self.kind == 'tokenize' else
                 ['--ids', workload, '--batch', BATCH])
        said = json.loads(self.run('bench', self.kind, '--model', self.model, *given, '--repeat',
                                   repeat, '--threads', self.threads))
        return [said['median_s']], said['tokens']

    def logits(self, ids):
        lines = ''.join(json.dumps({'ids': row}) + '\n' for row in ids)
        said = self.run('predict', '--model', self.model, '--jsonl', '--logits', '--threads',
                        self.threads, stdin=lines)
        return [json.loads(line)['logits'] for line in said.splitlines()]


class Turns:
    """The turns of one engine at one workload."""

    def __init__(self, engine, workload, turn_s):
        self.engine, self.workload, self.turn_s = engine, workload, turn_s
        self.medians, self.first_s = [], None

    def calibrate(self):
        seconds, self.tokens = self.engine.passes(self.workload, 1, 1)
        self.first_s = seconds[0]

    def take(self):
        time.sleep(PAUSE_S)
        repeat = min(REPEAT_MAX, math.ceil(self.turn_s / self.first_s))
        warm = 1 if self.first_s < WARM_BELOW_S else 0
        seconds, _ = self.engine.passes(self.workload, warm, repeat)
        self.medians.append(statistics.median(seconds))


def measure(peers, hone, given, args):
    """{engine: its turns}, and hone's turns beside each peer, {peer: [...]}.

    given: {engine: the workload as that engine names it}"""
    turns = {engine.name: Turns(engine, given[engine.name], args.turn_s)
             for engine in [*peers, hone]}
    for one in turns.values():
        one.calibrate()
    if len({one.tokens for one in turns.values()}) != 1:
        sys.exit(f'tokens differ: { {name: one.tokens for name, one in turns.items()} }')
    for _ in range(args.rounds):
        for peer in peers:
            turns[peer.name].take()
            turns['hone'].take()
    beside = {peer.name: turns['hone'].medians[i::len(peers)] for i, peer in enumerate(peers)}
    return {name: one.medians for name, one in turns.items()}, beside, turns['hone'].tokens


def check_logits(peers, hone, ids):
    ours = hone.logits(ids)
    for peer in peers:
        worst = max(abs(a - b) for x, y in zip(peer.logits(ids), ours) for a, b in zip(x, y))
        if not worst <= LOGITS_AGREE:
            sys.exit(f'hone and {peer.name} disagree: logits differ by {worst:.2g}')


# ---- workloads -------------------------------------------------------------------------------

def write_ids(path, batches):
    path.write_text(''.join(' '.join(map(str, ids)) + '\n' for batch in batches for ids in batch))
    return path


def chunks(lines, least):
    """Lines joined until a text has so many characters."""
    text, size = '', 0
    for line in lines:
        text = f'{text} {" ".join(line.split())}'.strip()
        if len(text) >= least:
            yield text
            size += len(text.encode())
            text = ''
        if size >= TEXTS_BYTES:
            return


def read_lines(name, args):
    if args.text:
        return args.text.read_text(encoding='utf-8', errors='ignore').splitlines()
    data = args.shared / 'data'
    if name == 'sentences':
        with gzip.open(data / 'sst2' / 'train.tsv.gz', 'rt', encoding='utf-8') as lines:
            return [line.partition('\t')[0] for line in lines][1:]
    with gzip.open(data / 'imdb' / 'imdb_train.jsonl.gz', 'rt', encoding='utf-8') as lines:
        return [json.loads(line)['text'] for line in lines]


def write_texts(name, args, folder):
    path = folder / f'{name}.txt'
    path.write_text('\n'.join(chunks(read_lines(name, args), TEXTS[name])) + '\n',
                    encoding='utf-8')
    return path


# ---- what is measured ------------------------------------------------------------------------

class Comparison:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.rows, self.versions = [], {}

    def wanted(self, kind, group, names):
        return [name for name in names if self.args.only.search(f'{kind}/{group}/{name}')]

    def open(self, kind, model, threads):
        # Inherited by everything that is started from here.
        os.sched_setaffinity(0, range(threads))
        chosen = [name for name in ENGINES[kind] if name in self.args.engines or kind != 'infer']
        peers = [Peer(self.args, kind, name, model, threads) for name in chosen]
        self.versions |= {peer.name: peer.version for peer in peers}
        return peers, Hone(self.args, kind, model, threads)

    def add(self, name, threads, peers, hone, given):
        times, beside, tokens = measure(peers, hone, given, self.args)
        self.rows.append((name, threads, tokens, times, beside))
        self.write_csv()
        said = ', '.join(f'{engine} {statistics.median(t):.4g} s' for engine, t in times.items())
        say(f'{name}, {threads} threads: {said}')

    def models(self, kind, names):
        """Inference or training of both models."""
        import common
        threads = self.args.threads
        for model in MODELS:
            workloads = self.wanted(kind, model, names)
            if not workloads:
                continue
            peers, hone = self.open(kind, model, threads)
            if kind == 'infer':
                check_logits(peers, hone, common.workload('short')[0][:8])
            for name in workloads:
                batches = common.workload(name)
                cut = batches[:TRAIN_BATCHES] if kind == 'train' else batches
                ids = write_ids(self.folder / f'{kind}-{name}.ids', cut)
                given = {peer.name: name for peer in peers} | {'hone': ids}
                self.add(f'{kind}/{model}/{name}', threads, peers, hone, given)
            for peer in peers:
                peer.close()

    def tokenize(self):
        for name in TEXTS:
            for threads in sorted({1, self.args.threads}):
                if not self.wanted('tokenize', name, [str(threads)]):
                    continue
                path = write_texts(name, self.args, self.folder)
                peers, hone = self.open('tokenize', 'minilm', threads)
                given = {engine.name: path for engine in [*peers, hone]}
                self.add(f'tokenize/{name}', threads, peers, hone, given)
                for peer in peers:
                    peer.close()

    def write_csv(self):
        with open(self.args.csv, 'w', newline='') as out:
            writer = csv.writer(out)
            writer.writerow(['name', 'commit', 'machine', 'threads', 'size', 'median', 'q1', 'q3',
                             'runs'])
            for name, threads, tokens, times, _ in self.rows:
                for engine, seconds in times.items():
                    writer.writerow([f'{name}/{engine}', commit(), machine(), threads, tokens,
                                     *(f'{s:.6g}' for s in middle(seconds)), len(seconds)])


def middle(values):
    """median, lower and upper quartile"""
    if len(values) < 2:
        return [values[0]] * 3
    low, half, high = statistics.quantiles(values, method='inclusive')
    return half, low, high


# ---- tables ----------------------------------------------------------------------------------

def table(title, rows, engines):
    lines = ['', f'## {title}', '',
             '| workload | threads | tokens | ' + ' | '.join(engines) + ' | hone '
             '| hone against the fastest | quartiles | hone, tokens/s |',
             '|' + '---|' * (len(engines) + 7)]
    for name, threads, tokens, times, beside in rows:
        median = {engine: statistics.median(seconds) for engine, seconds in times.items()}
        fastest = min(beside, key=median.get)
        ratio = median[fastest] / median['hone']
        _, low, high = middle([a / b for a, b in zip(times[fastest], beside[fastest])])
        cells = [f'{median[engine] * 1e3:.4g}' if engine in median else '-' for engine in engines]
        lines.append(f'| {name.partition("/")[2].replace("/", " ")} | {threads} | {tokens} | '
                     + ' | '.join(cells) + f' | {median["hone"] * 1e3:.4g} | **{ratio:.2f}x** '
                     f'{fastest} | {low:.2f} - {high:.2f} | {tokens / median["hone"]:,.0f} |')
    return lines


def report(comparison, rounds):
    versions = ', '.join(f'{name}: {version}' for name, version in comparison.versions.items())
    lines = [f'hone {commit()} and its peers on {machine()}, {time.strftime("%Y-%m-%d")}; median '
             f'milliseconds a pass, {rounds} rounds in turns.', '', f'{versions}.']
    for kind, title in (('infer', 'Inference, fp32'), ('train', 'Fine-tuning, fp32'),
                        ('tokenize', 'Tokenizing')):
        rows = [row for row in comparison.rows if row[0].startswith(kind + '/')]
        if rows:
            engines = [name for name in ENGINES[kind] if any(name in row[3] for row in rows)]
            lines += table(title, rows, engines)
    print('\n'.join(lines))


def commit():
    done = subprocess.run(['git', '-C', str(ROOT), 'describe', '--always', '--dirty'],
                          stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def machine():
    """The processor, in words."""
    for line in open('/proc/cpuinfo'):
        if line.startswith('model name'):
            return f'{line.partition(":")[2].strip()}, {os.cpu_count()} cores'
    return platform.machine()


# ---- command line ----------------------------------------------------------------------------

def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = pathlib.Path
    shared = path(os.environ.get('HONE_SHARED', ROOT.parent / 'shared'))
    parser.add_argument('--peers', type=path, default=shared / 'peers', help='has common.py')
    parser.add_argument('--prepared', default=os.environ.get('PEERS'), help='has models/')
    parser.add_argument('--python', default=sys.executable, help='with the peers installed')
    parser.add_argument('--hone', default=str(ROOT / 'build' / 'hone'))
    parser.add_argument('--shared', type=path, default=shared, help='has data/, for tokenizing')
    parser.add_argument('--text', type=path, help='a file of text to tokenize instead')
    parser.add_argument('--only', type=re.compile, default=re.compile(''), metavar='REGEX',
                        help='of names like infer/minilm/b8s128, tokenize/reviews/1')
    parser.add_argument('--engines', type=lambda names: names.split(','), default=ENGINES['infer'],
                        metavar='A,B', help='peers of infer (default: all)')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--turn-s', type=float, default=1.0)
    parser.add_argument('--csv', default=str(ROOT / 'build' / 'compare.csv'))
    parser.add_argument('--log', dest='log_path', default=str(ROOT / 'build' / 'compare.log'),
                        help='what the peers say')
    args = parser.parse_args()
    if not args.prepared:
        parser.error('--prepared DIR is missing (or PEERS in the environment)')
    return args


def main():
    args = parse_args()
    os.environ['PEERS'] = args.prepared
    sys.path.insert(0, str(args.peers))
    busy = os.getloadavg()[0]
    if busy > 0.5:
        say(f'warning: others use this machine (load {busy:.1f}); figures will be off')
    with tempfile.TemporaryDirectory() as folder, open(args.log_path, 'w') as args.log:
        comparison = Comparison(args, pathlib.Path(folder))
        comparison.models('infer', INFER_WORKLOADS)
        comparison.models('train', TRAIN_WORKLOADS)
        comparison.tokenize()
    if not comparison.rows:
        sys.exit(f'nothing fits --only {args.only.pattern}')
    report(comparison, args.rounds)


if __name__ == '__main__':
    main()
