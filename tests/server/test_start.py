"""A server on an empty folder: what it makes, and starts that must fail."""
import os
import socket
import stat
import subprocess
import unittest

from support import HONE, Server, ServerCase


class Start(ServerCase):
    def test_credentials_are_private_and_complete(self):
        path = self.server.data / 'credentials'
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        found = self.server.credentials()
        for key in ('aws_access_key_id', 'aws_secret_access_key', 'endpoint_url', 'hone_portal_user',
                    'hone_portal_password'):
            self.assertTrue(found.get(key), key)

    def test_the_secret_is_not_printed(self):
        self.assertNotIn(self.server.secret, self.server.log_text())

    def test_it_knows_its_key(self):
        me = self.server.json('GET', '/hone/me')
        self.assertEqual(me['role'], 'admin')
        status, _, _ = self.server.call('GET', '/hone/me', token=False)
        self.assertEqual(status, 401)

    def test_commands_find_it(self):
        done = self.server.hone('users')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('admin', done.stdout)


class CannotStart(unittest.TestCase):
    def fails(self, *args):
        done = subprocess.run([HONE, 'serve', *args], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)

    def test_a_second_server_on_one_folder(self):
        self.server.start()
        self.assertIn(str(self.server.data), self.fails('--data', str(self.server.data), '--listen', '127.0.0.1:0'))
        self.assertEqual(self.server.json('GET', '/hone/me')['role'], 'admin')

    def test_a_port_in_use(self):
        with socket.create_server(('127.0.0.1', 0)) as taken:
            address = f'127.0.0.1:{taken.getsockname()[1]}'
            self.assertIn(address.rsplit(':', 1)[1], self.fails('--data', str(self.server.data), '--listen', address))

    def test_beyond_loopback_needs_tls_or_the_flag(self):
        self.assertIn('TLS', self.fails('--data', str(self.server.data), '--listen', '0.0.0.0:0'))
        self.assertFalse(os.path.exists(self.server.data / 'credentials'))

    def test_it_stops_and_starts_again_with_the_same_key(self):
        self.server.start()
        key, secret = self.server.key, self.server.secret
        self.assertEqual(self.server.stop(), 0)
        self.server.start()
        self.assertEqual((self.server.key, self.server.secret), (key, secret))
        self.assertEqual(self.server.json('GET', '/hone/me')['role'], 'admin')


if __name__ == '__main__':
    unittest.main()
