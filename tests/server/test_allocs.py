"""A prediction that others came before costs no allocation: what it needs lies in memory that its connection's
last request, its lane and its session left. What libmicrohttpd and oneDNN make for themselves is not hone's."""
import json
import os
import pathlib
import signal
import socket
import tempfile
import unittest

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support import HONE, Server, wait_for
import loopkit

REQUESTS = 300
BODY = json.dumps({'inputs': 'the film was in it', 'parameters': {'top_k': 2}}).encode()


class TestAllocations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        layer = pathlib.Path(HONE).resolve().parent / 'tests' / 'allocs' / 'liballocs_layer.so'
        place = tempfile.TemporaryDirectory()
        cls.addClassCleanup(place.cleanup)
        cls.counts = pathlib.Path(place.name, 'counts')
        cls.server = Server(args=['--threads', '2', '--dtype', 'int8'],
                            env={'LD_PRELOAD': str(layer), 'HONE_ALLOCS': str(cls.counts)})
        cls.addClassCleanup(cls.server.close)
        cls.server.start()
        loopkit.deploy(cls.server, loopkit.register(cls.server, loopkit.tiny_archive()))

    def count(self):
        """{library: allocations since the last time}"""
        self.counts.unlink(missing_ok=True)
        os.kill(self.server.process.pid, signal.SIGUSR2)
        wait_for('counts', self.counts.exists)
        found = {}
        for line in self.counts.read_text().splitlines():
            number, path = line.split(' ', 1)
            found[pathlib.Path(path).name] = int(number)
        return found

    def request(self, headers):
        lines = ''.join(f'{name}: {value}\r\n' for name, value in headers.items())
        return (f'POST /endpoints/live/invocations HTTP/1.1\r\nHost: {self.server.host}:{self.server.port}\r\n'
                f'Content-Length: {len(BODY)}\r\n{lines}\r\n').encode() + BODY

    def bearer(self):
        return self.request({'Authorization': f'Bearer hone_{self.server.key}_{self.server.secret}',
                             'Content-Type': 'application/json'})

    def signed(self):
        asked = AWSRequest('POST', f'{self.server.url}/endpoints/live/invocations', data=BODY,
                           headers={'Content-Type': 'application/json'})
        SigV4Auth(Credentials(self.server.key, self.server.secret), 'sagemaker', 'us-east-1').add_auth(asked)
        return self.request({name: value for name, value in asked.prepare().headers.items()
                             if name.lower() not in ('host', 'content-length')})

    def ask(self, connection, request, times):
        for _ in range(times):
            connection.sendall(request)
            got = b''
            while not got.endswith(b'}]'):
                more = connection.recv(65536)
                self.assertTrue(more, got)
                got += more
                self.assertTrue(got.startswith(b'HTTP/1.1 200 '), got)

    def check(self, request):
        with socket.create_connection((self.server.host, self.server.port)) as connection:
            self.ask(connection, request, 50)
            self.count()
            self.ask(connection, request, REQUESTS)
            found = self.count()
        # The keeper of statistics may have had its turn in between: a few, not some a request.
        for name in (pathlib.Path(HONE).name, 'libjansson.so.4', 'libgnutls.so.30'):
            self.assertLess(found.pop(name, 0), REQUESTS / 3, found)
        # libmicrohttpd's answer has four parts a header; its count shows that counting works.
        self.assertGreaterEqual(found['libmicrohttpd.so.12'], REQUESTS)
        self.assertLess(sum(found.values()), 50 * REQUESTS, found)

    def test_a_request_with_a_key_allocates_nothing(self):
        self.check(self.bearer())

    def test_a_signed_request_allocates_nothing(self):
        self.check(self.signed())


if __name__ == '__main__':
    unittest.main()
