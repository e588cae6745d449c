"""The loop of the README by hone's own commands, against a running server: the tiny model, and a
reviewer in the terminal."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import loopkit
from support import HONE, ServerCase
from tiny import csv, sentences

PARAMS = {'Epochs': 3, 'TrainBatchSize': 16, 'LearningRate': 3e-3, 'WarmupSteps': 5, 'MaxLength': 30, 'TrainSamples': 0,
          'TestSamples': 0, 'ReviewWeight': 5, 'LabelMap': json.dumps({'Positive': 'pos', 'Negative': 'neg'})}


class Commands(ServerCase):
    def ok(self, *args, **kwargs):
        done = self.server.hone(*args, **kwargs)
        self.assertEqual(done.returncode, 0, f'hone {args}: {done.stderr}')
        return done

    def json(self, *args, **kwargs):
        return json.loads(self.ok(*args, '--json', **kwargs).stdout)

    def fails(self, *args, words):
        done = self.server.hone(*args)
        self.assertEqual((done.returncode, done.stdout), (1, ''), args)
        self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
        self.assertIn(words, done.stderr)

    def train(self, number):
        base = loopkit.put(self.server, 'models', 'base/model.tar.gz', loopkit.tiny_archive())
        words = [word for name, value in {**PARAMS, 'ModelName': base}.items() for word in ('--param', f'{name}={value}')]
        done = self.ok('run', 'sentiment', *words)
        self.assertIn(f'registered sentiment:{number}', done.stdout)
        self.assertIn('FineTune: done', done.stderr)
        self.assertEqual(self.ok('models', 'approve', 'sentiment').stdout, f'sentiment:{number} is Approved\n')
        self.ok('deploy', 'sentiment', '--wait')

    def test_the_loop(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, rows in (('train.csv', sentences(200)), ('test.csv', sentences(60, seed=2))):
                pathlib.Path(folder, name).write_text(csv(rows))
            self.ok('import', 'starter', f'{folder}/train.csv', f'{folder}/test.csv')
        self.fails('deploy', 'sentiment', words='no version')
        self.train(1)
        self.ok('teams', 'create', 'crew')
        link = self.ok('users', 'invite', 'ann@example.org', '--team', 'crew').stdout.strip()
        self.assertTrue(link.startswith(self.server.url), link)
        self.ok('flows', 'create', 'doubts', '--team', 'crew', '--output', 's3://hone-data/reviews', '--threshold', '0.9')
        self.fails('flows', 'create', 'doubts', '--team', 'crew', '--output', 's3://hone-data/reviews', words='doubts')

        texts = [text for text, _ in sentences(24, seed=7, words=('light',), labels=('pos',))]
        asked = self.ask(texts)
        self.assertEqual(asked[0]['asked'], True)
        loops = {answer['loop']: answer['text'] for answer in asked if answer['asked']}
        self.review(len(loops))
        self.check_loops(loops)
        self.train(2)
        for answer in self.ask(list(loops.values())):
            self.assertEqual((answer['label'], answer['asked']), ('pos', False), answer)
        self.look_around()

    def ask(self, texts):
        done = self.ok('ask', 'sentiment', '--file', '-', '--json', stdin='\n'.join(texts) + '\n')
        return [json.loads(line) for line in done.stdout.splitlines()]

    def review(self, count):
        """Answer everything in the terminal, with the reviewer's own key."""
        ann = self.server.invite('crew', 'bob')
        key = ann.call('POST', '/hone/keys', {})
        env = {**os.environ, 'AWS_ACCESS_KEY_ID': key['key_id'], 'AWS_SECRET_ACCESS_KEY': key['secret'],
               'AWS_ENDPOINT_URL': self.server.url}
        env.pop('HONE_CREDENTIALS', None)
        done = subprocess.run([HONE, 'review'], input='1\n' * count, env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('light', done.stdout)
        self.assertIn(f'{count} answered; nothing is left', done.stdout)
        refused = subprocess.run([HONE, 'models'], env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual(refused.returncode, 1, 'a reviewer lists models')

    def check_loops(self, loops):
        listed = self.json('loops')
        self.assertEqual({loop['HumanLoopName'] for loop in listed}, set(loops))
        name, text = next(iter(loops.items()))
        shown = self.json('loops', 'show', name)
        self.assertEqual(shown['Output']['inputContent']['taskObject'], text)
        self.assertEqual(shown['Output']['humanAnswers'][0]['answerContent'], {'category': {'label': 'Positive'}})
        self.assertIn(text, self.ok('loops', 'show', name).stdout)

    def look_around(self):
        self.assertRegex(self.ok('models').stdout, r'sentiment +2 +Approved +\d+\.\d %')
        runs = self.json('runs')
        self.assertEqual({run['PipelineExecutionStatus'] for run in runs[:2]}, {'Succeeded'})  # the newest
        run = runs[0]['PipelineExecutionArn'].rsplit('/', 1)[1]
        self.assertIn('FineTune', self.ok('runs', 'show', run).stdout)
        self.assertRegex(self.ok('endpoints').stdout, r'sentiment +InService +sentiment:2 +f32 +\d+ +0')
        self.assertEqual(self.json('models', 'show', 'sentiment:2')['ModelPackageVersion'], 2)
        self.assertIn('crew', self.ok('teams').stdout)
        self.assertIn('bob', self.ok('users').stdout)
        self.assertIn('doubts', self.ok('flows').stdout)
        self.assertEqual({tag['Key'] for tag in self.json('flows', 'show', 'doubts')['Tags']},
                         {'hone:threshold', 'hone:audit'})
        self.ok('undeploy', 'sentiment')
        self.fails('ask', 'sentiment', 'x', words="no endpoint 'sentiment'")
        self.fails('undeploy', 'sentiment', words="no endpoint 'sentiment'")
        self.ok('deploy', 'sentiment:1', '--endpoint', 'other', '--wait')

    def test_a_run_that_is_stopped(self):
        base = loopkit.put(self.server, 'models', 'base/model.tar.gz', loopkit.tiny_archive())
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, 'all.csv').write_text(csv(sentences(400)))
            self.ok('import', 'long', f'{folder}/all.csv')
        run = self.ok('run', 'sentiment', '--detach', '--param', f'ModelName={base}', '--param', 'Epochs=9999', '--param',
                      'InputData=s3://hone-data/long/', '--param', 'ModelPackageGroupName=never').stdout.strip()
        self.ok('runs', 'stop', run)
        done = self.server.hone('runs', 'show', run)
        self.assertRegex(done.stdout, 'Stopp(ing|ed)')


if __name__ == '__main__':
    unittest.main()
