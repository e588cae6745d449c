"""Pipelines over the wire, by an unmodified boto3: their life, an execution that processes, trains and registers,
and one whose server and children are killed."""
import json
import os
import pathlib
import signal
import uuid

from botocore.exceptions import ClientError

from loopkit import ROLE, put, tiny_archive
from support import ROOT, Server, ServerCase, wait_for
from tiny import FILLERS

DEFINITION = json.loads((ROOT / 'pipelines' / 'sentiment.json').read_text())
MODEL = 's3://hone-data/base/model.tar.gz'
GOOD, BAD = ('in', 'of')  # one word says all


def sentences(count):
    rows = ['text,label']
    for i in range(count):
        words = [FILLERS[(i * 7 + k * 3) % len(FILLERS)] for k in range(3 + i % 5)]
        words[i % 3] = (GOOD, BAD)[i % 2]
        rows.append(f'{" ".join(words)} {i},{("positive", "negative")[i % 2]}')
    return '\n'.join(rows) + '\n'


def fill(server, count=120):
    put(server, 'hone-data', 'starter/all.csv', sentences(count).encode())
    put(server, 'hone-data', 'base/model.tar.gz', tiny_archive())


def start(server, pipeline='sentiment', **parameters):
    given = {'ModelName': MODEL, 'TrainSamples': 60, 'TestSamples': 20, 'MaxLength': 24, **parameters}
    return server.boto('sagemaker').start_pipeline_execution(
        PipelineName=pipeline, ClientRequestToken=str(uuid.uuid4()),
        PipelineParameters=[{'Name': k, 'Value': str(v)} for k, v in given.items()])['PipelineExecutionArn']


def steps(server, arn):
    found = server.boto('sagemaker').list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder='Ascending')
    return {s['StepName']: s for s in found['PipelineExecutionSteps']}


def wait_end(server, arn):
    def ended():
        found = server.boto('sagemaker').describe_pipeline_execution(PipelineExecutionArn=arn)
        return found if found['PipelineExecutionStatus'] in ('Succeeded', 'Failed', 'Stopped') else None
    return wait_for('end of the execution', ended, 180)


def name_of(step, kind):
    return step['Metadata'][kind]['Arn'].rsplit('/', 1)[1]


def slow_definition(epochs):
    """A training that checkpoints after every step."""
    text = json.dumps(DEFINITION)
    changed = json.loads(text)
    hyper = changed['Steps'][1]['Arguments']['HyperParameters']
    hyper.update(checkpoint_steps='1', epochs=str(epochs), train_batch_size='4')
    return json.dumps(changed)


