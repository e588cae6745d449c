"""What the tests of the running server share: a server on a free port in a folder of its own, clients
of it, and a reviewer with a browser's cookie and token."""
import http.client
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HONE = os.environ.get('HONE_BIN', str(ROOT / 'build' / 'hone'))
GOLDEN = ROOT / 'tests' / 'golden'
READY_S = 60
PAUSE_S = 0.02  # between two looks at something that is to happen



def _command_line_support():
    """tests/cli/support.py, which has our name: what its tiny.py asks of it is here, too."""
    spec = importlib.util.spec_from_file_location('cli_support', ROOT / 'tests' / 'cli' / 'support.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sys.path.extend(str(ROOT / 'tests' / name) for name in ('cli', '.'))
from harness import lifetime  # noqa: E402
Case, hone, shared = (getattr(_command_line_support(), name) for name in ('Case', 'hone', 'shared'))


PATIENCE = float(os.environ.get('HONE_PATIENCE', '1'))  # of a sanitized server: its arithmetic is ten times slower


def wait_for(what, look, timeout_s=60):
    """The first true value of look(); fails with `what` when none comes."""
    until = time.monotonic() + timeout_s * PATIENCE
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f'no {what} within {timeout_s} s')
        time.sleep(PAUSE_S)


class Server:
    """A running `hone serve`. Its folder is temporary unless one is given."""

    def __init__(self, data=None, args=(), env=None, wrapper=()):
        self._own = None if data else tempfile.mkdtemp(prefix='hone-server-')
        self.data = pathlib.Path(data or self._own)
        self.args, self.env, self.wrapper = list(args), dict(env or {}), list(wrapper)
        self.process = None
        self.log = tempfile.NamedTemporaryFile(prefix='hone-log-')  # not on the server's disk
        self.url = self.key = self.secret = ''
        self._clients = {}

    def start(self):
        """Start, or start again; returns when it serves."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [*self.wrapper, HONE, 'serve', '--data', str(self.data), '--listen', '127.0.0.1:0', *self.args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, env={**os.environ, **self.env},
            preexec_fn=lifetime.with_parent())
        lines = []
        for raw in self.process.stdout:
            lines.append(raw.decode(errors='replace'))
            if lines[-1] == 'ready\n':
                break
        else:
            raise AssertionError(f'the server did not start: {self.process.wait()} {lines} {self.log_text()[-2000:]}')
        found = self.credentials()
        self.url, self.key, self.secret = (found[k] for k in ('endpoint_url', 'aws_access_key_id',
                                                              'aws_secret_access_key'))
        self.host, port = urllib.parse.urlsplit(self.url).netloc.rsplit(':', 1)
        self.port = int(port)
        self._clients = {}
        return self

    def credentials(self):
        lines = (self.data / 'credentials').read_text().splitlines()
        pairs = (line.split('=', 1) for line in lines if '=' in line)
        return {key.strip(): value.strip() for key, value in pairs}

    def log_text(self):
        return pathlib.Path(self.log.name).read_text(errors='replace')

    def kill(self):
        """kill -9."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        self._ended()

    def stop(self, timeout_s=30):
        """SIGTERM; the exit status."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._ended(timeout_s)

    def _ended(self, timeout_s=30):
        if not self.process:
            return None
        status = self.process.wait(timeout_s * PATIENCE)
        self.process.stdout.close()
        return status

    def close(self):
        """Kill it and delete what it left."""
        self.kill()
        self.log.close()
        if self._own:
            shutil.rmtree(self._own, ignore_errors=True)

    # --- clients ---

    def boto(self, service, key=None, secret=None, **config):
        """An unmodified boto3 client; one without retries, so that every answer is seen."""
        import boto3
        from botocore.config import Config
        wanted = (service, key, repr(sorted(config.items())))
        if wanted not in self._clients:
            settings = {'retries': {'total_max_attempts': 1}, 'proxies': {}, 'read_timeout': 60 * PATIENCE, **config}
            self._clients[wanted] = boto3.client(
                service, endpoint_url=self.url, region_name='us-east-1', aws_access_key_id=key or self.key,
                aws_secret_access_key=secret or self.secret, config=Config(**settings))
        return self._clients[wanted]

    def call(self, method, path, body=None, headers=None, token=True, timeout_s=60):
        """(status, headers, bytes) of one raw request; a body that is no bytes is sent as JSON. The
        administrator's bearer token goes along unless token is False."""
        sent = dict(headers or {})
        if token:
            sent.setdefault('Authorization', f'Bearer hone_{self.key}_{self.secret}')
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault('Content-Type', 'application/json')
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s * PATIENCE)
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, **kwargs):
        """The JSON of a call that must succeed."""
        status, _, data = self.call(method, path, body, **kwargs)
        assert status == 200, f'{method} {path}: {status} {data[:500]!r}'
        return json.loads(data)

    def hone(self, *args, stdin=None, timeout_s=300):
        """A command of hone against this server."""
        env = {**os.environ, 'HONE_CREDENTIALS': str(self.data / 'credentials')}
        env.pop('AWS_ENDPOINT_URL', None)
        return subprocess.run([HONE, *map(str, args)], input=stdin, capture_output=True, text=True,
                              timeout=timeout_s * PATIENCE, env=env)

    def invite(self, team, name='reviewer'):
        """A reviewer who has accepted an invitation."""
        link = self.json('POST', '/hone/invitations', {'email': f'{name}@example.org', 'role': 'reviewer',
                                                       'team': team})['link']
        return Reviewer(self, link, name)


