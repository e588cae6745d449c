"""The server over TLS: boto3 sends bodies unsigned there, in chunks with the checksum behind them."""
import contextlib
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

from support import Server


def make_certificate(folder):
    """A key and a certificate of its own for 127.0.0.1."""
    cert, key = folder / 'cert.pem', folder / 'key.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=hone',
                    '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-keyout', str(key), '-out', str(cert)],
                   check=True, capture_output=True)
    return cert, key


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which('openssl'):
            raise unittest.SkipTest('openssl is not installed')
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='hone-tls-'))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.cert, key = make_certificate(cls.folder)
        config = cls.folder / 'config.json'
        config.write_text(json.dumps({'tls': {'cert': str(cls.cert), 'key': str(key)}}))
        cls.server = Server(args=['--config', str(config)])
        cls.addClassCleanup(cls.server.close)
        cls.server.start()

    def client(self, service):
        import boto3
        from botocore.config import Config
        return boto3.client(service, endpoint_url=self.server.url, region_name='us-east-1', verify=str(self.cert),
                            aws_access_key_id=self.server.key, aws_secret_access_key=self.server.secret,
                            config=Config(retries={'total_max_attempts': 1}, proxies={}))

    def test_objects__come_out_of_both_framings(self):
        self.assertTrue(self.server.url.startswith('https://'))
        s3 = self.client('s3')
        sent = []
        s3.meta.events.register('before-send.s3', lambda request, **_: sent.append(dict(request.headers)))
        s3.create_bucket(Bucket='tls')
        for size in (0, 5, (1 << 20) + 3, 3 << 20):
            body = b'ab\r\n' * (size // 4) + b'c' * (size % 4)
            s3.put_object(Bucket='tls', Key='sized', Body=body)
            self.assertIn(b'STREAMING-UNSIGNED-PAYLOAD-TRAILER', sent[-1]['X-Amz-Content-SHA256'])
            got = s3.get_object(Bucket='tls', Key='sized')
            self.assertEqual(got['Body'].read(), body)
            self.assertNotIn('ContentEncoding', got)
        self.assertEqual(list((self.server.data / 'spool').iterdir()), [])

    def test_large_file__goes_in_parts(self):
        path = self.folder / 'large'
        path.write_bytes(b'0123456789abcdef' * (1 << 20))
        s3 = self.client('s3')
        s3.create_bucket(Bucket='tls-parts')
        s3.upload_file(str(path), 'tls-parts', 'large')
        s3.download_file('tls-parts', 'large', str(path) + '.back')
        self.assertEqual(path.read_bytes(), (self.folder / 'large.back').read_bytes())

    def test_other_services__work_too(self):
        self.assertIn(':assumed-role/', self.client('sts').get_caller_identity()['Arn'])
        self.assertEqual(self.client('sagemaker').list_endpoints()['Endpoints'], [])

    def test_certificate__that_cannot_be_used_is_a_clear_error(self):
        config = self.folder / 'bad.json'
        config.write_text(json.dumps({'tls': {'cert': str(self.cert), 'key': str(self.cert)}}))
        bad = Server(args=['--config', str(config)])
        self.addCleanup(bad.close)
        with self.assertRaisesRegex(AssertionError, 'cannot use .* for TLS'):
            bad.start()


class Proxy:
    """Does TLS before a plain server, and passes bytes on as they are."""

    def __init__(self, cert, key, port):
        self.target = ('127.0.0.1', port)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.url = f'https://127.0.0.1:{self.listener.getsockname()[1]}'
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                raw, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw):
        with contextlib.suppress(OSError), self.context.wrap_socket(raw, server_side=True) as outer, \
                socket.create_connection(self.target) as inner:
            back = threading.Thread(target=self._pass, args=(inner, outer), daemon=True)
            back.start()
            self._pass(outer, inner)
            inner.shutdown(socket.SHUT_WR)
            back.join()

    def _pass(self, source, sink):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)


class BehindProxy(unittest.TestCase):
    def setUp(self):
        if not shutil.which('openssl'):
            raise unittest.SkipTest('openssl is not installed')
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='hone-tls-'))
        self.addCleanup(shutil.rmtree, self.folder)
        self.cert, self.key = make_certificate(self.folder)

    def put(self, *args):
        """A body that boto3 leaves unsigned, put through a proxy to a server with these flags."""
        import boto3
        from botocore.config import Config
        server = Server(args=args)
        self.addCleanup(server.close)
        server.start()
        proxy = Proxy(self.cert, self.key, server.port)
        self.addCleanup(proxy.close)
        s3 = boto3.client('s3', endpoint_url=proxy.url, region_name='us-east-1', verify=str(self.cert),
                          aws_access_key_id=server.key, aws_secret_access_key=server.secret,
                          config=Config(retries={'total_max_attempts': 1}, proxies={}))
        s3.create_bucket(Bucket='far')
        body = b'xyz' * 500_000
        s3.put_object(Bucket='far', Key='one', Body=body)
        self.assertEqual(s3.get_object(Bucket='far', Key='one')['Body'].read(), body)
        return server

    def test_unsigned_bodies_are_taken_when_the_server_knows_of_the_proxy(self):
        server = self.put('--tls-proxy')
        found = server.credentials()
        _, headers, _ = server.call('POST', '/hone/login', {
            'name': found['hone_portal_user'], 'password': found['hone_portal_password']}, token=False)
        self.assertIn('; Secure', headers['Set-Cookie'])

    def test_and_refused_when_it_does_not(self):
        import botocore.exceptions
        with self.assertRaisesRegex(botocore.exceptions.ClientError, 'SignatureDoesNotMatch'):
            self.put()

    def test_it_has_no_tls_of_its_own_then(self):
        config = self.folder / 'config.json'
        config.write_text(json.dumps({'tls': {'cert': str(self.cert), 'key': str(self.key)}, 'tls_proxy': True}))
        server = Server(args=['--config', str(config)])
        self.addCleanup(server.close)
        with self.assertRaisesRegex(AssertionError, 'tls and tls_proxy: one of them'):
            server.start()
