#!/usr/bin/env python3
"""Time hone and its peers side by side, and keep what came out in a CSV.

    compare.py --models DIR --python VENV/bin/python [--rows REGEX] [--for-s SECONDS]

    infer/<model>/<workload>/<dtype>/<threads>     predictions: PyTorch, ONNX Runtime, OpenVINO,
                                                   CTranslate2, those that have the dtype
    train/<model>/<workload>/<dtype>/<threads>     steps of full fine-tuning: PyTorch
    tokenize/<texts>/<threads>                     texts to ids: encode_batch_fast of tokenizers

--models is what prepare.py made, --python has the peers of requirements.txt. workloads.py says
what the workloads are: hone gets the very same token ids.

A machine drifts, so the engines take turns: peer, hone, next peer, hone, ..., --rounds times. A
turn is one pass of the workload to warm up and then passes for at least --turn-s seconds, whose
median is kept; a peer stays loaded between its turns (peer.py), and where one pass takes
WARM_BELOW_S or more it warms up in its first turn alone. Before a model is timed, all engines must
agree on a few logits: with hone in fp32, within what the dtype can do. A turn during which other
programs had more than OTHERS_MAX of the processors is taken again; a row with such a turn after
TAKES_MAX of them is not written down.

A full matrix takes hours, so every row is written down when it is done, and one that stands in
the CSV for the same source of hone and the same peers is not measured again unless --again says so.

Run it on an idle machine."""
import argparse
import gzip
import json
import math
import os
import pathlib
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import speedcsv
import workloads

ROOT = pathlib.Path(__file__).resolve().parent.parent
LATENCIES = [f'lat:{tokens}' for tokens in (8, 16, 32, 64, 128, 256, 512)]
WORKLOADS = {'infer': [*LATENCIES, 'b8s128', 'b32s128', 'short', 'short-sorted', 'imdb',
                       'imdb-sorted'],
             'train': ['b32s128', 'short']}
ENGINES = {('infer', 'f32'): ['pt', 'ort', 'ov', 'ct2'], ('infer', 'bf16'): ['pt', 'ov'],
           ('infer', 'int8'): ['ort', 'ov', 'ct2'],
           ('train', 'f32'): ['pt'], ('train', 'bf16'): ['pt'],
           ('tokenize', ''): ['encode_batch_fast']}
TEXTS = {'sentences': 90, 'reviews': 1200}  # characters of a text, at least
TEXTS_BYTES = 1 << 20
TRAIN_BATCHES = 2     # peer.py trains on as many
WARM_BELOW_S = 2.0
REPEAT_MAX = 200
PAUSE_S = 0.3         # threads of a peer spin a while after their turn
OTHERS_MAX = 0.08     # of the processors' time; a hundredth or two is the clock's own coarseness
TAKES_MAX = 4
CHECKED = 8           # sequences whose logits are compared
# The models' weights are random and their logits below 0.5; fused kernels differ by some 1e-5,
# a bf16 has 8 bits, and of all engines' int8 none was seen further away than 0.011.
LOGITS_AGREE = {'f32': 1e-3, 'bf16': 1e-2, 'int8': 3e-2}
# A change elsewhere leaves the figures as they are.
TIMED = ['src/base', 'src/nn', 'src/model', 'src/text', 'src/train', 'meson.build']


TICKS_PER_S = os.sysconf('SC_CLK_TCK')


def say(line):
    print(line, file=sys.stderr, flush=True)


# ---- engines ---------------------------------------------------------------------------------