class Refused(Exception):
    """An answer of a reviewer's call that is no success."""

    def __init__(self, status, body):
        super().__init__(f'{status} {body!r}')
        self.status = status
        try:
            self.code = json.loads(body)['error']['code']
        except (ValueError, KeyError, TypeError):
            self.code = ''


class Reviewer:
    """A person at a browser: the cookie, the token, and the calls that the portal's page makes."""

    def __init__(self, server, link, name='reviewer', password='correct horse battery'):
        self.server, self.name, self.password = server, name, password
        self.cookie = self.csrf = ''
        token = urllib.parse.urlsplit(link).path.rstrip('/').rsplit('/', 1)[1]
        self._enter(f'/hone/invitations/{token}', {'name': name, 'password': password})

    def login(self):
        self.cookie = self.csrf = ''
        self._enter('/hone/login', {'name': self.name, 'password': self.password})

    def _enter(self, path, body):
        status, headers, data = self.server.call('POST', path, body, token=False)
        if status != 200:
            raise Refused(status, data)
        self.cookie = headers['Set-Cookie'].split(';', 1)[0]
        self.csrf = json.loads(data)['csrf']

    def call(self, method, path, body=None):
        """The JSON of a call; Refused for an error."""
        headers = {'Cookie': self.cookie}
        if method != 'GET':
            headers['X-Hone-CSRF'] = self.csrf
        status, _, data = self.server.call(method, path, body, headers=headers, token=False)
        if status != 200:
            raise Refused(status, data)
        return json.loads(data)

    def tasks(self):
        return self.call('GET', '/hone/tasks')

    def next(self, flow=None):
        """The oldest available task, leased: {"task", "lease", "frame"}; task None when there is none."""
        return self.call('POST', '/hone/tasks/next', {'flow': flow} if flow else {})

    def accept(self, task):
        """A task by its row; also one that this reviewer holds already, whose lease is then a new one."""
        return self.call('POST', f'/hone/tasks/{task["id"]}/accept', {})

    def answer(self, taken, answer, seconds=1.5):
        return self.call('POST', f'/hone/tasks/{taken["task"]["id"]}/answer',
                         {'lease': taken['lease'], 'answer': answer, 'seconds': seconds})


class ServerCase(unittest.TestCase):
    """One server for all tests of a class."""

    ARGS = ()
    server = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server(args=cls.ARGS)
        cls.addClassCleanup(cls.server.close)
        cls.server.start()
