"""The parts of a loop, made by boto3 alone: a model from tests/golden, an endpoint, a team, a flow."""
import io
import json
import pathlib
import tarfile
import tempfile

from support import wait_for
from tiny import make_model

ROLE = 'arn:aws:iam::000000000000:role/hone'
TEMPLATE = """<script src="https://assets.crowd.aws/crowd-html-elements.js"></script>
<crowd-form>
  <crowd-classifier name="category" categories="['Positive', 'Negative', 'Not Clear']" header="Sentiment">
    <classification-target>{{ task.input.taskObject }}</classification-target>
    <full-instructions header="Sentiment">Choose one.</full-instructions>
    <short-instructions>Choose one.</short-instructions>
  </crowd-classifier>
</crowd-form>
"""
MEMBERS = [{'CognitoMemberDefinition': {'UserPool': 'hone_pool', 'UserGroup': 'crew', 'ClientId': 'hone'}}]


def archive(folder):
    """A model folder as the bytes of model.tar.gz."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode='w:gz', compresslevel=1) as tar:
        for path in sorted(pathlib.Path(folder).iterdir()):
            tar.add(path, arcname=path.name)
    return data.getvalue()


def tiny_archive():
    """The tiny BERT of tests/golden, which gives any label: what it says does not matter here."""
    with tempfile.TemporaryDirectory() as folder:
        return archive(make_model(pathlib.Path(folder, 'tiny')))


def put(server, bucket, key, data):
    """Bytes as an object; its URI. The bucket is made when it is missing."""
    s3 = server.boto('s3')
    if bucket not in [b['Name'] for b in s3.list_buckets()['Buckets']]:
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=key, Body=data)
    return f's3://{bucket}/{key}'


def register(server, data, group='sentiment', status='Approved'):
    """A version of a group, from the bytes of model.tar.gz; its ARN."""
    uri = put(server, 'models', f'{group}/{len(data)}/model.tar.gz', data)
    return server.boto('sagemaker').create_model_package(
        ModelPackageGroupName=group, ModelApprovalStatus=status,
        InferenceSpecification={'Containers': [{'Image': 'hone/native', 'ModelDataUrl': uri}],
                                'SupportedContentTypes': ['application/json'],
                                'SupportedResponseMIMETypes': ['application/json']})['ModelPackageArn']


def deploy(server, arn, endpoint='live', name='first'):
    """Create the endpoint, or update it, as the founding notebooks do; returns when it serves."""
    sm = server.boto('sagemaker')
    sm.create_model(ModelName=name, ExecutionRoleArn=ROLE, Containers=[{'ModelPackageName': arn}])
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{
        'VariantName': 'AllTraffic', 'ModelName': name, 'InitialInstanceCount': 1,
        'InstanceType': 'ml.m5.xlarge', 'InitialVariantWeight': 1}])
    there = [e['EndpointName'] for e in sm.list_endpoints(NameContains=endpoint)['Endpoints']]
    if endpoint in there:
        sm.update_endpoint(EndpointName=endpoint, EndpointConfigName=name)
    else:
        sm.create_endpoint(EndpointName=endpoint, EndpointConfigName=name)

    def serves():
        found = sm.describe_endpoint(EndpointName=endpoint)
        assert found['EndpointStatus'] != 'Failed', found.get('FailureReason')
        return found['EndpointStatus'] == 'InService' and found['EndpointConfigName'] == name
    wait_for(f'endpoint {endpoint}', serves)


def predict(server, text, endpoint='live'):
    """{"label", "score"} of one text."""
    answer = server.boto('sagemaker-runtime').invoke_endpoint(
        EndpointName=endpoint, ContentType='application/json', Body=json.dumps({'inputs': text}))
    return json.loads(answer['Body'].read())[0]


def make_flow(server, name='reviews', team='crew', output='s3://reviews/a2i', tasks=1, **config):
    """A team, a page and a flow; the flow's ARN. The bucket of the output is made, too."""
    sm, s3 = server.boto('sagemaker'), server.boto('s3')
    bucket = output.split('/')[2]
    if bucket not in [b['Name'] for b in s3.list_buckets()['Buckets']]:
        s3.create_bucket(Bucket=bucket)
    if team not in [t['WorkteamName'] for t in sm.list_workteams()['Workteams']]:
        sm.create_workteam(WorkteamName=team, MemberDefinitions=MEMBERS, Description='Reviewers')
    work = sm.describe_workteam(WorkteamName=team)['Workteam']['WorkteamArn']
    ui = sm.create_human_task_ui(HumanTaskUiName=f'{name}-ui', UiTemplate={'Content': TEMPLATE})['HumanTaskUiArn']
    arn = sm.create_flow_definition(
        FlowDefinitionName=name, RoleArn=ROLE, OutputConfig={'S3OutputPath': output},
        HumanLoopConfig={'WorkteamArn': work, 'HumanTaskUiArn': ui, 'TaskCount': tasks,
                         'TaskTitle': 'Classify the text', 'TaskDescription': 'Read the instructions',
                         **config})['FlowDefinitionArn']
    wait_for('active flow', lambda: sm.describe_flow_definition(
        FlowDefinitionName=name)['FlowDefinitionStatus'] == 'Active')
    return arn


def start_loop(server, flow_arn, name, text):
    server.boto('sagemaker-a2i-runtime').start_human_loop(
        HumanLoopName=name, FlowDefinitionArn=flow_arn,
        HumanLoopInput={'InputContent': json.dumps({'taskObject': text})})


def describe_loop(server, name):
    return server.boto('sagemaker-a2i-runtime').describe_human_loop(HumanLoopName=name)


def load_output(server, loop):
    """output.json of a completed loop, parsed."""
    uri = loop['HumanLoopOutput']['OutputS3Uri']
    bucket, key = uri.removeprefix('s3://').split('/', 1)
    return json.loads(server.boto('s3').get_object(Bucket=bucket, Key=key)['Body'].read())
