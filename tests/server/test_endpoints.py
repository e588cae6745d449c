"""Endpoints over the wire, with an unmodified boto3: a version is registered, approved and deployed, answers,
is replaced under load and deleted; and what is asked wrongly is refused in the service's own words."""
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest

import botocore.exceptions

from support import HONE, Server, ServerCase, wait_for
import tiny

TEXTS = ['the film was in it', 'a letter', 'paper and play']


def refusal(call, **kwargs):
    """(code, message, HTTP status) of a call that must be refused."""
    try:
        call(**kwargs)
    except botocore.exceptions.ClientError as e:
        return (e.response['Error']['Code'], e.response['Error']['Message'],
                e.response['ResponseMetadata']['HTTPStatusCode'])
    raise AssertionError(f'{kwargs} was not refused')


def make_model(folder, labels, shift=0.0):
    """A tiny model whose labels are these three; shift moves the first logit."""
    import struct
    tiny.make_model(folder)
    config = json.loads((folder / 'config.json').read_text())
    config['id2label'] = {str(i): label for i, label in enumerate(labels)}
    config.pop('label2id', None)
    (folder / 'config.json').write_text(json.dumps(config))
    tensors = tiny.read_weights(folder / 'model.safetensors')
    dtype, shape, data = tensors['classifier.bias']
    values = list(struct.unpack(f'<{len(data) // 4}f', data))
    values[0] += shift
    tensors['classifier.bias'] = (dtype, shape, struct.pack(f'<{len(values)}f', *values))
    (folder / 'model.safetensors').write_bytes(tiny.with_header(*tiny.layout(tensors)))
    return folder


