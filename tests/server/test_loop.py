"""The whole loop by an unmodified boto3 and a reviewer's browser calls, nothing else.

The calls and their order are those of the founding notebooks (1: pipeline; 2A: flow; 2B: deploy;
3: traffic; 4: retrain), with what they leave out: versions are compared on one test set, and the
newest approved version is deployed, not the oldest. The model is the tiny BERT of tests/golden, which
learns what one word says, and is asked about a word that it has never seen."""
import json
import unittest
import uuid

import loopkit
from support import ROOT, ServerCase, wait_for
from tiny import csv, sentences

THRESHOLD = 0.9
PIPELINE = 'SentimentModelRetrain'
GROUP = 'HuggingFaceSentimentPackageGroupName'
ENDPOINT = 'DEMO-endpoint-sentiment-analysis'
UNSEEN = 'light'


class Loop(ServerCase):
    """One test: the loop is one story. Its chapters are the notebooks."""

    def test_the_loop(self):
        self.sm = self.server.boto('sagemaker')
        self.s3 = self.server.boto('s3')
        self.bucket = self.default_bucket()
        self.create_pipeline()
        first = self.run_pipeline('First')
        self.a2i_setup()
        self.deploy_model(first)
        loops = self.generate_traffic()
        self.answer(loops)
        self.read_answers(loops)
        second = self.retrain(first, len(loops))
        self.deploy_model(second)
        self.compare(loops)

    # --- 1: create_model_pipeline ---

    def default_bucket(self):
        identity = self.server.boto('sts').get_caller_identity()
        self.assertIn(':assumed-role/', identity['Arn'])
        role = identity['Arn'].split('/')[1]
        self.role = self.server.boto('iam').get_role(RoleName=role)['Role']['Arn']
        name = f'sagemaker-us-east-1-{identity["Account"]}'
        with self.assertRaises(self.s3.exceptions.ClientError) as missing:
            self.s3.head_bucket(Bucket=name)
        self.assertEqual(missing.exception.response['Error']['Code'], '404')
        self.s3.create_bucket(Bucket=name)
        self.s3.put_object(Bucket=name, Key='a2i-output/sample.txt', Body=b'')
        return name

    def create_pipeline(self):
        base = loopkit.put(self.server, self.bucket, 'base/model.tar.gz', loopkit.tiny_archive())
        loopkit.put(self.server, self.bucket, 'data/train.csv', csv(sentences(200)).encode())
        loopkit.put(self.server, self.bucket, 'data/test.csv', csv(sentences(60, seed=2)).encode())
        definition = json.loads((ROOT / 'pipelines' / 'sentiment.json').read_text())
        values = {'InputData': f's3://{self.bucket}/data/', 'Reviews': f's3://{self.bucket}/a2i-output',
                  'Output': f's3://{self.bucket}/nlp_summit_workshop_processing_output',
                  'ModelPackageGroupName': GROUP, 'ModelName': base, 'Epochs': 3, 'TrainBatchSize': 16,
                  'LearningRate': 3e-3, 'WarmupSteps': 5, 'MaxLength': 30, 'TrainSamples': 0, 'TestSamples': 0,
                  'ReviewWeight': 5, 'LabelMap': json.dumps({'Positive': 'pos', 'Negative': 'neg'})}
        for parameter in definition['Parameters']:
            parameter['DefaultValue'] = values.get(parameter['Name'], parameter.get('DefaultValue'))
        create = dict(PipelineName=PIPELINE, PipelineDefinition=json.dumps(definition), RoleArn=self.role)
        arn = self.sm.create_pipeline(**create, ClientRequestToken=str(uuid.uuid4()))['PipelineArn']
        with self.assertRaises(self.sm.exceptions.ClientError) as again:  # what upsert() relies on
            self.sm.create_pipeline(**create, ClientRequestToken=str(uuid.uuid4()))
        self.assertEqual(again.exception.response['Error']['Code'], 'ValidationException')
        self.assertIn('already exists', again.exception.response['Error']['Message'])
        self.assertEqual(self.sm.update_pipeline(**create)['PipelineArn'], arn)

    def run_pipeline(self, name):
        """Start it, wait with the SDK's own waiter; the registered version's ARN."""
        arn = self.sm.start_pipeline_execution(PipelineName=PIPELINE, PipelineExecutionDisplayName=name,
                                               ClientRequestToken=str(uuid.uuid4()))['PipelineExecutionArn']
        wait_for('end of the execution', lambda: self.sm.describe_pipeline_execution(
            PipelineExecutionArn=arn)['PipelineExecutionStatus'] != 'Executing')
        found = self.sm.describe_pipeline_execution(PipelineExecutionArn=arn)
        steps = self.sm.list_pipeline_execution_steps(PipelineExecutionArn=arn,
                                                      SortOrder='Ascending')['PipelineExecutionSteps']
        self.assertEqual(found['PipelineExecutionStatus'], 'Succeeded', (found, steps))
        self.assertEqual({s['StepStatus'] for s in steps}, {'Succeeded'})
        self.assertEqual([s['StepName'] for s in steps], ['PrepareAugmentedData', 'FineTune', 'RegisterModel'])
        self.report = self.load_report(arn)
        return steps[2]['Metadata']['RegisterModel']['Arn']

    def load_report(self, arn):
        prefix = f'nlp_summit_workshop_processing_output/{arn.rsplit("/", 1)[1]}/report'
        keys = [o['Key'] for o in self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get('Contents', [])]
        self.assertTrue(keys, f'no report below {prefix}')
        return json.loads(self.s3.get_object(Bucket=self.bucket, Key=keys[0])['Body'].read())

    # --- 2A: a2i_setup ---

    def a2i_setup(self):
        self.sm.create_workteam(WorkteamName='crew', MemberDefinitions=loopkit.MEMBERS, Description='Reviewers')
        team = self.sm.list_workteams(SortOrder='Descending')['Workteams'][0]
        prefix = f'custom-classify{uuid.uuid1()}'
        ui = self.sm.create_human_task_ui(HumanTaskUiName=f'{prefix}-ui', UiTemplate={'Content': loopkit.TEMPLATE})
        self.flow_name = f'{prefix}-fd-a2i'
        self.flow = self.sm.create_flow_definition(
            FlowDefinitionName=self.flow_name, RoleArn=self.role,
            HumanLoopConfig={'WorkteamArn': team['WorkteamArn'], 'HumanTaskUiArn': ui['HumanTaskUiArn'], 'TaskCount': 1,
                             'TaskDescription': 'Read the instructions', 'TaskTitle': 'Classify the text'},
            OutputConfig={'S3OutputPath': f's3://{self.bucket}/a2i-output'},
            Tags=[{'Key': 'hone:threshold', 'Value': str(THRESHOLD)}])['FlowDefinitionArn']
        wait_for('active flow', lambda: self.sm.describe_flow_definition(
            FlowDefinitionName=self.flow_name)['FlowDefinitionStatus'] == 'Active')

    # --- 2B: deploy_model ---

    def deploy_model(self, arn):
        self.assertEqual(self.sm.describe_model_package(ModelPackageName=arn)['ModelApprovalStatus'],
                         'PendingManualApproval')
        self.sm.update_model_package(ModelPackageArn=arn, ModelApprovalStatus='Approved')
        approved = self.sm.list_model_packages(ModelPackageGroupName=GROUP, ModelApprovalStatus='Approved',
                                               SortBy='CreationTime', SortOrder='Descending',
                                               MaxResults=100)['ModelPackageSummaryList']
        self.assertEqual(approved[0]['ModelPackageArn'], arn)
        loopkit.deploy(self.server, arn, ENDPOINT, f'nlp-summit-model-{approved[0]["ModelPackageVersion"]}')

    # --- 3: generate_some_traffic ---

    def predict(self, text):
        return loopkit.predict(self.server, text, ENDPOINT)

    def generate_traffic(self):
        """Ask about sentences with the unseen word; {loop: text} of those that are unsure."""
        self.threshold = float({t['Key']: t['Value'] for t in self.sm.list_tags(
            ResourceArn=self.flow)['Tags']}['hone:threshold'])
        self.before, loops = {}, {}
        for text, _ in sentences(24, seed=7, words=(UNSEEN,), labels=('pos',)):
            found = self.before[text] = self.predict(text)
            if found['score'] < self.threshold:
                name = str(uuid.uuid4())
                loopkit.start_loop(self.server, self.flow, name, text)
                loops[name] = text
        self.assertGreater(len(loops), 5, self.before)
        for name in loops:
            self.assertEqual(loopkit.describe_loop(self.server, name)['HumanLoopStatus'], 'InProgress')
        return loops

    # --- the reviewer ---

    def answer(self, loops):
        ann = self.server.invite('crew', 'ann')
        for _ in loops:
            taken = ann.next(self.flow_name)
            page = self.server.call('GET', taken['frame'], headers={'Cookie': ann.cookie}, token=False)[2].decode()
            self.assertIn(loops[taken['task']['loop']], page)
            ann.answer(taken, {'category': {'label': 'Positive'}})
        self.assertIsNone(ann.next(self.flow_name)['task'])

    def read_answers(self, loops):
        for name, text in loops.items():
            loop = loopkit.describe_loop(self.server, name)
            self.assertEqual(loop['HumanLoopStatus'], 'Completed')
            self.assertRegex(loop['HumanLoopOutput']['OutputS3Uri'],
                             rf'^s3://{self.bucket}/a2i-output/{self.flow_name}/\d{{4}}(/\d\d){{5}}/{name}/output.json$')
            output = loopkit.load_output(self.server, loop)
            self.assertEqual(output['inputContent'], {'taskObject': text})
            self.assertEqual(output['humanAnswers'][0]['answerContent'], {'category': {'label': 'Positive'}})

    # --- 4: retrain_model ---

    def retrain(self, first, reviews):
        self.assertEqual(self.sm.describe_pipeline(PipelineName=PIPELINE)['PipelineStatus'], 'Active')
        second = self.run_pipeline('Manual-Retrain-Execution')
        self.assertNotEqual(second, first)
        self.assertEqual(len(self.report['merged']), reviews, self.report)
        return second

    def compare(self, loops):
        """Surer than before of the sentences that were reviewed, and right about them; and of sentences
        with the same word that nobody has seen; and as good as before on the test set."""
        for text in loops.values():
            after = self.predict(text)
            self.assertEqual(after['label'], 'pos', text)
            self.assertGreater(after['score'], self.threshold, text)
        unseen = [text for text, _ in sentences(20, seed=11, words=(UNSEEN,), labels=('pos',))]
        self.assertGreaterEqual(sum(self.predict(text)['label'] == 'pos' for text in unseen), 15)
        test = sentences(60, seed=2)
        right = sum(self.predict(text)['label'] == label for text, label in test)
        self.assertGreaterEqual(right, 54)


if __name__ == '__main__':
    unittest.main()
