"""kill -9 at any instant loses nothing that was acknowledged, and does nothing twice.

Each round starts the server on the same folder, lets clients predict, start loops and answer tasks
while a pipeline runs, kills the server after a random time, and starts it again. Then, by what the
clients were told: every acknowledged loop is there once; every acknowledged answer is in its loop's
output.json, alone; every output.json is whole and says what the database says; no job has two
processes. At the end every pipeline execution finishes.

The second variant does the same over a disk that forgets what was not synced.

HONE_LONG=1: 200 rounds instead of 20. HONE_SEED: other instants."""
import json
import os
import pathlib
import random
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest

from botocore.exceptions import ClientError

import loopkit
from support import HONE, ROOT, Refused, Server, wait_for

ROUNDS = 200 if os.environ.get('HONE_LONG') else 20
SEED = int(os.environ.get('HONE_SEED', '1'))
LABELS = ('Positive', 'Negative', 'Not Clear')
KILL_S = (0.02, 0.8)  # when, after the clients have begun


class World:
    """What the clients were told, which the server must still know after any crash."""

    def __init__(self):
        self.lock = threading.Lock()
        self.loops = {}    # name: text, acknowledged
        self.pending = {}  # name: text, asked for without an answer: it may be there or not
        self.answers = {}  # name: label, acknowledged
        self.tried = {}    # name: labels that were sent without an answer
        self.settled = set()  # loops whose answer was seen in a check: read again only at the end
        self.executions = {}  # ClientRequestToken: ARN; None where no answer came
        self.predictions = 0


class Clients:
    """Threads that use the server until it is gone."""

    def __init__(self, server, world, flow, reviewers, seed, pipeline):
        self.server, self.world, self.flow, self.seed = server, world, flow, seed
        self.gone = threading.Event()
        self.problems = []
        jobs = [self.predict, self.start_loops, self.watch_jobs] + [lambda r=r: self.review(r) for r in reviewers]
        if pipeline:
            jobs.append(self.start_pipeline)
        self.threads = [threading.Thread(target=self.run, args=(job,)) for job in jobs]
        for thread in self.threads:
            thread.start()

    def run(self, job):
        try:
            job()
        except (AssertionError, ClientError, Refused) as error:  # an answer, and not the right one
            self.problems.append(repr(error))
        except Exception as error:  # a call that broke: expected once the server is being killed
            if not self.gone.wait(5):
                self.problems.append(repr(error))

    def join(self):
        self.gone.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def predict(self):
        while not self.gone.is_set():
            try:
                found = loopkit.predict(self.server, 'the film was a play')
            except ClientError as error:
                if error.response['ResponseMetadata']['HTTPStatusCode'] not in (429, 503):  # not loaded yet
                    raise
                time.sleep(0.005)
                continue
            assert set(found) == {'label', 'score'}, found
            self.world.predictions += 1

    def start_loops(self):
        for n in range(10**6):
            if self.gone.is_set():
                return
            name, text = f'r{self.seed}-{n}', f'text {self.seed} {n} "<&'
            with self.world.lock:
                self.world.pending[name] = text
            loopkit.start_loop(self.server, self.flow, name, text)
            with self.world.lock:
                self.world.loops[name] = self.world.pending.pop(name)

    def review(self, reviewer):
        draw = random.Random(f'{self.seed} {reviewer.name}')
        for held in reviewer.tasks()['leased']:  # from before the crash: a page takes them up again
            if self.gone.is_set():
                return
            self.answer(reviewer, reviewer.accept(held), draw)
        while not self.gone.is_set():
            taken = reviewer.next()
            if taken['task']:
                self.answer(reviewer, taken, draw)
            else:
                time.sleep(0.005)

    def answer(self, reviewer, taken, draw):
        name, label = taken['task']['loop'], draw.choice(LABELS)
        with self.world.lock:
            self.world.tried.setdefault(name, set()).add(label)
        reviewer.answer(taken, {'category': {'label': label}})
        with self.world.lock:
            assert name not in self.world.answers, f'{name} was answered twice'
            self.world.answers[name] = label

    def start_pipeline(self):
        token = f'{self.seed:032d}'
        with self.world.lock:
            self.world.executions[token] = None
        arn = start_execution(self.server, token)
        with self.world.lock:
            self.world.executions[token] = arn

    def watch_jobs(self):
        """No folder of a job has two processes, at any time."""
        while not self.gone.is_set():
            folders = job_folders(self.server.data)
            double = {folder for folder in folders if folders.count(folder) > 1}
            assert not double, f'jobs that run twice: {double}'
            time.sleep(0.01)