def pack(folder):
    """model.tar.gz as a training script's Python makes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w:gz') as tar:
        tar.add(folder, arcname='.')
    return out.getvalue()


def predict(folder, texts):
    """[{"label", "score"}] as `hone predict` gives them."""
    done = subprocess.run([HONE, 'predict', '--model', str(folder)], input='\n'.join(texts) + '\n',
                          capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


class Deployed(ServerCase):
    """A server with a bucket, two models in it, and a group."""

    ARGS = ('--threads', '2')
    LABELS = (['Angry', 'Bored', 'Calm'], ['Dull', 'Eager', 'Fond'])

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.open_clients()
        place = tempfile.TemporaryDirectory()
        cls.addClassCleanup(place.cleanup)
        cls.folders = [make_model(pathlib.Path(place.name) / f'm{i}', labels, shift=8.0 * i)
                       for i, labels in enumerate(cls.LABELS)]
        cls.s3.create_bucket(Bucket='models')
        for i, folder in enumerate(cls.folders):
            cls.s3.put_object(Bucket='models', Key=f'm{i}/model.tar.gz', Body=pack(folder))
        cls.s3.put_object(Bucket='models', Key='junk/model.tar.gz', Body=b'no archive')

    @classmethod
    def open_clients(cls):
        """Clients of the port that the server has now."""
        cls.sm, cls.rt, cls.s3 = (cls.server.boto(name) for name in ('sagemaker', 'sagemaker-runtime', 's3'))

    def restart(self, end=None):
        (end or self.server.stop)()
        self.server.start()
        self.open_clients()

    def register(self, group, which, status='Approved'):
        made = self.sm.create_model_package(
            ModelPackageGroupName=group, ModelApprovalStatus=status, ModelPackageDescription=f'model {which}',
            InferenceSpecification={'Containers': [{'Image': 'hone/native',
                                                    'ModelDataUrl': f's3://models/{which}/model.tar.gz'}],
                                    'SupportedContentTypes': ['application/json'],
                                    'SupportedResponseMIMETypes': ['application/json']})
        return made['ModelPackageArn']

    def configure(self, name, package, **container):
        self.sm.create_model(ModelName=name, Containers=[{'ModelPackageName': package, **container}],
                             ExecutionRoleArn='arn:aws:iam::000000000000:role/any')
        self.sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
            {'VariantName': 'AllTraffic', 'ModelName': name, 'InitialInstanceCount': 1,
             'InstanceType': 'ml.m5.xlarge', 'InitialVariantWeight': 1}])

    def status(self, endpoint):
        return self.sm.describe_endpoint(EndpointName=endpoint)['EndpointStatus']

    def await_service(self, endpoint):
        wait_for(f'{endpoint} in service', lambda: self.status(endpoint) == 'InService')

    def deploy(self, endpoint, which):
        self.configure(endpoint, self.register(endpoint, which))
        self.sm.create_endpoint(EndpointName=endpoint, EndpointConfigName=endpoint, Tags=[])
        self.await_service(endpoint)

    def invoke(self, endpoint, body, **kwargs):
        answer = self.rt.invoke_endpoint(EndpointName=endpoint, ContentType='application/json',
                                         Body=json.dumps(body), **kwargs)
        return json.loads(answer['Body'].read()), answer


class TestRegistry(Deployed):
    def test_versions_are_numbered_listed_and_approved(self):
        arns = [self.register('Bees', 'm0', 'PendingManualApproval') for _ in range(3)]
        self.assertTrue(arns[2].endswith(':model-package/bees/3'), arns)
        listed = self.sm.list_model_packages(ModelPackageGroupName='Bees')['ModelPackageSummaryList']
        self.assertEqual([v['ModelPackageVersion'] for v in listed], [1, 2, 3])  # ascending, as documented
        self.sm.update_model_package(ModelPackageArn=arns[1], ModelApprovalStatus='Approved',
                                     ApprovalDescription='fine')
        approved = self.sm.list_model_packages(ModelPackageGroupName='Bees', ModelApprovalStatus='Approved',
                                               SortBy='CreationTime', SortOrder='Descending', MaxResults=100)
        self.assertEqual([v['ModelPackageArn'] for v in approved['ModelPackageSummaryList']], [arns[1]])
        one = self.sm.describe_model_package(ModelPackageName=arns[1])
        self.assertEqual(one['ModelApprovalStatus'], 'Approved')
        self.assertEqual(one['ApprovalDescription'], 'fine')
        self.assertEqual(one['ModelPackageStatus'], 'Completed')
        self.assertEqual(one['InferenceSpecification']['Containers'][0]['ModelDataUrl'],
                         's3://models/m0/model.tar.gz')
        pages = self.sm.get_paginator('list_model_packages').paginate(
            ModelPackageGroupName='Bees', PaginationConfig={'PageSize': 2})
        self.assertEqual([len(p['ModelPackageSummaryList']) for p in pages], [2, 1])
        self.sm.delete_model_package(ModelPackageName=arns[0])
        code, message, _ = refusal(self.sm.describe_model_package, ModelPackageName=arns[0])
        self.assertEqual(code, 'ValidationException')
        self.assertIn('Could not find', message)

    def test_groups(self):
        self.sm.create_model_package_group(ModelPackageGroupName='Ants', ModelPackageGroupDescription='all of them',
                                           Tags=[{'Key': 'team', 'Value': 'blue'}])
        one = self.sm.describe_model_package_group(ModelPackageGroupName='Ants')
        self.assertEqual(one['ModelPackageGroupDescription'], 'all of them')
        self.assertEqual(one['ModelPackageGroupStatus'], 'Completed')
        code, message, _ = refusal(self.sm.create_model_package_group, ModelPackageGroupName='ants')
        self.assertEqual((code, 'already exists' in message), ('ValidationException', True))
        names = [g['ModelPackageGroupName'] for g in
                 self.sm.list_model_package_groups(NameContains='Ants')['ModelPackageGroupSummaryList']]
        self.assertEqual(names, ['Ants'])
        self.register('Ants', 'm0')
        self.assertEqual(refusal(self.sm.delete_model_package_group, ModelPackageGroupName='Ants')[0],
                         'ConflictException')

    def test_a_version_does_not_change(self):
        arn = self.register('Wasps', 'm0')
        code, message, _ = refusal(self.sm.update_model_package, ModelPackageArn=arn, SourceUri='s3://models/x')
        self.assertEqual((code, 'does not change' in message), ('ValidationException', True))
        self.sm.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={'a': '1', 'b': '2'})
        self.sm.update_model_package(ModelPackageArn=arn, CustomerMetadataPropertiesToRemove=['a'])
        self.assertEqual(self.sm.describe_model_package(ModelPackageName=arn)['CustomerMetadataProperties'],
                         {'b': '2'})

    def test_models(self):
        pending = self.register('Moths', 'm0', 'PendingManualApproval')
        code, message, _ = refusal(self.sm.create_model, ModelName='moth',
                                   Containers=[{'ModelPackageName': pending}])
        self.assertEqual((code, 'approve it first' in message), ('ValidationException', True))
        data = {'Image': 'any', 'ModelDataUrl': 's3://models/m0/model.tar.gz', 'Environment': {'A': 'b'}}
        self.sm.create_model(ModelName='moth', PrimaryContainer=data)
        self.assertEqual(self.sm.describe_model(ModelName='moth')['PrimaryContainer'], data)
        code, message, _ = refusal(self.sm.create_model, ModelName='moth', PrimaryContainer=data)
        self.assertEqual((code, 'Cannot create already existing model' in message), ('ValidationException', True))
        for dtype in ('int4', '', 'INT8'):
            code, message, _ = refusal(self.sm.create_model, ModelName='moth2', PrimaryContainer={
                **data, 'Environment': {'HONE_DTYPE': dtype}})
            self.assertEqual(code, 'ValidationException')
            self.assertIn(f"HONE_DTYPE: dtype '{dtype}': expected f32", message)
        data['ModelDataUrl'] = 's3://models/none/model.tar.gz'
        code, message, _ = refusal(self.sm.create_model, ModelName='moth2', PrimaryContainer=data)
        self.assertEqual((code, 'Could not find model data' in message), ('ValidationException', True))
        self.assertIn('moth', [m['ModelName'] for m in self.sm.list_models()['Models']])
        self.sm.delete_model(ModelName='moth')
        code, message, _ = refusal(self.sm.describe_model, ModelName='moth')
        self.assertEqual((code, 'Could not find' in message), ('ValidationException', True))


class TestEndpoint(Deployed):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.deploy(cls(), 'mood', 'm0')

    def test_answers_are_those_of_the_engine(self):
        want = predict(self.folders[0], TEXTS)
        for text, expected in zip(TEXTS, want):
            got, answer = self.invoke('mood', {'inputs': text})
            self.assertEqual(len(got), 1)
            self.assertEqual(got[0]['label'], expected['label'])
            self.assertAlmostEqual(got[0]['score'], expected['score'], places=5)
            self.assertEqual(answer['InvokedProductionVariant'], 'AllTraffic')
            self.assertEqual(answer['ContentType'], 'application/json')
            headers = answer['ResponseMetadata']['HTTPHeaders']
            self.assertTrue(headers['x-hone-model-package'].endswith('/mood/1'))
            self.assertNotIn('x-hone-truncated', headers)
        got, _ = self.invoke('mood', {'inputs': TEXTS})
        self.assertEqual([g['label'] for g in got], [w['label'] for w in want])

    def test_parameters(self):
        single, _ = self.invoke('mood', {'inputs': TEXTS[0], 'parameters': {'top_k': None}})
        self.assertEqual(sorted(s['label'] for s in single), self.LABELS[0])
        self.assertEqual([s['score'] for s in single], sorted((s['score'] for s in single), reverse=True))
        self.assertAlmostEqual(sum(s['score'] for s in single), 1.0, places=6)
        two, _ = self.invoke('mood', {'inputs': TEXTS, 'parameters': {'top_k': 2}})
        self.assertEqual([len(t) for t in two], [2, 2, 2])
        self.assertEqual(two[0], single[:2])
        everything, _ = self.invoke('mood', {'inputs': TEXTS[0], 'parameters': {'return_all_scores': True}})
        self.assertEqual([s['label'] for s in everything[0]], self.LABELS[0])
        logits, _ = self.invoke('mood', {'inputs': TEXTS[0],
                                         'parameters': {'top_k': 1, 'function_to_apply': 'none'}})
        self.assertEqual(logits[0]['label'], single[0]['label'])
        self.assertNotAlmostEqual(logits[0]['score'], single[0]['score'], places=3)

    def test_plain_text_and_truncation(self):
        long = 'paper ' * 200
        answer = self.rt.invoke_endpoint(EndpointName='mood', ContentType='text/plain', Body=long)
        self.assertEqual(len(json.loads(answer['Body'].read())), 1)
        self.assertEqual(answer['ResponseMetadata']['HTTPHeaders']['x-hone-truncated'], '1')
        _, answer = self.invoke('mood', {'inputs': [long, 'a', long]})
        self.assertEqual(answer['ResponseMetadata']['HTTPHeaders']['x-hone-truncated'], '2')

    def test_bad_requests_are_named(self):
        cases = [
            ('', 'the body'), ('[1]', 'JSON object'), ('{', 'the body'), ('{}', 'no member inputs'),
            ('{"inputs": 5}', 'a text or a list'), ('{"inputs": []}', '0 texts'),
            ('{"inputs": ["a", null]}', 'inputs[1]'), ('{"inputs": {"text": "a"}}', 'a text or a list'),
            ('{"inputs": "a", "parameters": 1}', 'no object'),
            ('{"inputs": "a", "parameters": {"top_k": 0}}', 'top_k'),
            ('{"inputs": "a", "parameters": {"function_to_apply": "x"}}', "'x'"),
            ('{"inputs": "a", "parameters": {"temperature": 1}}', 'temperature'),
            (json.dumps({'inputs': ['a'] * 4097}), '4097 texts'),
            ('{"inputs": ' + '[' * 10000 + ']' * 10000 + '}', 'the body'),
            (b'{"inputs": "\xff"}', 'the body'),
        ]
        before = self.stats('mood')
        for body, words in cases:
            code, message, status = refusal(self.rt.invoke_endpoint, EndpointName='mood', Body=body,
                                            ContentType='application/json')
            self.assertEqual((code, status), ('ValidationError', 400), body[:60])
            self.assertIn(words, message)
        self.assertEqual(self.stats('mood')['refused'] - before['refused'], len(cases))
        code, message, _ = refusal(self.rt.invoke_endpoint, EndpointName='mood', Body='a,b',
                                   ContentType='text/csv')
        self.assertEqual((code, 'text/csv' in message), ('ValidationError', True))
        code, message, _ = refusal(self.rt.invoke_endpoint, EndpointName='mood', Body='{"inputs": "a"}',
                                   TargetVariant='Other')
        self.assertEqual((code, "'Other'" in message), ('ValidationError', True))
        code, message, _ = refusal(self.rt.invoke_endpoint, EndpointName='none', Body='{"inputs": "a"}')
        self.assertEqual((code, 'not found' in message), ('ValidationError', True))

    def stats(self, name):
        listed = self.server.json('GET', '/hone/endpoints')
        return next(e for e in listed['endpoints'] if e['name'] == name)

    def test_statistics_are_kept_and_shown(self):
        before = self.stats('mood')
        for _ in range(5):
            self.invoke('mood', {'inputs': TEXTS})
        after = self.stats('mood')
        self.assertEqual(after['answered'] - before['answered'], 5)
        self.assertEqual(after['texts'] - before['texts'], 15)
        self.assertEqual(after['version'], 'mood:1')
        self.assertGreater(after['p50_ms'], 0)
        self.assertLessEqual(after['p50_ms'], after['p99_ms'])
        status, _, data = self.server.call('POST', '/sagemaker', b'{}', headers={
            'X-Amz-Target': 'SageMaker.DescribeEndpoint'})
        self.assertEqual(status, 400, data)  # the name is missing: the error is the service's
        self.assertIn(b'EndpointName', data)

    def test_the_services_own_words(self):
        for call, kwargs, words in [
            (self.sm.describe_endpoint, {'EndpointName': 'none'}, 'Could not find endpoint'),
            (self.sm.delete_endpoint, {'EndpointName': 'none'}, 'Could not find endpoint'),
            (self.sm.describe_endpoint_config, {'EndpointConfigName': 'none'}, 'Could not find endpoint config'),
            (self.sm.create_endpoint, {'EndpointName': 'mood', 'EndpointConfigName': 'mood'},
             'Cannot create already existing endpoint'),
            (self.sm.create_endpoint, {'EndpointName': 'm2', 'EndpointConfigName': 'none'},
             'Could not find endpoint config'),
            (self.sm.create_endpoint_config, {'EndpointConfigName': 'two', 'ProductionVariants': [
                {'VariantName': v, 'ModelName': 'mood'} for v in 'ab']}, '2 variants'),
            (self.sm.create_endpoint_config, {'EndpointConfigName': 'two', 'ProductionVariants': [
                {'VariantName': 'a', 'ModelName': 'none'}]}, "Could not find model 'none'"),
        ]:
            code, message, status = refusal(call, **kwargs)
            self.assertEqual((code, status), ('ValidationException', 400), kwargs)
            self.assertIn(words, message)

    def test_lists(self):
        one = self.sm.list_endpoints(NameContains='mood')['Endpoints'][0]
        self.assertEqual((one['EndpointName'], one['EndpointStatus']), ('mood', 'InService'))
        self.assertIn('mood', [c['EndpointConfigName'] for c in self.sm.list_endpoint_configs()['EndpointConfigs']])
        described = self.sm.describe_endpoint(EndpointName='mood')
        variant = described['ProductionVariants'][0]
        self.assertEqual((variant['VariantName'], variant['CurrentWeight']), ('AllTraffic', 1.0))
        self.assertTrue(variant['DeployedImages'][0]['ResolvedImage'].endswith('/mood/1'))


class TestDtype(Deployed):
    """A model says in which numbers it multiplies; one that does not, as the server was told."""

    ARGS = ('--threads', '2', '--dtype', 'bf16')

    def dtype(self, endpoint):
        """As DescribeEndpoint tells it, in a member that boto3 passes over."""
        found = self.server.json('POST', '/', {'EndpointName': endpoint},
                                 headers={'X-Amz-Target': 'SageMaker.DescribeEndpoint'})
        return found['HoneStats']['Dtype']

    def score(self, endpoint):
        return self.invoke(endpoint, {'inputs': TEXTS, 'parameters': {'return_all_scores': True}})[0]

    def test_each_endpoint_has_its_own(self):
        package = self.register('mixed', 'm0')
        found = {}
        for dtype in ('f32', 'int8', None):
            name = f'as-{dtype}'
            self.configure(name, package, **({'Environment': {'HONE_DTYPE': dtype}} if dtype else {}))
            self.sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
            self.await_service(name)
            self.assertEqual(self.dtype(name), dtype or 'bf16')
            found[dtype] = json.dumps(self.score(name))
        self.assertEqual(len(set(found.values())), 3)  # they round in three ways
        self.sm.update_endpoint(EndpointName='as-int8', EndpointConfigName='as-f32')
        wait_for('swap', lambda: self.dtype('as-int8') == 'f32' and self.status('as-int8') == 'InService')
        self.assertEqual(json.dumps(self.score('as-int8')), found['f32'])
        listed = {e['name']: e['dtype'] for e in self.server.json('GET', '/hone/endpoints')['endpoints']}
        self.assertEqual((listed['as-f32'], listed['as-int8'], listed['as-None']), ('f32', 'f32', 'bf16'))
        self.restart()
        self.assertEqual(json.dumps(self.score('as-f32')), found['f32'])

    def test_deploy_says_it(self):
        self.register('told', 'm1')
        self.assertEqual(self.server.hone('deploy', 'told', '--dtype', 'int8', '--wait').returncode, 0)
        self.assertEqual(self.dtype('told'), 'int8')
        self.assertRegex(self.server.hone('endpoints').stdout, r'(?m)^told +InService +told:1 +int8 ')
        done = self.server.hone('deploy', 'told', '--dtype', 'int7')
        self.assertEqual(done.returncode, 1)
        self.assertIn("HONE_DTYPE: dtype 'int7': expected f32", done.stderr)


class TestChanges(Deployed):
    def test_update_under_load_fails_and_mixes_nothing(self):
        self.deploy('swap', 'm0')
        self.configure('swap2', self.register('swap', 'm1'))
        over, seen, failures = threading.Event(), set(), []

        def be_client():
            while not over.is_set():
                status, _, data = self.server.call('POST', '/endpoints/swap/invocations', {'inputs': TEXTS})
                if status != 200:
                    failures.append(data)
                    return
                letters = {i for g in json.loads(data) for i, names in enumerate(self.LABELS)
                           if g['label'] in names}
                if len(letters) != 1:
                    failures.append(data)
                seen.update(letters)

        clients = [threading.Thread(target=be_client) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            for i in range(6):
                self.sm.update_endpoint(EndpointName='swap', EndpointConfigName=('swap2', 'swap')[i % 2])
                self.await_service('swap')
                got, _ = self.invoke('swap', {'inputs': TEXTS[0]})
                self.assertIn(got[0]['label'], self.LABELS[(i + 1) % 2])
        finally:
            over.set()
            for client in clients:
                client.join()
        self.assertEqual(failures, [])
        self.assertEqual(seen, {0, 1})

    def test_a_model_that_is_none(self):
        self.configure('broken', self.register('broken', 'junk'))
        self.sm.create_endpoint(EndpointName='broken', EndpointConfigName='broken')
        wait_for('failure', lambda: self.status('broken') == 'Failed')
        self.assertIn('no readable model.tar.gz',
                      self.sm.describe_endpoint(EndpointName='broken')['FailureReason'])
        code, message, _ = refusal(self.rt.invoke_endpoint, EndpointName='broken', Body='{"inputs": "a"}')
        self.assertEqual((code, 'has failed' in message), ('ValidationError', True))
        self.deploy('whole', 'm0')
        self.sm.update_endpoint(EndpointName='whole', EndpointConfigName='broken')
        self.await_service('whole')
        described = self.sm.describe_endpoint(EndpointName='whole')
        self.assertIn('no readable model.tar.gz', described['FailureReason'])
        self.assertEqual(described['EndpointConfigName'], 'whole')
        self.invoke('whole', {'inputs': 'a'})

    def test_deleted_is_gone(self):
        self.deploy('brief', 'm0')
        self.sm.delete_endpoint(EndpointName='brief')
        self.sm.delete_endpoint_config(EndpointConfigName='brief')
        self.sm.delete_model(ModelName='brief')
        self.assertIn('Could not find', refusal(self.sm.describe_endpoint, EndpointName='brief')[1])
        self.assertEqual(refusal(self.rt.invoke_endpoint, EndpointName='brief', Body='{"inputs": "a"}')[0],
                         'ValidationError')


class TestOverload(Deployed):
    def test_too_much_is_refused_at_once_and_the_rest_is_answered(self):
        self.deploy('busy', 'm0')
        texts = ['paper and play in the evening of a letter'] * 3000
        answers = []

        def ask_much():
            status, headers, data = self.server.call('POST', '/endpoints/busy/invocations', {'inputs': texts})
            answers.append((status, headers.get('retry-after'), len(json.loads(data)) if status == 200 else 0))

        large = [threading.Thread(target=ask_much) for _ in range(40)]
        for thread in large:
            thread.start()
        while any(thread.is_alive() for thread in large):
            status, headers, _ = self.server.call('POST', '/endpoints/busy/invocations', {'inputs': 'a'})
            self.assertTrue(status == 200 or (status == 503 and headers.get('retry-after')), status)
        for status, retry_after, count in answers:
            self.assertIn((status, retry_after is not None, count), [(200, False, 3000), (503, True, 0)])
        self.assertEqual(len(answers), 40)
        self.assertIn(200, [status for status, _, _ in answers])
        load = self.server.json('GET', '/hone/endpoints')['queue']
        self.assertEqual((load['requests'], load['tokens']), (0, 0))


class TestHurry(Deployed):
    """Requests that have no use for a late answer, while others keep the server busy."""

    HASTY = {'X-Hone-Max-Wait-Ms': '1'}
    BUSY = ['paper and play in the evening of a letter'] * 3000  # a batch of them takes longer

    def ask(self, text, headers=None):
        begin = time.monotonic()
        status, got, data = self.server.call('POST', '/endpoints/hurry/invocations', {'inputs': text}, headers)
        return status, got, json.loads(data), time.monotonic() - begin

    def test_they_are_refused_at_once_and_answered_when_there_is_time(self):
        self.deploy('hurry', 'm0')
        over, failures = threading.Event(), []

        def keep_busy():
            while not over.is_set():
                status, _, said, _ = self.ask(self.BUSY)
                if status != 200:
                    failures.append(said)

        clients = [threading.Thread(target=keep_busy) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            seen = set()

            def both_were_seen():
                status, headers, said, took = self.ask('a', self.HASTY)
                seen.add(status)
                if status == 503:
                    self.assertEqual((headers.get('retry-after'), said['code']), ('1', 'ServiceUnavailable'))
                    self.assertIn('try again', said['message'])
                    self.assertLess(took, 5)
                return seen == {200, 503}
            wait_for('answers and refusals', both_were_seen)
            self.assertEqual(self.ask('a')[0], 200)  # in no hurry
            patient = self.server.boto('sagemaker-runtime', retries={'mode': 'standard', 'total_max_attempts': 50})
            patient.meta.events.register('before-call.sagemaker-runtime.InvokeEndpoint',
                                         lambda params, **_: params['headers'].update(self.HASTY))
            for _ in range(3):  # its library tries again by itself
                answer = patient.invoke_endpoint(EndpointName='hurry', Body='{"inputs": "a"}',
                                                 ContentType='application/json')
                self.assertEqual(len(json.loads(answer['Body'].read())), 1)
        finally:
            over.set()
            for client in clients:
                client.join()
        self.assertEqual(failures, [])
        self.assertEqual([self.ask('a')[0] for _ in range(20)], [200] * 20)
        load = self.server.json('GET', '/hone/endpoints')['queue']
        self.assertEqual((load['requests'], load['tokens']), (0, 0))

    def test_what_is_no_number_is_named(self):
        for text in ('soon', '0', '-1', '1.5', '9' * 10):
            status, _, said, _ = self.ask('a', {'X-Hone-Max-Wait-Ms': text})
            self.assertEqual((status, said['code']), (400, 'ValidationError'))
            self.assertIn(f"'{text}' is no number", said['message'])


class TestRestart(Deployed):
    def test_endpoints_answer_at_once_after_a_restart(self):
        self.deploy('stays', 'm0')
        want, _ = self.invoke('stays', {'inputs': TEXTS})
        for end in (self.server.stop, self.server.kill):
            self.restart(end)
            got = self.server.json('POST', '/endpoints/stays/invocations', {'inputs': TEXTS})
            self.assertEqual(got, want)
        listed = self.server.json('GET', '/hone/endpoints')['endpoints']
        self.assertEqual([e['status'] for e in listed], ['InService'])
        self.assertGreaterEqual(listed[0]['answered'], 2)  # what was counted before the clean stop, and since

    def test_packed_weights_are_kept_for_the_next_start(self):
        with tempfile.TemporaryDirectory() as place:
            self.server.env['HONE_PACK_CACHE'] = place
            self.restart()
            self.deploy('kept', 'm1')
            want, _ = self.invoke('kept', {'inputs': TEXTS})
            for weights in ('packed', 'kept'):
                self.server.stop()
                if weights == 'packed':  # what the first left there; a file just unpacked may be too new for it
                    for file in pathlib.Path(place).iterdir():
                        file.unlink()
                seen = len(self.server.log_text())
                self.restart()
                self.assertEqual(self.invoke('kept', {'inputs': TEXTS})[0], want)
                self.assertRegex(self.server.log_text()[seen:],
                                 rf'event=endpoint.loaded endpoint=kept .* dtype=f32 weights={weights}\n')
                wait_for('packed weights', lambda: list(pathlib.Path(place).glob('*.packed')))


if __name__ == '__main__':
    unittest.main()