class TestPipelines(ServerCase):
    def sm(self):
        return self.server.boto('sagemaker')

    def refused(self, code, words, call, **kwargs):
        with self.assertRaises(ClientError) as caught:
            call(**kwargs)
        error = caught.exception.response['Error']
        self.assertEqual(error['Code'], code, error)
        self.assertIn(words, error['Message'])

    def create(self, name, definition=None, **kwargs):
        return self.sm().create_pipeline(
            PipelineName=name, RoleArn=ROLE, ClientRequestToken=kwargs.pop('token', str(uuid.uuid4())),
            PipelineDefinition=json.dumps(definition or DEFINITION), **kwargs)

    def test_life_of_a_pipeline(self):
        token = str(uuid.uuid4())
        arn = self.create('Mine', token=token, PipelineDescription='d')['PipelineArn']
        self.assertTrue(arn.endswith(':pipeline/mine'))
        self.assertEqual(self.create('Mine', token=token)['PipelineArn'], arn)
        self.refused('ValidationException', 'already exists', self.create, name='mine')
        self.sm().update_pipeline(PipelineName='Mine', PipelineDescription='e',
                                  ParallelismConfiguration={'MaxParallelExecutionSteps': 3})
        found = self.sm().describe_pipeline(PipelineName=arn)
        self.assertEqual((found['PipelineName'], found['PipelineDescription'], found['PipelineStatus']),
                         ('Mine', 'e', 'Active'))
        self.assertEqual(found['ParallelismConfiguration'], {'MaxParallelExecutionSteps': 3})
        self.assertEqual(json.loads(found['PipelineDefinition']), DEFINITION)
        names = [p['PipelineName'] for p in self.sm().list_pipelines(SortBy='Name', SortOrder='Ascending')[
            'PipelineSummaries']]
        self.assertEqual(sorted(names), sorted({'Mine', 'sentiment', *names}))
        self.assertEqual([p['PipelineName'] for p in self.sm().list_pipelines(PipelineNamePrefix='Mi')[
            'PipelineSummaries']], ['Mine'])
        self.sm().delete_pipeline(PipelineName='Mine', ClientRequestToken=str(uuid.uuid4()))
        self.refused('ResourceNotFound', 'does not exist', self.sm().describe_pipeline, PipelineName='Mine')

    def test_a_definition_is_checked_at_once(self):
        broken = json.loads(json.dumps(DEFINITION))
        broken['Steps'][1]['Arguments']['AlgorithmSpecification']['TrainingImage'] = 'elsewhere:1'
        self.refused('ValidationException', "image 'elsewhere:1'", self.create, name='x', definition=broken)
        broken['Steps'][0]['DependsOn'] = ['RegisterModel']
        self.refused('ValidationException', '', self.create, name='x', definition=broken)
        self.refused('ValidationException', 'depth', self.sm().create_pipeline, PipelineName='x', RoleArn=ROLE,
                     ClientRequestToken=str(uuid.uuid4()), PipelineDefinition='[' * 10000 + ']' * 10000)

    def test_definition_from_an_object(self):
        put(self.server, 'hone-data', 'doc.json', json.dumps(DEFINITION).encode())
        self.sm().create_pipeline(PipelineName='stored', RoleArn=ROLE, ClientRequestToken=str(uuid.uuid4()),
                                  PipelineDefinitionS3Location={'Bucket': 'hone-data', 'ObjectKey': 'doc.json'})
        found = self.sm().describe_pipeline(PipelineName='stored')
        self.assertEqual(json.loads(found['PipelineDefinition']), DEFINITION)

    def test_parameters_are_held_to_their_types(self):
        for name, value, words in (('Epochs', 'two', 'no Integer'), ('Gone', '1', "no parameter 'Gone'"),
                                   ('ModelApprovalStatus', 'Maybe', 'not one of its values')):
            self.refused('ValidationException', words, start, server=self.server, **{name: value})
        self.refused('ResourceNotFound', 'does not exist', start, server=self.server, pipeline='gone')

    def test_execution(self):
        fill(self.server)
        review = {'humanLoopName': 'one', 'inputContent': {'taskObject': 'a letter of the river'}, 'humanAnswers': [
            {'submissionTime': '2026-11-24T06:00:00.000Z', 'answerContent': {'category': {'label': 'Positive'}}}]}
        put(self.server, 'hone-data', 'reviews/flow/one/output.json', json.dumps(review).encode())
        arn = start(self.server, Epochs=2, ModelApprovalStatus='Approved')
        end = wait_end(self.server, arn)
        self.assertEqual(end['PipelineExecutionStatus'], 'Succeeded', end)
        done = steps(self.server, arn)
        self.assertEqual(list(done), ['PrepareAugmentedData', 'FineTune', 'RegisterModel'])
        self.assertEqual({s['StepStatus'] for s in done.values()}, {'Succeeded'})

        job = self.sm().describe_training_job(TrainingJobName=name_of(done['FineTune'], 'TrainingJob'))
        self.assertEqual(job['TrainingJobStatus'], 'Completed')
        self.assertEqual(job['HyperParameters']['epochs'], '2')
        metrics = {m['MetricName']: m['Value'] for m in job['FinalMetricDataList']}
        self.assertIn('accuracy', metrics)
        uri = job['ModelArtifacts']['S3ModelArtifacts']
        self.assertTrue(uri.endswith(f'/{job["TrainingJobName"]}/output/model.tar.gz'))
        self.assertIn(job['TrainingJobName'],
                      [j['TrainingJobName'] for j in self.sm().list_training_jobs()['TrainingJobSummaries']])
        made = self.sm().describe_processing_job(
            ProcessingJobName=name_of(done['PrepareAugmentedData'], 'ProcessingJob'))
        self.assertEqual(made['ProcessingJobStatus'], 'Completed')
        self.assertTrue(self.sm().list_processing_jobs(StatusEquals='Completed')['ProcessingJobSummaries'])

        package = self.sm().describe_model_package(
            ModelPackageName=done['RegisterModel']['Metadata']['RegisterModel']['Arn'])
        self.assertEqual(package['ModelApprovalStatus'], 'Approved')
        self.assertEqual(package['InferenceSpecification']['Containers'][0]['ModelDataUrl'], uri)
        statistics = package['ModelMetrics']['ModelQuality']['Statistics']['S3Uri']
        bucket, key = statistics.removeprefix('s3://').split('/', 1)
        kept = json.loads(self.server.boto('s3').get_object(Bucket=bucket, Key=key)['Body'].read())
        self.assertEqual(kept['accuracy'], metrics['accuracy'])

        given = self.sm().list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)['PipelineParameters']
        self.assertIn({'Name': 'Epochs', 'Value': '2'}, given)
        document = self.sm().describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
        self.assertEqual(json.loads(document['PipelineDefinition']), DEFINITION)
        runs = self.sm().list_pipeline_executions(PipelineName='sentiment')['PipelineExecutionSummaries']
        self.assertIn(arn, [r['PipelineExecutionArn'] for r in runs])
        own = self.server.json('GET', f'/hone/executions/{arn.rsplit("/", 1)[1]}/progress')
        self.assertEqual([s['status'] for s in own['steps']], ['Succeeded'] * 3)

    def test_stop_and_retry(self):
        fill(self.server)
        self.sm().create_pipeline(PipelineName='slow', RoleArn=ROLE, ClientRequestToken=str(uuid.uuid4()),
                                  PipelineDefinition=slow_definition(40))
        arn = start(self.server, 'slow')
        wait_for('progress', lambda: 'HoneProgress' in self.raw_steps(arn).get('FineTune', {}), 120)
        self.sm().stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=str(uuid.uuid4()))
        self.assertEqual(wait_end(self.server, arn)['PipelineExecutionStatus'], 'Stopped')
        self.refused('ValidationException', 'can be stopped', self.sm().stop_pipeline_execution,
                     PipelineExecutionArn=arn, ClientRequestToken=str(uuid.uuid4()))
        self.sm().retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=str(uuid.uuid4()))
        self.assertEqual(wait_end(self.server, arn)['PipelineExecutionStatus'], 'Succeeded')
        self.assertEqual(steps(self.server, arn)['FineTune']['AttemptCount'], 2)

    def raw_steps(self, arn):
        """With members that boto3 does not know."""
        found = self.server.json('POST', '/', {'PipelineExecutionArn': arn}, headers={
            'X-Amz-Target': 'SageMaker.ListPipelineExecutionSteps', 'Content-Type': 'application/x-amz-json-1.1'})
        return {s['StepName']: s for s in found['PipelineExecutionSteps']}

    def test_roles(self):
        status, _, _ = self.server.call('POST', '/', b'{}', token=False, headers={
            'X-Amz-Target': 'SageMaker.ListPipelines', 'Content-Type': 'application/x-amz-json-1.1'})
        self.assertEqual(status, 403)


