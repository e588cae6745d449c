#!/usr/bin/env python3
"""Measure endpoints under load, beside the server that one would write in Python.

    serve.py --peers ../shared/peers --prepared DIR --python DIR/venv/bin/python

    load    `wrk` with 1, 8, 32 and 256 connections, one short sentence a request, against hone and against
            FastAPI + ONNX Runtime int8 (server_app.py of the peers): requests/s, p50, p99
    swap    an endpoint that is updated to another version again and again under such load: failed requests,
            and the latencies of the requests that met a swap beside those that met none
    idle    processor time of a server that serves a model and is asked nothing

Both servers predict with the same MiniLM in int8; they are loaded at once and take turns. A turn begins once both have
stood still: the peer goes on computing for clients that have left, some seconds long after 256 of them.
hone's clients send a bearer token: wrk cannot sign each request. The CSV has a line per turn. Run it with nothing
else on the machine, by a Python that has boto3 (.venv-server, which `make test` fills); wrk is a Debian package."""
import argparse
import contextlib
import csv
import http.client
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests' / 'server'))
import loopkit  # noqa: E402
from support import Server, wait_for  # noqa: E402

MODEL_FILES = ('config.json', 'model.safetensors', 'tokenizer.json', 'vocab.txt')
WRK_THREADS = 1
WARM_S = 1
STILL_S = 0.3
IDLE_S = 10
TEXT = 'the movie was great and the acting never boring, a wonderful scene and a really good ending'
# Told at the end of wrk's own report, as JSON.
DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "max_ms": %.4f, ' ..
    '"failed": %d}\\n', summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
"""
# The peer's own script makes the sentences; what it sends is turned into hone's form once a sentence.
HONE_LUA = """
local format, made = wrk.format, {}
wrk.headers["Authorization"] = "Bearer %s"
wrk.format = function(method, path, headers, body)
  if not body then return format(method, path, headers) end  -- wrk itself, at its start
  if not made[body] then
    made[body] = format(method, "/endpoints/live/invocations", headers, (body:gsub('^{"text"', '{"inputs"')))
  end
  return made[body]