def start_execution(server, token):
    return server.boto('sagemaker').start_pipeline_execution(
        PipelineName='tiny', ClientRequestToken=token)['PipelineExecutionArn']


def job_folders(data):
    """The folders of the jobs of a server that run now: one entry a process."""
    found = []
    for entry in pathlib.Path('/proc').iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / 'cmdline').read_bytes().split(b'\0')
            state = (entry / 'stat').read_text().rsplit(')', 1)[1].split()[0]
        except OSError:
            continue
        if len(words) > 2 and words[1] == b'job' and words[2].startswith(str(data).encode()) and state != 'Z':
            found.append(words[2].decode())
    return found


class Killed(unittest.TestCase):
    ROUNDS = ROUNDS

    def make_server(self):
        return Server(args=['--jobs', '2'])

    def lose(self):
        """What the crash takes away besides the process: kill -9 alone takes nothing."""

    def setUp(self):
        self.server = self.make_server()
        self.addCleanup(self.server.close)
        self.server.start()
        loopkit.deploy(self.server, loopkit.register(self.server, loopkit.tiny_archive()))
        self.flow = loopkit.make_flow(self.server)
        self.reviewers = [self.server.invite('crew', name) for name in ('ann', 'bob')]
        self.make_pipeline()
        self.world = World()

    def make_pipeline(self):
        base = loopkit.put(self.server, 'models', 'base/model.tar.gz', loopkit.tiny_archive())
        data = 'text,label\n' + ''.join(f'the film was in paper {n},{"good" if n % 2 else "bad"}\n' for n in range(60))
        loopkit.put(self.server, 'data', 'tiny/all.csv', data)
        definition = json.loads((ROOT / 'pipelines' / 'sentiment.json').read_text())
        defaults = {'InputData': 's3://data/tiny/', 'Reviews': 's3://reviews/a2i/', 'Output': 's3://data/runs',
                    'ModelPackageGroupName': 'tiny', 'ModelName': base, 'TrainSamples': 40, 'TestSamples': 10,
                    'Epochs': 2, 'MaxLength': 16}
        for parameter in definition['Parameters']:
            if parameter['Name'] in defaults:
                parameter['DefaultValue'] = defaults[parameter['Name']]
        self.server.boto('sagemaker').create_pipeline(
            PipelineName='tiny', PipelineDefinition=json.dumps(definition), RoleArn=loopkit.ROLE,
            ClientRequestToken='t' * 32)

    # --- the checks ---

    def list_loops(self):
        pages = self.server.boto('sagemaker-a2i-runtime').get_paginator('list_human_loops')
        return [loop for page in pages.paginate(FlowDefinitionArn=self.flow) for loop in page['HumanLoopSummaries']]

    def check(self, everything=False):
        listed = self.list_loops()
        names = [loop['HumanLoopName'] for loop in listed]
        self.assertEqual(len(names), len(set(names)), 'a loop is there twice')
        self.assertEqual(set(self.world.loops) - set(names), set(), 'acknowledged loops are gone')
        # What was asked for without an answer is there or not; from now on it is known which.
        for name in set(self.world.pending) & set(names):
            self.world.loops[name] = self.world.pending[name]
        self.world.pending.clear()
        self.assertEqual(set(names) - set(self.world.loops), set(), 'loops that nobody started')
        for loop in listed:
            if loop['HumanLoopName'] not in self.world.settled or everything:
                self.check_loop(loop['HumanLoopName'], loop['HumanLoopStatus'])
            else:
                self.assertEqual(loop['HumanLoopStatus'], 'Completed')
        self.check_database()

    def check_loop(self, name, status):
        acknowledged = self.world.answers.get(name)
        if status == 'Completed':
            output = loopkit.load_output(self.server, loopkit.describe_loop(self.server, name))
            answer, = output['humanAnswers']
            label = answer['answerContent']['category']['label']
            self.assertEqual((output['humanLoopName'], output['flowDefinitionArn']), (name, self.flow))
            self.assertEqual(output['inputContent'], {'taskObject': self.world.loops[name]})
            self.assertIn(label, self.world.tried.get(name, ()))
            if acknowledged:
                self.assertEqual(label, acknowledged)
            self.world.answers[name] = label  # it may have been unknown whether it had arrived
            self.world.settled.add(name)
        else:
            self.assertEqual(status, 'InProgress')
            self.assertIsNone(acknowledged, f'{name}: its acknowledged answer is gone')

    def check_database(self):
        database = self.server.data / 'hone.db'
        with sqlite3.connect(f'file:{database}?mode=ro', uri=True) as db:
            self.assertEqual(db.execute('PRAGMA integrity_check').fetchall(), [('ok',)])

    def check_executions(self):
        sm = self.server.boto('sagemaker')
        for token, arn in self.world.executions.items():  # asked again: the same execution, not another
            again = start_execution(self.server, token)
            self.assertIn(arn, (again, None))
            self.world.executions[token] = again
        arns = set(self.world.executions.values())
        listed = sm.list_pipeline_executions(PipelineName='tiny', MaxResults=100)['PipelineExecutionSummaries']
        self.assertEqual({e['PipelineExecutionArn'] for e in listed}, arns)

        def ended():
            found = {arn: sm.describe_pipeline_execution(PipelineExecutionArn=arn) for arn in arns}
            return found if all(f['PipelineExecutionStatus'] not in ('Executing', 'Stopping')
                                for f in found.values()) else None
        for arn, found in wait_for('end of all executions', ended, 300).items():
            self.assertEqual(found['PipelineExecutionStatus'], 'Succeeded', found.get('FailureReason'))
            steps = sm.list_pipeline_execution_steps(PipelineExecutionArn=arn)['PipelineExecutionSteps']
            self.assertEqual(len(steps), len({step['StepName'] for step in steps}), 'a step is there twice')
            self.assertEqual({step['StepStatus'] for step in steps}, {'Succeeded'})
        versions = sm.list_model_packages(ModelPackageGroupName='tiny', MaxResults=100)['ModelPackageSummaryList']
        self.assertEqual(len(versions), len(arns), 'each execution registers one version')

    # --- the rounds ---

    def round(self, number, draw):
        clients = Clients(self.server, self.world, self.flow, self.reviewers, SEED * 10000 + number,
                          pipeline=number % 5 == 0)
        time.sleep(draw.uniform(*KILL_S))
        clients.gone.set()  # from here on a broken call is no problem
        self.server.kill()
        clients.join()
        self.assertEqual(clients.problems, [])
        self.lose()
        self.server.start()
        self.check()

    def test_rounds(self):
        draw = random.Random(SEED)
        for number in range(self.ROUNDS):
            try:
                self.round(number, draw)
            except AssertionError as error:  # what comes after would only repeat it
                raise AssertionError(f'round {number}: {error}') from error
        self.assertGreater(len(self.world.loops), self.ROUNDS, 'the clients came to nothing')
        self.assertGreater(len(self.world.answers), self.ROUNDS // 2)
        self.assertGreater(self.world.predictions, self.ROUNDS)
        self.check_executions()
        self.check(everything=True)


class PowerCut(Killed):
    """The same over a disk that forgets: tests/crash/ takes back what was written and not synced, as a
    power cut may, where kill -9 leaves it in the page cache."""

    ROUNDS = max(ROUNDS // 2, 10)
    LAYER = pathlib.Path(HONE).parent / 'tests' / 'crash'

    def make_server(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix='hone-cut-'))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.taken_back = 0
        return Server(data=folder / 'data', args=['--jobs', '2'],
                      env={'LD_PRELOAD': str(self.LAYER / 'libcrash_layer.so'),
                           'HONE_CRASH_DIR': str(folder / 'data')})

    def lose(self):
        # Children die with the server, but not in the same instant; the disk must be still.
        wait_for('end of all jobs', lambda: not job_folders(self.server.data))
        done = subprocess.run([str(self.LAYER / 'undo'), str(self.server.data)], stdout=subprocess.PIPE,
                              text=True, check=True)
        self.taken_back += int(re.search(r'\d+', done.stdout)[0])

    def test_rounds(self):
        super().test_rounds()
        self.assertGreater(self.taken_back, 0, 'the disk forgot nothing: the test would show nothing')


if __name__ == '__main__':
    unittest.main()
