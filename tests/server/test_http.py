"""Requests as no client sends them: each is a clear refusal, and the server goes on.

What the HTTP layer refuses by itself is held by tests/unit/http/test_server.c; here are whole requests
to the real server, over a raw socket, and bodies that are no JSON."""
import json
import socket
import threading

from support import ServerCase, wait_for

TARGET = {'X-Amz-Target': 'SageMaker.ListEndpoints', 'Content-Type': 'application/x-amz-json-1.1'}
DEEP = 10000


class Http(ServerCase):
    def raw(self, data, timeout_s=30):
        """What the server says to these bytes until it closes, or falls silent after an answer."""
        with socket.create_connection((self.server.host, self.server.port), timeout=timeout_s) as s:
            try:
                s.sendall(data)
            except OSError:
                pass  # it has closed already: what it said is still there
            said = b''
            while True:
                try:
                    piece = s.recv(65536)
                except ConnectionResetError:
                    return said
                if not piece:
                    return said
                said += piece
                answer = said.removeprefix(b'HTTP/1.1 100 Continue\r\n\r\n')
                if b'\r\n\r\n' in answer and b'onnection: close' not in answer:
                    return said

    def tearDown(self):
        self.assertEqual(self.server.json('GET', '/hone/me')['name'], 'admin')

    def test_request__that_is_none_is_refused(self):
        host = b'Host: 127.0.0.1\r\n'
        for data, statuses in (
                (b'\r\n\r\n\r\nGET\r\n\r\n', (0, 400)), (b'GET /\r\n\r\n', (0, 400, 505)),
                (b'GET / HTTP/9.9\r\n' + host + b'\r\n', (400, 505)),
                (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n', (0, 400)),
                (b'GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n', (421,)), (b'GET / HTTP/1.1\r\n\r\n', (400,)),
                (b'GET / HTTP/1.1\r\n' + host + b'no colon here\r\n\r\n', (200, 400)),
                (b'GET /%s HTTP/1.1\r\n%s\r\n' % (b'a' * 9000, host), (414,)),
                (b'GET / HTTP/1.1\r\n%sX: %s\r\n\r\n' % (host, b'a' * 40000), (431,)),
                (b'GET / HTTP/1.1\r\n%s%s\r\n' % (host, b'X: 1\r\n' * 200), (431,)),
                (b'CONNECT sts.us-east-1.amazonaws.com:443 HTTP/1.1\r\n' + host + b'\r\n', (405,)),
                (b'POST / HTTP/1.1\r\n%sContent-Length: 99999999999999999999\r\n\r\n' % host, (400, 413)),
                (b'POST / HTTP/1.1\r\n%sContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' % host, (400,)),
                (b'PUT /b/k HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n' % (host, 6 << 30), (413,))):
            said = self.raw(data)
            # 0: the connection was closed, as what came was no HTTP at all
            self.assertIn(int(said.split()[1]) if said else 0, statuses, (data[:60], said[:200]))

    def test_body__that_is_no_json_object_is_refused(self):
        for body in (b'{', b'[]', b'1', b'null', b'"x"', b'{"a": }', b'{}{}', b'{"a": 1,}', b'\xff\xfe{}', b'{"\xff": 1}',
                     b'{"NameContains": "\xc3("}', b'{"NameContains": "\xed\xa0\x80"}', b'{"a": "\\ud800"}', b'\0', b' ',
                     b'[' * DEEP, b'{"a":' * DEEP, b'{"a": ' + b'[' * DEEP + b']' * DEEP + b'}',
                     b'{"MaxResults": 1e999}', b'{"MaxResults": 99999999999999999999999}'):
            status, _, answer = self.server.call('POST', '/', body, headers=TARGET)
            self.assertEqual(status, 400, body[:60])
            self.assertRegex(json.loads(answer)['__type'], 'SerializationException|ValidationException')
            for path in ('/hone/invitations', '/human-loops', '/endpoints/none/invocations'):
                status, _, answer = self.server.call('POST', path, body, headers={'Content-Type': 'application/json'})
                self.assertIn(status, (400, 404), (path, body[:60]))
                json.loads(answer)

    def test_field__of_the_wrong_type_is_refused(self):
        for field in ('MaxResults', 'NameContains', 'NextToken', 'SortOrder', 'CreationTimeAfter'):
            for value in ([], {}, True, -1, 1e308, 'x' * 10000, 'a\0b'):
                status, _, answer = self.server.call('POST', '/', {field: value}, headers=TARGET)
                self.assertIn(status, (200, 400), (field, value))
                if status == 400:
                    self.assertIn('ValidationException', json.loads(answer)['__type'])

    def test_operation__that_is_unknown_is_said_to_be(self):
        for target in ('SageMaker.Nothing', 'SageMaker.', 'SageMaker', 'AWSEvents.PutRule', 'x' * 4000):
            status, _, answer = self.server.call('POST', '/', b'{}', headers={**TARGET, 'X-Amz-Target': target})
            self.assertEqual((status, json.loads(answer)['__type']), (400, 'UnknownOperationException'), target[:60])

    def test_endpoint__that_is_unknown_is_said_to_be(self):
        status, headers, answer = self.server.call('POST', '/endpoints/none/invocations', {'inputs': 'x'})
        self.assertIn(status, (400, 404))
        self.assertIn('none', json.loads(answer)['message'])

    def test_client__that_stops_in_the_middle_harms_nobody(self):
        for cut in (b'G', b'GET / HTTP/1.1\r\nHost:', b'PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\nabc',
                    b'POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\nabc'):
            for _ in range(20):
                with socket.create_connection((self.server.host, self.server.port), timeout=10) as s:
                    s.sendall(cut)

    def test_expectation__is_answered_before_the_body(self):
        head = (f'PUT /hone-expect HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 0\r\n'
                f'Authorization: Bearer hone_{self.server.key}_{self.server.secret}\r\nConnection: close\r\n\r\n')
        self.assertIn(b'HTTP/1.1 200', self.raw(head.encode()))

    def test_many_connections__at_once_are_served(self):
        answers = []

        def ask():
            for _ in range(20):
                answers.append(self.server.call('GET', '/hone/me')[0])
        threads = [threading.Thread(target=ask) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [200] * 640)


class Events(ServerCase):
    def test_stream__says_at_once_what_happens(self):
        with socket.create_connection((self.server.host, self.server.port), timeout=30) as s:
            s.sendall(f'GET /hone/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer hone_{self.server.key}_'
                      f'{self.server.secret}\r\n\r\n'.encode())
            said = s.recv(65536)
            self.assertIn(b'text/event-stream', said)
            for name in ('one', 'two', 'three'):
                self.server.boto('s3').create_bucket(Bucket=f'bucket-{name}')
                while f's3://bucket-{name}'.encode() not in said:
                    piece = s.recv(65536)
                    self.assertTrue(piece)
                    said += piece
        self.assertEqual(self.server.stop(), 0)


class Spool(ServerCase):
    HEAD = b'PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n'

    def files(self):
        return list((self.server.data / 'spool').iterdir())

    def upload_half(self):
        s = socket.create_connection((self.server.host, self.server.port), timeout=10)
        self.addCleanup(s.close)
        s.sendall(self.HEAD + b'x' * (3 << 20))
        wait_for('spooled body', self.files)

    def test_half_a_body__is_gone_after_a_stop_and_after_a_kill(self):
        self.upload_half()
        self.assertEqual(self.server.stop(), 0)
        self.assertEqual(self.files(), [])
        self.server.start()
        self.upload_half()
        self.server.kill()
        self.assertEqual(len(self.files()), 1)
        self.server.start()
        self.assertEqual(self.files(), [])
