"""The commands that talk to a server: what they send, what they print, how they fail.

The server here is a script of answers on loopback that keeps what it was asked; the real one is
driven by tests/server/."""
import http.server
import json
import os
import pathlib
import tempfile
import threading
import unittest

from support import Case, hone

GROUP = 'arn:aws:sagemaker:us-east-1:123456789012:model-package/sentiment/'


class FakeServer:
    """answers: {operation or "METHOD /path": answer}; an answer is a dict, (status, dict), a list
    (one a call, the last one repeats) or a function of the request's body."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def serve(self):
                size = int(self.headers.get('Content-Length') or 0)
                body = self.rfile.read(size)
                target = self.headers.get('X-Amz-Target', '')
                name = target.removeprefix('SageMaker.') or f'{self.command} {self.path}'
                status, answer = server.answer(name, self.headers, body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header('Content-Length', str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = serve

            def log_message(self, *_):
                pass

        self.httpd = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.httpd.server_port}'
        threading.Thread(target=self.httpd.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, name, headers, body):
        self.asked.append((name, dict(headers), body))
        given = self.answers.get(name)
        if given is None:
            return 400, {'__type': 'UnknownOperationException', 'message': f'no {name} here'}
        if isinstance(given, list):
            given = given.pop(0) if len(given) > 1 else given[0]
        if callable(given):
            given = given(json.loads(body))
        return given if isinstance(given, tuple) else (200, given)

    def bodies(self, name):
        return [json.loads(body) for asked, _, body in self.asked if asked == name]

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


class ClientCase(Case):
    def serve(self, answers):
        server = FakeServer(answers)
        self.addCleanup(server.close)
        return server

    def ask(self, server, *args, **kwargs):
        """Run a command against the server, in an environment that says nothing else."""
        env = {'PATH': os.environ['PATH'], 'AWS_ACCESS_KEY_ID': 'HONEKEY', 'http_proxy': 'http://127.0.0.1:9',
               'AWS_SECRET_ACCESS_KEY': 'hush', 'AWS_ENDPOINT_URL': server.url, **kwargs.pop('env', {})}
        return hone(*args, env=env, **kwargs)

    def json_of(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)


def versions(*statuses):
    """Summaries as ListModelPackages gives them: the newest first."""
    return {'ModelPackageSummaryList': [
        {'ModelPackageGroupName': 'sentiment', 'ModelPackageVersion': n, 'ModelPackageArn': GROUP + str(n),
         'ModelApprovalStatus': status, 'CreationTime': 1795500000.5}
        for n, status in sorted(enumerate(statuses, 1), reverse=True)]}


class Finding(ClientCase):
    """Which server, and with which key."""

    def test_no_credentials_says_what_to_give(self):
        done = hone('models', env={'PATH': os.environ['PATH'], 'HOME': '/nowhere'})
        self.assert_fails(done, 'no credentials', '--data DIR')

    def test_no_server_says_how_to_start_one(self):
        server = FakeServer({})
        server.close()
        self.assert_fails(self.ask(server, 'models'), f'no server at {server.url}', 'hone serve')

    def test_the_key_goes_nowhere_in_the_clear(self):
        server = self.serve({})
        for url in ('http://example.com', 'http://127.0.0.1@example.com', 'http://localhost.example.com',
                    'ftp://127.0.0.1', 'http://127.0.0.1.example.com:8080'):
            done = self.ask(server, 'models', '--endpoint-url', url)
            self.assertEqual(done.returncode, 1, url)
            if not url.startswith('ftp'):
                self.assert_fails(done, 'in the clear')
        self.assertEqual(server.asked, [])

    def test_data_comes_before_the_environment(self):
        server = self.serve({'ListModelPackageGroups': {'ModelPackageGroupSummaryList': []}})
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, 'credentials').write_text(
                '[default]\naws_access_key_id = FILEKEY\naws_secret_access_key = filesecret\n'
                f'endpoint_url = {server.url}/\n')
            env = {'AWS_ENDPOINT_URL': 'http://127.0.0.1:9'}
            done = self.ask(server, 'models', '--data', folder, env=env)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(server.asked[0][1]['Authorization'], 'Bearer hone_FILEKEY_filesecret')
            done = self.ask(server, 'models', env={**env, 'HONE_CREDENTIALS': f'{folder}/credentials'})
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_broken_credentials_name_file_and_line(self):
        server = self.serve({})
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, 'credentials')
            for text, words in (('[default]\nwhat\n', 'line 2'), ('[default]\n', 'no aws_access_key_id'),
                                ('[default]\naws_access_key_id =\n', 'no plain value')):
                file.write_text(text)
                self.assert_fails(self.ask(server, 'models', '--data', folder), str(file), words)

    def test_a_refused_key_is_named_but_not_its_secret(self):
        server = self.serve({'ListModelPackageGroups': (401, {'message': 'who are you'})})
        done = self.ask(server, 'models')
        self.assert_fails(done, 'HONEKEY', 'who are you', '--data')
        self.assertNotIn('hush', done.stderr)


class Models(ClientCase):
    def test_list_follows_pages(self):
        group = {'ModelPackageGroupSummaryList': [{'ModelPackageGroupName': 'sentiment'}]}
        first = versions('Approved', 'Rejected', 'PendingManualApproval')
        server = self.serve({'ListModelPackageGroups': group,
                             'ListModelPackages': [{**first, 'NextToken': 'more'}, versions('Approved')]})
        rows = self.json_of(self.ask(server, 'models', '--json'))
        self.assertEqual([row['ModelPackageVersion'] for row in rows], [3, 2, 1, 1])
        self.assertEqual(server.bodies('ListModelPackages')[1]['NextToken'], 'more')

    def test_list_shows_columns(self):
        server = self.serve({'ListModelPackages': versions('Approved'),
                             'DescribeModelPackage': {'HoneMetrics': {'accuracy': 0.8352}}})
        done = self.ask(server, 'models', 'list', 'sentiment')
        self.assertRegex(done.stdout,
                         r'^GROUP +VERSION +STATUS .*\nsentiment +1 +Approved +83\.5 % +2026-11-24 06:00:00')

    def test_show_rounds_figures(self):
        server = self.serve({'ListModelPackages': versions('Approved'), 'DescribeModelPackage': {
            'HoneMetrics': {'accuracy': 0.82386363636363635, 'count': 176}, 'HoneLineage': {'learning_rate': 5.0000000000000002e-5}}})
        shown = self.ask(server, 'models', 'show', 'sentiment').stdout
        self.assertEqual(shown, 'HoneMetrics.accuracy = 0.823864\nHoneMetrics.count = 176\n'
                                'HoneLineage.learning_rate = 5e-5\n')

    def test_control_characters_do_not_reach_the_terminal(self):
        evil = versions('Approved')
        evil['ModelPackageSummaryList'][0]['ModelPackageDescription'] = '\x1b]0;owned\x07\nline'
        done = self.ask(self.serve({'ListModelPackages': evil}), 'models', 'list', 'sentiment')
        self.assertIn('?]0;owned??line', done.stdout)

    def test_approve_takes_the_newest_or_the_named(self):
        server = self.serve({'ListModelPackages': versions('Approved', 'Rejected', 'PendingManualApproval'),
                             'UpdateModelPackage': {'ModelPackageArn': GROUP + '3'}})
        self.assertEqual(self.ask(server, 'models', 'approve', 'sentiment').stdout, 'sentiment:3 is Approved\n')
        self.ask(server, 'models', 'reject', 'sentiment:1', '--note', 'worse')
        self.assertEqual(server.bodies('UpdateModelPackage'), [
            {'ModelPackageArn': GROUP + '3', 'ModelApprovalStatus': 'Approved'},
            {'ModelPackageArn': GROUP + '1', 'ModelApprovalStatus': 'Rejected', 'ApprovalDescription': 'worse'}])

    def test_a_version_that_is_not_there(self):
        server = self.serve({'ListModelPackages': versions('Rejected')})
        self.assert_fails(self.ask(server, 'models', 'show', 'sentiment:9'), "'sentiment' has no version 9")
        self.assert_fails(self.ask(server, 'models', 'show', 'sentiment:x'), 'GROUP:VERSION')
        self.assert_fails(self.ask(server, 'deploy', 'sentiment'), 'hone models approve sentiment')

    def test_unknown_verb_and_missing_word(self):
        server = self.serve({})
        self.assert_fails(self.ask(server, 'models', 'frob'), "unknown verb 'frob'", 'hone models --help')
        self.assert_fails(self.ask(server, 'models', 'approve'), 'expected: hone models approve GROUP')


class Endpoints(ClientCase):
    def deploy(self, described, *args):
        server = self.serve({'ListModelPackages': versions('Approved', 'Approved', 'Rejected'),
                             'CreateModel': {}, 'CreateEndpointConfig': {}, 'CreateEndpoint': {},
                             'UpdateEndpoint': {}, 'DescribeEndpoint': described})
        return server, self.ask(server, 'deploy', *args)

    def test_deploy_makes_the_endpoint(self):
        missing = (400, {'__type': 'ValidationException', 'message': 'Could not find endpoint "sentiment".'})
        server, done = self.deploy(missing, 'sentiment', '--json')
        self.assertEqual(self.json_of(done)['ModelPackageVersion'], 2)
        model = server.bodies('CreateModel')[0]
        self.assertEqual(model['Containers'], [{'ModelPackageName': GROUP + '2', 'Environment': {}}])
        config = server.bodies('CreateEndpointConfig')[0]
        self.assertEqual(config['ProductionVariants'][0]['ModelName'], model['ModelName'])
        self.assertEqual(server.bodies('CreateEndpoint'),
                         [{'EndpointName': 'sentiment', 'EndpointConfigName': config['EndpointConfigName']}])

    def test_deploy_passes_the_dtype_on(self):
        missing = (400, {'__type': 'ValidationException', 'message': 'Could not find endpoint "sentiment".'})
        server, done = self.deploy(missing, 'sentiment', '--dtype', 'int8')
        self.assertEqual(done.returncode, 0)
        self.assertEqual(server.bodies('CreateModel')[0]['Containers'][0]['Environment'], {'HONE_DTYPE': 'int8'})

    def swap(self, *last):
        """deploy --wait on an endpoint that is there: Updating, then what `last` makes of the names of
        the old configuration and the new one."""
        server = self.serve({'ListModelPackages': versions('Approved', 'Approved', 'Rejected'),
                             'CreateModel': {}, 'CreateEndpointConfig': {}, 'UpdateEndpoint': {}})
        states = [{'EndpointStatus': 'InService'}, {'EndpointStatus': 'Updating'}, *last]

        def describe(_):
            state = dict(states.pop(0) if len(states) > 1 else states[0])
            if state.pop('new', False):
                state['EndpointConfigName'] = server.bodies('UpdateEndpoint')[0]['EndpointConfigName']
            return {'EndpointConfigName': 'old', **state}
        server.answers['DescribeEndpoint'] = describe
        return server, self.ask(server, 'deploy', 'sentiment:1', '--endpoint', 'live', '--wait')

    def test_deploy_swaps_and_waits(self):
        server, done = self.swap({'EndpointStatus': 'InService'}, {'EndpointStatus': 'SystemUpdating'},
                                 {'EndpointStatus': 'InService', 'new': True})
        self.assertEqual(done.stdout, 'sentiment:1 is served by live\n')
        self.assertEqual(len(server.bodies('UpdateEndpoint')), 1)

    def test_deploy_tells_of_a_rollback(self):
        _, done = self.swap({'EndpointStatus': 'InService', 'FailureReason': 'no memory'})
        self.assert_fails(done, "'live' could not be deployed: no memory")

    def test_deploy_tells_why_it_failed(self):
        states = [{'EndpointStatus': 'InService'}, {'EndpointStatus': 'Failed', 'FailureReason': 'no model'}]
        _, done = self.deploy(states, 'sentiment', '--wait')
        self.assert_fails(done, "'sentiment' could not be deployed: no model")

    def test_deploy_refuses_what_is_not_approved(self):
        server, done = self.deploy({}, 'sentiment:3')
        self.assert_fails(done, 'is Rejected', 'hone models approve sentiment:3')
        self.assertEqual(server.bodies('CreateModel'), [])

    def test_list(self):
        server = self.serve({'ListEndpoints': {'Endpoints': [{'EndpointName': 'live'}]},
                             'DescribeEndpoint': {'EndpointName': 'live', 'EndpointStatus': 'InService',
                                                  'HoneStats': {'Version': 'sentiment:2', 'Dtype': 'int8', 'Invocations': 12,
                                                                'Errors': 1, 'LatencyP50Ms': 3.25}}})
        self.assertRegex(self.ask(server, 'endpoints').stdout, r'\nlive +InService +sentiment:2 +int8 +12 +1 +3\.2')


class Asking(ClientCase):
    def flow_server(self, score, threshold='0.7', audit='0', flows=('reviews',)):
        def invoke(body):
            return [{'label': 'positive', 'score': score} for _ in body['inputs']]
        return self.serve({
            'ListFlowDefinitions': {'FlowDefinitionSummaries': [
                {'FlowDefinitionName': name, 'FlowDefinitionArn': f'arn:x:flow-definition/{name}'} for name in flows]},
            'ListTags': {'Tags': [{'Key': 'hone:threshold', 'Value': threshold},
                                  {'Key': 'hone:audit', 'Value': audit}]},
            'POST /endpoints/live/invocations': invoke,
            'POST /human-loops': {'HumanLoopArn': 'arn:x:human-loop/y'}})

    def test_sure_asks_nobody(self):
        server = self.flow_server(0.912)
        done = self.ask(server, 'ask', 'live', 'What a day!')
        self.assertEqual(done.stdout, 'positive   0.912 >= 0.700  What a day!\n')
        self.assertEqual(server.bodies('POST /human-loops'), [])

    def test_unsure_starts_a_loop(self):
        server = self.flow_server(0.577)
        answer = self.json_of(self.ask(server, 'ask', 'live', 'Hm, "well"', '--json'))
        loop, = server.bodies('POST /human-loops')
        self.assertEqual((answer['asked'], answer['loop'], answer['reason'], answer['threshold']),
                         (True, loop['HumanLoopName'], 'unsure', 0.7))
        self.assertRegex(loop['HumanLoopName'], '^[0-9a-f]{24}$')
        content = json.loads(loop['HumanLoopInput']['InputContent'])
        self.assertEqual(content['taskObject'], 'Hm, "well"')
        self.assertEqual(content['hone']['score'], 0.577)

    def test_audit_draws_from_the_confident(self):
        server = self.flow_server(0.99, audit='1')
        self.assertEqual(self.json_of(self.ask(server, 'ask', 'live', 'x', '--json'))['reason'], 'audit')

    def test_a_file_of_many(self):
        server = self.flow_server(0.5)
        done = self.ask(server, 'ask', 'live', '--file', '-', stdin=''.join(f'text {i}\n\n' for i in range(70)))
        self.assertEqual((done.stdout.count('\n'), done.stderr), (70, '70 predicted, 70 asked\n'))
        sizes = [len(body['inputs']) for body in server.bodies('POST /endpoints/live/invocations')]
        self.assertEqual(sizes, [32, 32, 6])

    def test_predict_asks_nobody(self):
        server = self.flow_server(0.1)
        self.assertEqual(self.ask(server, 'ask', 'live', 'x', '--predict').stdout, 'positive   0.100  x\n')
        self.assertEqual([name for name, _, _ in server.asked], ['POST /endpoints/live/invocations'])

    def test_which_flow(self):
        self.assert_fails(self.ask(self.flow_server(1, flows=('a', 'b')), 'ask', 'live', 'x'), '2 flows', '--flow')
        self.assert_fails(self.ask(self.flow_server(1, flows=()), 'ask', 'live', 'x'), 'hone flows create')
        self.assert_fails(self.ask(self.flow_server(1), 'ask', 'live', 'x', '--flow', 'z'), "no flow 'z'")

    def test_bad_lines(self):
        server = self.flow_server(1)
        self.assert_fails(self.ask(server, 'ask', 'live'), 'either a TEXT or --file')
        server.answers['POST /endpoints/gone/invocations'] = (
            400, {'message': 'Endpoint gone of account 000000000000 not found.'})
        self.assert_fails(self.ask(server, 'ask', 'gone', 'x'), "no endpoint 'gone'", 'hone endpoints')
        bad = self.flow_server(1, threshold='much')
        self.assert_fails(self.ask(bad, 'ask', 'live', 'x'), "'hone:threshold' of flow 'reviews' is 'much'")

    def test_an_answer_that_is_none(self):
        for answer in ([], [{'label': 'x'}], [{'score': 1}], [1, 2]):
            server = self.flow_server(1)
            server.answers['POST /endpoints/live/invocations'] = lambda _, a=answer: a
            self.assert_fails(self.ask(server, 'ask', 'live', 'x'), "endpoint 'live'")


class Runs(ClientCase):
    ARN = 'arn:aws:sagemaker:us-east-1:123456789012:pipeline/sentiment/execution/abc123'

    def pipeline_server(self, last, steps):
        definition = json.dumps({'Steps': [{'Name': 'Process'}, {'Name': 'Train'}]})
        return self.serve({
            'CreatePipeline': {}, 'StartPipelineExecution': {'PipelineExecutionArn': self.ARN},
            'DescribePipelineDefinitionForExecution': {'PipelineDefinition': definition},
            'DescribePipelineExecution': [{'PipelineExecutionStatus': 'Executing'},
                                          {'PipelineExecutionStatus': last}],
            'ListPipelineExecutionSteps': [{'PipelineExecutionSteps': s} for s in steps]})

    def test_run_watches_until_the_end(self):
        working = [{'StepName': 'Process', 'StepStatus': 'Executing', 'StartTime': 1,
                    'HoneProgress': {'Share': 0.47, 'Loss': 0.3123, 'SecondsLeft': 21, 'Message': 'epoch 1 of 2'}}]
        done_steps = [{'StepName': 'Process', 'StepStatus': 'Succeeded', 'StartTime': 1, 'EndTime': 43},
                      {'StepName': 'Register', 'StepStatus': 'Succeeded', 'StartTime': 43, 'EndTime': 43,
                       'Metadata': {'RegisterModel': {'Arn': GROUP + '3'}}}]
        server = self.pipeline_server('Succeeded', [working, done_steps])
        done = self.ask(server, 'run', 'sentiment', '--param', 'Epochs=2', '--param=Note=a=b', '--watch')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('sentiment succeeded\nregistered sentiment:3', done.stdout)
        self.assertIn('Process: 47 %  loss 0.312  0:21 left  epoch 1 of 2\nProcess: done  0:42\n', done.stderr)
        self.assertEqual(server.bodies('StartPipelineExecution')[0]['PipelineParameters'],
                         [{'Name': 'Epochs', 'Value': '2'}, {'Name': 'Note', 'Value': 'a=b'}])

    def test_run_of_a_file_makes_or_updates_the_pipeline(self):
        server = self.pipeline_server('Succeeded', [[]])
        server.answers['CreatePipeline'] = (400, {'__type': 'ValidationException',
                                                  'message': 'Pipeline names must be unique: already exists'})
        server.answers['UpdatePipeline'] = {}
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, 'mine.json')
            file.write_text('{"Version": "2020-12-01", "Steps": []}')
            done = self.ask(server, 'run', file, '--detach')
        self.assertEqual(done.stdout, 'abc123\n')
        self.assertEqual(server.bodies('UpdatePipeline')[0]['PipelineName'], 'mine')

    def test_a_failed_step_is_the_error(self):
        steps = [{'StepName': 'Train', 'StepStatus': 'Failed', 'FailureReason': 'no such base'}]
        done = self.ask(self.pipeline_server('Failed', [steps]), 'run', 'sentiment')
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        self.assertIn('step Train failed: no such base', done.stderr)

    def test_show_says_why_a_step_waits(self):
        steps = [{'StepName': 'Process', 'StepStatus': 'Succeeded', 'StartTime': 1, 'EndTime': 3.5},
                 {'StepName': 'Train', 'StepStatus': 'Executing',
                  'HoneProgress': {'Message': 'tries again in 30 s: the disk is full'}}]
        done = self.ask(self.pipeline_server('Executing', [steps]), 'runs', 'show', self.ARN)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertRegex(done.stdout, r'\nTrain +Executing +tries again in 30 s: the disk is full\n')

    def test_bad_parameter(self):
        self.assert_fails(self.ask(self.serve({}), 'run', 'sentiment', '--param', 'Epochs'), 'NAME=VALUE')

    def test_stop_by_id(self):
        summaries = [{'PipelineExecutionArn': self.ARN, 'PipelineExecutionStatus': 'Executing'}]
        server = self.serve({'ListPipelines': {'PipelineSummaries': [{'PipelineName': 'sentiment'}]},
                             'ListPipelineExecutions': {'PipelineExecutionSummaries': summaries},
                             'StopPipelineExecution': {}})
        self.assertEqual(self.ask(server, 'runs', 'stop', 'abc123').stdout, 'abc123 is being stopped\n')
        self.assertEqual(server.bodies('StopPipelineExecution')[0]['PipelineExecutionArn'], self.ARN)
        self.assert_fails(self.ask(server, 'runs', 'stop', 'zzz'), "no run 'zzz'")


class People(ClientCase):
    def test_invite_prints_the_link(self):
        server = self.serve({'POST /hone/invitations': {'link': 'http://x/invite/T', 'mailed': False}})
        done = self.ask(server, 'users', 'invite', 'ann@example.org', '--team', 'crew')
        self.assertEqual(done.stdout, 'http://x/invite/T\n')
        self.assertEqual(server.bodies('POST /hone/invitations'),
                         [{'email': 'ann@example.org', 'role': 'reviewer', 'team': 'crew'}])

    def test_flows_create_undoes_its_half(self):
        server = self.serve({'DescribeWorkteam': {'Workteam': {'WorkteamArn': 'arn:team'}},
                             'CreateHumanTaskUi': {'HumanTaskUiArn': 'arn:ui'}, 'DeleteHumanTaskUi': {},
                             'CreateFlowDefinition': (400, {'__type': 'ResourceInUse', 'message': 'taken'})})
        args = ['flows', 'create', 'reviews', '--team', 'crew', '--output', 's3://b/p', '--audit', '0.05']
        self.assert_fails(self.ask(server, *args), 'taken')
        self.assertEqual(server.bodies('DeleteHumanTaskUi'), [{'HumanTaskUiName': 'reviews-ui'}])
        flow, = server.bodies('CreateFlowDefinition')
        self.assertEqual(flow['Tags'], [{'Key': 'hone:threshold', 'Value': '0.7'},
                                        {'Key': 'hone:audit', 'Value': '0.05'}])
        self.assertIn('crowd-classifier', server.bodies('CreateHumanTaskUi')[0]['UiTemplate']['Content'])

    def test_flows_create_checks_before_it_asks(self):
        server = self.serve({})
        base = ['--team', 'crew', '--output', 's3://b/p']
        for words, message in ((['Reviews'], 'lower-case'), (['r', '--threshold', '7'], '0 to 1'),
                               (['r', '--tasks', '4'], '1 to 3'), (['r', '--template', 'builtin:x'], 'builtin:sentiment')):
            self.assert_fails(self.ask(server, 'flows', 'create', *words, *base), message)
        self.assertEqual(server.asked, [])


class Review(ClientCase):
    PAGE = (b'<html><crowd-form><crowd-classifier name="category" header="Is it?" '
            b'categories="[\'Yes\', \'No\']"><classification-target>5 &lt; 6 &amp; <b>true</b>\x1b[2J'
            b'</classification-target></crowd-classifier></crowd-form>')

    def review_server(self, page=PAGE, tasks=2):
        taken = [{'task': {'id': n}, 'lease': f'L{n}', 'frame': f'/hone/tasks/{n}/frame?lease=L{n}'}
                 for n in range(1, tasks + 1)]
        answers = {'POST /hone/tasks/next': [*taken, {'task': None}]}
        for n in range(1, tasks + 1):
            answers[f'GET /hone/tasks/{n}/frame?lease=L{n}'] = page
            for verb in ('answer', 'release', 'decline'):
                answers[f'POST /hone/tasks/{n}/{verb}'] = {'answered': 1}
        return self.serve(answers)

    def test_answers_by_number(self):
        server = self.review_server()
        done = self.ask(server, 'review', stdin='9\nx\n2\n1\n')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('5 < 6 & true [2J\n', done.stdout)
        self.assertIn('2 answered; nothing is left', done.stdout)
        first, = server.bodies('POST /hone/tasks/1/answer')
        self.assertEqual((first['lease'], first['answer']), ('L1', {'category': {'label': 'No'}}))
        self.assertEqual(server.bodies('POST /hone/tasks/2/answer')[0]['answer'], {'category': {'label': 'Yes'}})

    def test_several_labels(self):
        page = self.PAGE.replace(b'crowd-classifier', b'crowd-classifier-multi-select')
        server = self.review_server(page, tasks=1)
        self.ask(server, 'review', stdin='1 2\n')
        self.assertEqual(server.bodies('POST /hone/tasks/1/answer')[0]['answer'],
                         {'category': {'labels': ['Yes', 'No']}})

    def test_decline_and_stop(self):
        server = self.review_server()
        done = self.ask(server, 'review', stdin='d\nq\n')
        self.assertEqual(done.stdout.splitlines()[-1], '0 answered')
        self.assertEqual(server.bodies('POST /hone/tasks/1/decline'), [{'lease': 'L1'}])
        self.assertEqual(server.bodies('POST /hone/tasks/2/release'), [{'lease': 'L2'}])

    def test_a_page_for_browsers_is_given_back(self):
        server = self.review_server(b'<p>draw a box</p>', tasks=1)
        done = self.ask(server, 'review')
        self.assert_fails(done, 'needs a browser')
        self.assertEqual(server.bodies('POST /hone/tasks/1/release'), [{'lease': 'L1'}])


class Import(ClientCase):
    def test_only_what_parses_is_sent(self):
        server = self.serve({'PUT /hone-data': b'', 'PUT /hone-data/set%20one/good.csv': b''})
        with tempfile.TemporaryDirectory() as folder:
            good, bad = pathlib.Path(folder, 'good.csv'), pathlib.Path(folder, 'bad.csv')
            good.write_text('text,label\nfine,yes\npoor,no\n')
            bad.write_text('text,label\n"open,yes\n')
            self.assert_fails(self.ask(server, 'import', 'set one', good, bad), 'bad.csv')
            self.assertEqual(server.asked, [])
            done = self.ask(server, 'import', 'set one', good)
            self.assertEqual(done.stdout, 's3://hone-data/set one/good.csv  2 records, 2 labels\n')
        self.assertEqual(server.asked[-1][2], b'text,label\nfine,yes\npoor,no\n')

    def test_files_are_described_as_for_train(self):
        server = self.serve({'PUT /hone-data': b'', 'PUT /hone-data/set/odd.txt': b''})
        flags = ('--text-column', 'body', '--label-column', 'mood', '--delimiter', ';', '--encoding', 'latin-1')
        with tempfile.TemporaryDirectory() as folder:
            odd = pathlib.Path(folder, 'odd.txt')
            odd.write_bytes('mood;body\nyes;fein\nno;übel\n'.encode('latin-1'))
            self.assert_fails(self.ask(server, 'import', 'set', odd), 'odd.txt', 'ends in none of', '--delimiter')
            for names in (flags, ('--text', 'body', '--label', 'mood', *flags[4:])):
                done = self.ask(server, 'import', 'set', odd, *names)
                self.assertEqual(done.stdout, 's3://hone-data/set/odd.txt  2 records, 2 labels\n', done.stderr)
        shown = self.ask(server, 'import', '--help').stdout
        self.assertIn('--text-column NAME', shown)
        self.assertNotIn('--text NAME', shown)


if __name__ == '__main__':
    unittest.main()