class Peer:
    def __init__(self, args, engine, what):
        kind, model, dtype, threads = what
        self.process = subprocess.Popen(
            [args.python, str(ROOT / 'bench' / 'peer.py'), '--models', str(args.models),
             '--kind', kind, '--engine', engine, '--model', model, '--threads', str(threads),
             *(['--dtype', dtype] if dtype else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=args.log, text=True)
        self.name, self.log = engine, args.log.name

    def cpu_s(self):
        """Time on the processor so far, with that of its threads."""
        with open(f'/proc/{self.process.pid}/stat', encoding='utf-8') as stat:
            words = stat.read().rpartition(')')[2].split()
        return (int(words[11]) + int(words[12])) / TICKS_PER_S

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f'{self.name} ended: see {self.log}')
        return json.loads(line)

    def ready(self):
        self.version = self._read()['version']

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

    def __init__(self, args, what):
        self.binary = args.hone
        self.kind, model, self.dtype, self.threads = what
        self.model = args.models / model
        self.version = self.run('version').strip()

    def run(self, *words, stdin=None):
        done = subprocess.run([self.binary, *map(str, words)], input=stdin,
                              stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f'hone {" ".join(map(str, words))} failed')
        return done.stdout

    @staticmethod
    def cpu_s():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def passes(self, workload, warm, repeat):
        del warm  # always one
        given = (['--file', workload] if self.kind == 'tokenize' else
                 ['--ids', workload, '--batch', workloads.BATCH])
        if self.dtype and self.dtype != 'f32':
            given += ['--dtype', self.dtype]
        said = json.loads(self.run('bench', self.kind, '--model', self.model, *given, '--repeat',
                                   repeat, '--threads', self.threads))
        if said.get('dtype', 'f32') != (self.dtype or 'f32'):
            sys.exit(f'hone computed in {said["dtype"]} instead of {self.dtype}')
        return [said['median_s']], said['tokens']

    def logits(self, ids, dtype):
        lines = ''.join(json.dumps({'ids': row}) + '\n' for row in ids)
        said = self.run('predict', '--model', self.model, '--jsonl', '--logits', '--threads',
                        self.threads, '--dtype', dtype, stdin=lines)
        return [json.loads(line)['logits'] for line in said.splitlines()]


def all_cpu_s():
    """What all processors have worked since the machine started, for whomever, in seconds."""
    with open('/proc/stat', encoding='utf-8') as stat:
        user, nice, system, _, _, *interrupts_and_stolen = map(int, stat.readline().split()[1:9])
    return (user + nice + system + sum(interrupts_and_stolen)) / TICKS_PER_S


class Turns:
    """The turns of one engine at one workload."""

    def __init__(self, engine, workload, turn_s):
        self.engine, self.workload, self.turn_s = engine, workload, turn_s
        self.medians, self.first_s, self.disturbed = [], None, False

    def calibrate(self):
        seconds, self.tokens = self.engine.passes(self.workload, 1, 1)
        self.first_s = seconds[0]

    def take(self):
        """A turn, or of several the one with the fewest others beside it."""
        repeat = min(REPEAT_MAX, math.ceil(self.turn_s / self.first_s))
        warm = 1 if self.first_s < WARM_BELOW_S else 0
        taken = []
        while len(taken) < TAKES_MAX and not (taken and min(taken)[0] <= OTHERS_MAX):
            time.sleep(PAUSE_S)
            all_s, own_s, begin = all_cpu_s(), self.engine.cpu_s(), time.monotonic()
            seconds, _ = self.engine.passes(self.workload, warm, repeat)
            others_s = all_cpu_s() - all_s - (self.engine.cpu_s() - own_s)
            share = others_s / ((time.monotonic() - begin) * os.cpu_count())
            taken.append((share, statistics.median(seconds)))
        self.medians.append(min(taken)[1])
        if min(taken)[0] > OTHERS_MAX:
            self.disturbed = True
            say(f'{self.engine.name}: others had {min(taken)[0]:.0%} of the processors')


def measure(peers, hone, given, args):
    """{engine: its turns}, and hone's turns beside each peer, {peer: [...]}, the tokens, and whether
    a turn was disturbed.

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
    disturbed = any(one.disturbed for one in turns.values())
    return ({name: one.medians for name, one in turns.items()}, beside, turns['hone'].tokens,
            disturbed)


def check_logits(peers, hone):
    """All engines beside hone in fp32."""
    ids = workloads.batches('short')[0][:CHECKED]
    exact, bound = hone.logits(ids, 'f32'), LOGITS_AGREE[hone.dtype]
    found = {peer.name: peer.logits(ids) for peer in peers}
    if hone.dtype != 'f32':
        found['hone'] = hone.logits(ids, hone.dtype)
    for name, logits in found.items():
        worst = max(abs(a - b) for x, y in zip(logits, exact) for a, b in zip(x, y))
        if not worst <= bound:
            sys.exit(f'{name} in {hone.dtype} and hone in f32 disagree: logits differ by '
                     f'{worst:.2g}')
    if found.get('hone') == exact:
        sys.exit(f'hone has the same logits in {hone.dtype} as in f32')


# ---- workloads -------------------------------------------------------------------------------

def write_ids(path, batches):
    path.write_text(''.join(' '.join(map(str, ids)) + '\n' for batch in batches for ids in batch))
    return path


def chunks(lines, least):
    """Lines joined until a text has so many characters; from the first again when there are few."""
    text, size = '', 0
    while size < TEXTS_BYTES:
        for line in lines:
            text = f'{text} {" ".join(line.split())}'.strip()
            if len(text) >= least:
                yield text
                size += len(text.encode())
                text = ''
            if size >= TEXTS_BYTES:
                return


def read_lines(name, args):
    """SST-2 or IMDB where they lie, else the sentences that come with hone."""
    data = args.data
    if args.text or not data.is_dir():
        file = args.text or ROOT / 'starter' / 'train.csv'
        say(f'tokenizing {file}')
        return file.read_text(encoding='utf-8', errors='ignore').splitlines()
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
        self.rows, self.commit = speedcsv.load(args.csv), commit()
        self.begin, self.done, self.left, self.same = time.monotonic(), 0, 0, {}

    def engines(self, kind, dtype):
        return [name for name in ENGINES[kind, dtype]
                if kind != 'infer' or name in self.args.engines]

    def is_current(self, row):
        """Measured with the source of today?"""
        if row is None or row['machine'] != machine():
            return False
        if row['commit'] not in self.same:
            self.same[row['commit']] = row['commit'] == self.commit or (
                '-' not in self.commit + row['commit'] and
                git('diff', '--quiet', row['commit'], self.commit, '--', *TIMED) is not None)
        return self.same[row['commit']]

    def wanted(self, name, dtype, threads):
        label = '/'.join(word for word in (name, dtype, str(threads)) if word)
        if not self.args.rows.search(label):
            return False
        kind = name.partition('/')[0]
        keys = [(f'{name}/{engine}', dtype, str(threads))
                for engine in [*self.engines(kind, dtype), 'hone']]
        return self.args.again or not all(self.is_current(self.rows.get(at)) for at in keys)

    def late(self):
        return self.args.for_s and time.monotonic() - self.begin > self.args.for_s

    def open(self, what):
        kind, _, dtype, threads = what
        # Inherited by everything that is started from here.
        os.sched_setaffinity(0, range(threads))
        peers = [Peer(self.args, name, what) for name in self.engines(kind, dtype)]
        hone = Hone(self.args, what)
        for peer in peers:
            peer.ready()
        return peers, hone

    def add(self, name, what, peers, hone, given):
        _, _, dtype, threads = what
        times, beside, tokens, disturbed = measure(peers, hone, given, self.args)
        said = ', '.join(f'{engine} {statistics.median(t) * 1e3:.4g}' for engine, t in times.items())
        say(f'{name} {dtype}, {threads} threads, ms: {said}{", disturbed" if disturbed else ""}')
        if disturbed:
            return
        versions = {engine.name: engine.version for engine in [*peers, hone]}
        for engine, seconds in times.items():
            ratios = [''] * 3
            if engine in beside:
                pairs = [a / b for a, b in zip(seconds, beside[engine])]
                ratios = [f'{ratio:.3f}' for ratio in speedcsv.middle(pairs)]
            median, low, high = (f'{s:.6g}' for s in speedcsv.middle(seconds))
            row = dict(zip(speedcsv.FIELDS, [
                f'{name}/{engine}', dtype, self.commit, versions[engine], machine(), str(threads),
                str(tokens), median, low, high, str(len(seconds)), *ratios]))
            self.rows[speedcsv.key(row)] = row
        speedcsv.save(self.args.csv, self.rows)
        self.done += 1

    def run_model(self, kind, model, dtype, threads):
        """Inference or training of one model in one way."""
        names = [name for name in WORKLOADS[kind]
                 if self.wanted(f'{kind}/{model}/{name}', dtype, threads)]
        self.left += len(names)
        if not names or self.late():
            return
        what = kind, model, dtype, threads
        peers, hone = self.open(what)
        if kind == 'infer':
            check_logits(peers, hone)
        for name in names:
            if self.late():
                break
            batches = workloads.batches(name)
            cut = batches[:TRAIN_BATCHES] if kind == 'train' else batches
            ids = write_ids(self.folder / f'{kind}-{name}.ids', cut)
            given = {peer.name: name for peer in peers} | {'hone': ids}
            self.add(f'{kind}/{model}/{name}', what, peers, hone, given)
        for peer in peers:
            peer.close()

    def run_texts(self, name, threads):
        if not self.wanted(f'tokenize/{name}', '', threads):
            return
        self.left += 1
        if self.late():
            return
        path = write_texts(name, self.args, self.folder)
        what = 'tokenize', 'minilm', '', threads
        peers, hone = self.open(what)
        self.add(f'tokenize/{name}', what, peers, hone,
                 {engine.name: path for engine in [*peers, hone]})
        for peer in peers:
            peer.close()

    def run(self):
        args = self.args
        for kind, threads in [('infer', args.threads), ('train', args.threads[:1])]:
            for dtype in args.dtype:
                for count in threads if (kind, dtype) in ENGINES else []:
                    for model in workloads.SHAPES:
                        self.run_model(kind, model, dtype, count)
        for name in TEXTS:
            for count in args.threads:
                self.run_texts(name, count)


def git(*words):
    """What git says; None when it fails."""
    done = subprocess.run(['git', '-C', str(ROOT), *words], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def commit():
    """The commit that last changed what is timed."""
    last = git('log', '-1', '--format=%h', '--', *TIMED) or 'unknown'
    return f'{last}-dirty' if git('status', '--porcelain', '--', *TIMED) else last


def machine():
    """The processor, in words."""
    for line in open('/proc/cpuinfo', encoding='utf-8'):
        if line.startswith('model name'):
            return f'{line.partition(":")[2].strip()}, {os.cpu_count()} cores'
    return platform.machine()


# ---- command line ----------------------------------------------------------------------------

def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path, words = pathlib.Path, lambda text: text.split(',')
    shared = path(os.environ.get('HONE_SHARED', ROOT.parent / 'shared'))
    parser.add_argument('--models', type=path, default=ROOT / '.cache' / 'peers')
    parser.add_argument('--python', default=sys.executable, help='with the peers installed')
    parser.add_argument('--hone', default=str(ROOT / 'build' / 'hone'))
    parser.add_argument('--data', type=path, default=shared / 'data', help='texts to tokenize')
    parser.add_argument('--text', type=path, help='a file of text to tokenize instead')
    parser.add_argument('--rows', type=re.compile, default=re.compile(''), metavar='REGEX',
                        help='of names like infer/minilm/b8s128/int8/2, tokenize/reviews/1')
    parser.add_argument('--dtype', type=words, default=['f32', 'bf16', 'int8'], metavar='A,B')
    parser.add_argument('--engines', type=words, default=ENGINES['infer', 'f32'], metavar='A,B',
                        help='peers of infer (default: all)')
    parser.add_argument('--threads', type=lambda text: [*map(int, text.split(','))],
                        default=[2, 1], metavar='N,M', help='2,1; fine-tuning takes the first')
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--turn-s', type=float, default=1.0)
    parser.add_argument('--for-s', type=float, help='begin no row after so many seconds')
    parser.add_argument('--again', action='store_true', help='measure rows that are there, too')
    parser.add_argument('--csv', default=str(ROOT / 'bench' / 'speed.csv'))
    parser.add_argument('--log', dest='log_path', default=str(ROOT / 'build' / 'compare.log'),
                        help='what the peers say')
    return parser.parse_args()


def main():
    args = parse_args()
    busy = os.getloadavg()[0]
    if busy > 0.5:
        say(f'warning: others use this machine (load {busy:.1f}); figures may be off')
    with tempfile.TemporaryDirectory() as folder, open(args.log_path, 'w') as args.log:
        comparison = Comparison(args, pathlib.Path(folder))
        comparison.run()
    say(f'{comparison.done} rows measured, {comparison.left - comparison.done} left')


if __name__ == '__main__':
    main()