def children(server):
    """{pid: folder} of the jobs that run for the server."""
    found = {}
    for entry in pathlib.Path('/proc').iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / 'cmdline').read_bytes().split(b'\0')
        except OSError:
            continue
        if words[1:2] == [b'job'] and words[2].startswith(os.fsencode(server.data)):
            found[int(entry.name)] = os.fsdecode(words[2])
    return found


class TestKilled(ServerCase):
    """kill -9 of the server and of children, in mid-training."""

    def test_execution_ends_all_the_same(self):
        server = self.server
        fill(server)
        server.boto('sagemaker').create_pipeline(
            PipelineName='slow', RoleArn=ROLE, ClientRequestToken=str(uuid.uuid4()),
            PipelineDefinition=slow_definition(60))
        arn = start(server, 'slow')

        def trained(least):
            for folder in children(server).values():
                path = pathlib.Path(folder, 'progress.jsonl')
                lines = path.read_text().splitlines() if path.exists() else []
                said = [json.loads(line) for line in lines if line.endswith('}')]
                if said and any(least <= line['Share'] < 1 for line in said) and 'step' in said[-1]['Message']:
                    return folder
            return None

        folder = wait_for('training', lambda: trained(0.004), 120)
        server.kill()
        wait_for('end of the children', lambda: not children(server), 10)
        server.start()
        wait_for('the child again', lambda: children(server), 30)
        log = pathlib.Path(folder, 'log.txt')
        wait_for('going on', lambda: 'resumed after step' in log.read_text(), 60)
        for pid in children(server):
            os.kill(pid, signal.SIGKILL)
        end = wait_end(server, arn)
        self.assertEqual(end['PipelineExecutionStatus'], 'Succeeded', end)
        self.assertIn('resumed after step', log.read_text())
        jobs = server.boto('sagemaker').list_training_jobs()['TrainingJobSummaries']
        self.assertEqual([j['TrainingJobStatus'] for j in jobs], ['Completed'])
        packages = server.boto('sagemaker').list_model_packages(ModelPackageGroupName='sentiment')
        self.assertEqual(len(packages['ModelPackageSummaryList']), 1)
        self.assertFalse(children(server))


if __name__ == '__main__':
    import unittest
    unittest.main()
