"""A disk that fills up: new work is refused with a clear error, nothing that was acknowledged is lost,
and once there is room again everything goes on."""
import pathlib
import subprocess
import tempfile
import unittest

from botocore.exceptions import ClientError

import loopkit
from support import HONE, Refused, Server

SIZE_MB = 64
CHUNK = 1 << 20
FULL = 'no space left'


class SmallDisk:
    """A tmpfs of SIZE_MB; skips the test where it cannot be mounted."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix='hone-disk-'))
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={SIZE_MB}m', 'tmpfs', str(self.path)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            self.path.rmdir()
            raise unittest.SkipTest(f'no rights to mount a tmpfs: {done.stderr.strip()}')

    def fill(self):
        """Take the last byte."""
        with (self.path / 'ballast').open('wb', buffering=0) as file:
            size = CHUNK
            while size:
                try:
                    file.write(b'x' * size)
                except OSError:
                    size //= 2

    def make_room(self):
        (self.path / 'ballast').unlink()

    def close(self):
        subprocess.run(['umount', str(self.path)], check=True)
        self.path.rmdir()


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.disk = SmallDisk()
        self.addCleanup(self.disk.close)
        self.server = Server(data=self.disk.path / 'data')
        self.addCleanup(self.server.close)
        self.server.start()
        self.flow = loopkit.make_flow(self.server)
        self.ann = self.server.invite('crew', 'ann')
        self.acknowledged = []

    def start_loops(self, prefix, count):
        """Start loops until one is refused or count are there; the refusal, if any."""
        for n in range(count):
            name = f'{prefix}-{n}'
            try:
                loopkit.start_loop(self.server, self.flow, name, f'{name} ' + 'x' * 20000)
            except ClientError as error:
                return error
            self.acknowledged.append(name)
        return None

    def check_all_there(self):
        for name in self.acknowledged:
            self.assertIn(loopkit.describe_loop(self.server, name)['HumanLoopStatus'], ('InProgress', 'Completed'))

    def test_new_work_is_refused_and_nothing_is_lost(self):
        self.assertIsNone(self.start_loops('before', 5))
        taken = self.ann.next()
        self.disk.fill()

        refusal = self.start_loops('full', 2000)
        self.assertIsNotNone(refusal, 'the disk was never full')
        self.assertIn(FULL, refusal.response['Error']['Message'])
        self.assertGreaterEqual(refusal.response['ResponseMetadata']['HTTPStatusCode'], 500)
        with self.assertRaises(ClientError):
            self.server.boto('s3').put_object(Bucket='reviews', Key='big', Body=b'x' * (4 << 20))
        answered = True
        try:
            self.ann.answer(taken, {'category': {'label': 'Positive'}})
        except Refused as refused:  # or it fits into what the database has left
            answered = False
            self.assertIn(FULL, str(refused))

        self.check_all_there()
        self.server.kill()
        self.disk.make_room()
        self.server.start()
        self.check_all_there()
        self.assertIsNone(self.start_loops('after', 3))
        self.check_all_there()
        self.finish(taken, answered)

    def finish(self, taken, answered):
        """The answer that was acknowledged is there; the one that was refused can be given again."""
        name = taken['task']['loop']
        if not answered:
            self.ann.answer(taken, {'category': {'label': 'Positive'}})
        loop = loopkit.describe_loop(self.server, name)
        self.assertEqual(loop['HumanLoopStatus'], 'Completed')
        answer, = loopkit.load_output(self.server, loop)['humanAnswers']
        self.assertEqual(answer['answerContent'], {'category': {'label': 'Positive'}})

    def test_a_server_that_starts_on_a_full_disk_says_so(self):
        self.server.stop()
        self.disk.fill()
        other = self.disk.path / 'other'
        done = subprocess.run([HONE, 'serve', '--data', str(other), '--listen', '127.0.0.1:0'],
                              capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 1)
        self.assertIn(FULL, done.stderr)


if __name__ == '__main__':
    unittest.main()