end
"""


def say(line):
    print(line, file=sys.stderr, flush=True)


# ---- who is measured -------------------------------------------------------------------------

def model_archive(folder, version=0):
    """model.tar.gz of what a model folder has for hone: peers keep their own forms of it there, too. Versions are
    the same model in other files, so that nothing of one serves for the next."""
    with tempfile.TemporaryDirectory() as place:
        for name in MODEL_FILES:
            if (folder / name).exists():
                shutil.copy(folder / name, place)
        config = pathlib.Path(place, 'config.json')
        config.write_text(json.dumps(json.loads(config.read_text()) | {'version': version}))
        return loopkit.archive(place)


class Hone:
    name = 'hone'

    def __init__(self, args, folder):
        self.server = Server(args=['--dtype', 'int8', *args.serve_args]).start()
        self.data = model_archive(args.prepared / 'models' / 'minilm')
        arn = loopkit.register(self.server, self.data)
        loopkit.deploy(self.server, arn)
        self.url = self.server.url
        self.pid = self.server.process.pid
        self.script = folder / 'hone.lua'
        self.script.write_text(HONE_LUA % self.token() + post_lua(args) + DONE)

    def token(self):
        return f'hone_{self.server.key}_{self.server.secret}'

    def close(self):
        self.server.close()


class Peer:
    name = 'fastapi-ort-int8'

    def __init__(self, args, folder):
        port = free_port()
        self.url = f'http://127.0.0.1:{port}'
        env = {**os.environ, 'PEERS': str(args.prepared), 'ENGINE': 'ort-int8', 'MODEL': 'minilm',
               'OMP_NUM_THREADS': '2'}
        self.log = open(folder / 'peer.log', 'w+')
        self.process = subprocess.Popen(
            [args.python, '-m', 'uvicorn', '--app-dir', str(args.peers), 'server_app:app', '--port', str(port),
             '--log-level', 'warning', '--no-access-log'], env=env, stdout=self.log, stderr=self.log)
        self.pid = self.process.pid
        wait_for('answer of the peer', lambda: self.answers(port), 120)
        self.script = folder / 'peer.lua'
        self.script.write_text(post_lua(args) + DONE)

    def answers(self, port):
        if self.process.poll() is not None:
            self.log.seek(0)
            sys.exit(f'the peer has ended: {self.log.read()[-2000:]}')
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
        with contextlib.suppress(OSError):
            connection.request('POST', '/classify', body='{"text": "hi"}', headers={'Content-Type': 'application/json'})
            return connection.getresponse().status == 200
        return False

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def post_lua(args):
    return (args.peers / 'post.lua').read_text()


# ---- load ------------------------------------------------------------------------------------

def cpu_s(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def await_stillness(engines):
    """Nobody computes any more for clients that have left: at most a clock tick of processor time each."""
    spent = [0] * len(engines)
    while True:
        before, spent = spent, [cpu_s(engine.pid) for engine in engines]
        if all(now - then <= 0.011 for then, now in zip(before, spent)):
            return
        time.sleep(STILL_S)


def wrk(engine, clients, seconds):
    done = subprocess.run(['wrk', f'-t{WRK_THREADS}', f'-c{clients}', f'-d{seconds}s', '--timeout', '20s', '-s',
                           str(engine.script), engine.url], stdout=subprocess.PIPE, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    said['rps'] = said['requests'] / said['seconds']
    if said['failed'] or not said['requests']:
        sys.exit(f'{engine.name}, {clients} clients: {said["failed"]} of {said["requests"]} requests failed')
    return said


def load(args, folder, rows):
    """{(engine, clients): [figures of each turn]}"""
    found = {}
    with contextlib.ExitStack() as open_engines:
        engines = []
        for kind in (Peer, Hone) if not args.hone_only else (Hone,):
            engines.append(kind(args, folder))
            open_engines.callback(engines[-1].close)
        for engine in engines:
            wrk(engine, 4, WARM_S)
        for _ in range(args.rounds):
            for clients in args.clients:
                for engine in engines:
                    await_stillness(engines)
                    said = wrk(engine, clients, args.seconds)
                    found.setdefault((engine.name, clients), []).append(said)
                    rows.append(('load', engine.name, clients, said['rps'], said['p50_ms'], said['p99_ms'], 0))
                    say(f'{engine.name}, {clients} clients: {said["rps"]:.1f}/s, p50 {said["p50_ms"]:.2f} ms, p99 '
                        f'{said["p99_ms"]:.2f} ms')
    return found


def middle(found, engine, clients, what):
    return statistics.median(turn[what] for turn in found[engine, clients])


def print_load(args, found):
    print('| clients | FastAPI + ORT int8: requests/s | p50, p99 ms | hone: requests/s | p50, p99 ms | ratio | p99/p50 |')
    print('|---|---|---|---|---|---|---|')
    for clients in args.clients:
        cells = []
        for name in (Peer.name, Hone.name):
            if (name, clients) not in found:
                cells += ['-', '-']
                continue
            rps, p50, p99 = (middle(found, name, clients, what) for what in ('rps', 'p50_ms', 'p99_ms'))
            cells += [f'{rps:.0f}', f'{p50:.2f}, {p99:.2f}']
        ratio = '-' if args.hone_only else (f'**{middle(found, Hone.name, clients, "rps") / middle(found, Peer.name, clients, "rps"):.2f}x**')
        spread = middle(found, Hone.name, clients, 'p99_ms') / middle(found, Hone.name, clients, 'p50_ms')
        print(f'| {clients} | ' + ' | '.join(cells) + f' | {ratio} | {spread:.2f} |')


# ---- swap ------------------------------------------------------------------------------------

class Load:
    """Clients over bare sockets, each asking as soon as it was answered: (begin, end, well) of every request."""

    def __init__(self, hone, clients):
        body = json.dumps({'inputs': TEXT})
        host, port = hone.server.host, hone.server.port
        self.request = (f'POST /endpoints/live/invocations HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer '
                        f'{hone.token()}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n'
                        f'{body}').encode()
        self.address = (host, port)
        self.over = threading.Event()
        self.seen = [[] for _ in range(clients)]
        self.threads = [threading.Thread(target=self._be_client, args=(seen,)) for seen in self.seen]
        for thread in self.threads:
            thread.start()

    def _ask(self, connection):
        connection.sendall(self.request)
        got = connection.recv(65536)
        while b'\r\n\r\n' not in got or not got.endswith((b']', b'}')):
            more = connection.recv(65536)
            if not more:
                return False
            got += more
        return got.startswith(b'HTTP/1.1 200 ')

    def _be_client(self, seen):
        with socket.create_connection(self.address) as connection:
            while not self.over.is_set():
                begin = time.monotonic()
                well = self._ask(connection)
                seen.append((begin, time.monotonic(), well))
                if not well:
                    return

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        return sorted(one for seen in self.seen for one in seen)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def prepare_versions(args, hone):
    """Names of endpoint configurations, each with a version of its own."""
    sm, names = hone.server.boto('sagemaker'), [f'version-{i}' for i in range(args.swaps)]
    for i, name in enumerate(names):
        arn = loopkit.register(hone.server, model_archive(args.prepared / 'models' / 'minilm', i + 1), name)
        sm.create_model(ModelName=name, ExecutionRoleArn=loopkit.ROLE, Containers=[{'ModelPackageName': arn}])
        sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{
            'VariantName': 'AllTraffic', 'ModelName': name, 'InitialInstanceCount': 1,
            'InstanceType': 'ml.m5.xlarge', 'InitialVariantWeight': 1}])
    return names


def swap(args, folder, rows):
    """A new version, --swaps times, under the load of some clients: unpacked, loaded, swapped in."""
    hone = Hone(args, folder)
    try:
        sm = hone.server.boto('sagemaker')
        names = prepare_versions(args, hone)
        swaps, running = [], Load(hone, args.swap_clients)
        for name in names:
            time.sleep(args.seconds / 2)
            begin = time.monotonic()
            sm.update_endpoint(EndpointName='live', EndpointConfigName=name)
            wait_for('swap', lambda: sm.describe_endpoint(EndpointName='live')['EndpointStatus'] == 'InService')
            swaps.append((begin, time.monotonic()))
        time.sleep(args.seconds / 2)
        seen = running.stop()[args.swap_clients:]  # without the first of each
    finally:
        hone.close()
    failed = sum(not well for _, _, well in seen)
    met = [1000 * (end - begin) for begin, end, _ in seen if any(b < end and begin < e for b, e in swaps)]
    usual = [1000 * (end - begin) for begin, end, _ in seen if not any(b < end and begin < e for b, e in swaps)]
    for name, values in (('usual', usual), ('swap', met)):
        rows.append((name, 'hone', args.swap_clients, '', percentile(values, 0.5), percentile(values, 0.99), failed))
    took = statistics.median(e - b for b, e in swaps)
    print(f'swap: {args.swaps} under the load of {args.swap_clients} clients, {took:.2f} s each; {failed} of {len(seen)} '
          f'requests failed; usual p50 {percentile(usual, 0.5):.2f} ms, p99 {percentile(usual, 0.99):.2f} ms; meeting a '
          f'swap ({len(met)} requests) p50 {percentile(met, 0.5):.2f} ms, p99 {percentile(met, 0.99):.2f} ms, worst '
          f'{max(met):.2f} ms: {percentile(met, 0.99) / percentile(usual, 0.99):.2f}x')


# ---- idle ------------------------------------------------------------------------------------

def idle(args, folder, rows):
    hone = Hone(args, folder)
    try:
        wrk(hone, 4, WARM_S)
        time.sleep(1)
        before = cpu_s(hone.pid)
        time.sleep(IDLE_S)
        share = (cpu_s(hone.pid) - before) / IDLE_S
        threads = len(os.listdir(f'/proc/{hone.pid}/task'))
    finally:
        hone.close()
    rows.append(('idle', 'hone', 0, '', '', '', f'{100 * share:.2f}'))
    print(f'idle: {100 * share:.2f} % of a processor over {IDLE_S} s, {threads} threads')


# ---- command line ----------------------------------------------------------------------------

def commit():
    done = subprocess.run(['git', '-C', str(ROOT), 'describe', '--always', '--dirty'], stdout=subprocess.PIPE, text=True)
    return done.stdout.strip() or 'unknown'


def parse_args():
    path = pathlib.Path
    shared = path(os.environ.get('HONE_SHARED', ROOT.parent / 'shared'))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--peers', type=path, default=shared / 'peers', help='has server_app.py and post.lua')
    parser.add_argument('--prepared', type=path, default=os.environ.get('PEERS'), help='has models/')
    parser.add_argument('--python', default=sys.executable, help='with fastapi, uvicorn and onnxruntime')
    parser.add_argument('--only', choices=('load', 'swap', 'idle'))
    parser.add_argument('--hone-only', action='store_true', help='no peer')
    parser.add_argument('--clients', type=lambda text: [int(n) for n in text.split(',')], default=[1, 8, 32, 256])
    parser.add_argument('--seconds', type=int, default=5, help='of a turn')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--swaps', type=int, default=6)
    parser.add_argument('--swap-clients', type=int, default=8)
    parser.add_argument('--serve-args', type=str.split, default=[], metavar='ARGS', help='more flags of hone serve')
    parser.add_argument('--csv', type=path, default=ROOT / 'build' / 'serve.csv')
    args = parser.parse_args()
    if not args.prepared:
        parser.error('--prepared DIR is missing (or PEERS in the environment)')
    if not shutil.which('wrk'):
        parser.error('wrk is not installed')
    return args


def main():
    args = parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if args.only in (None, 'load'):
            print_load(args, load(args, folder, rows))
        if args.only in (None, 'swap'):
            swap(args, folder, rows)
        if args.only in (None, 'idle'):
            idle(args, folder, rows)
    with args.csv.open('w', newline='') as out:
        writer = csv.writer(out)
        writer.writerow(['name', 'commit', 'machine', 'engine', 'clients', 'rps', 'p50_ms', 'p99_ms', 'other'])
        for name, *row in rows:
            writer.writerow([name, commit(), platform.processor() or platform.machine(), *row])


if __name__ == '__main__':
    main()
