"""Teams, task UIs, flows and human loops by boto3, and a reviewer's calls: what each answers, and how
each refuses. The whole loop with a model is test_loop.py."""
import datetime
import json
import unittest
import urllib.parse

from botocore.exceptions import ClientError

import loopkit
from support import Refused, ServerCase, wait_for

OTHER_MEMBERS = [{'OidcMemberDefinition': {'Groups': ['night', 'day']}}]


class ReviewCase(ServerCase):
    count = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sm = cls.server.boto('sagemaker')
        cls.a2i = cls.server.boto('sagemaker-a2i-runtime')
        cls.flow = loopkit.make_flow(cls.server)

    def assert_refused(self, code, words, call, **request):
        with self.assertRaises(ClientError) as caught:
            call(**request)
        error = caught.exception.response['Error']
        self.assertEqual(error['Code'], code, error)
        self.assertIn(words, error['Message'])
        return caught.exception.response['ResponseMetadata']['HTTPStatusCode']

    def name(self, what='x'):
        ReviewCase.count += 1
        return f'{what}{ReviewCase.count}'

    def start(self, text='a text', flow=None):
        name = self.name('loop')
        loopkit.start_loop(self.server, flow or self.flow, name, text)
        return name


class Teams(ReviewCase):
    def test_a_team_is_described_as_it_was_made(self):
        name = self.name('Night-n')
        arn = self.sm.create_workteam(
            WorkteamName=name, Description='Späte', MemberDefinitions=OTHER_MEMBERS, WorkforceName='default',
            NotificationConfiguration={'NotificationTopicArn': 'arn:aws:sns:us-east-1:000000000000:t'},
            Tags=[{'Key': 'k', 'Value': 'v'}])['WorkteamArn']
        self.assertTrue(arn.endswith(f':workteam/private-crowd/{name}'))
        team = self.sm.describe_workteam(WorkteamName=name)['Workteam']
        self.assertEqual((team['WorkteamName'], team['Description']), (name, 'Späte'))
        self.assertEqual(team['MemberDefinitions'], OTHER_MEMBERS)
        self.assertIn('NotificationTopicArn', team['NotificationConfiguration'])
        self.assertEqual(self.sm.list_tags(ResourceArn=arn)['Tags'], [{'Key': 'k', 'Value': 'v'}])
        changed = self.sm.update_workteam(WorkteamName=name, Description='late')['Workteam']
        self.assertEqual((changed['Description'], changed['MemberDefinitions']), ('late', OTHER_MEMBERS))
        self.assertIs(self.sm.delete_workteam(WorkteamName=name)['Success'], True)
        self.assert_refused('ValidationException', 'Could not find', self.sm.describe_workteam, WorkteamName=name)

    def test_bad_teams_are_refused(self):
        create, good = self.sm.create_workteam, {'Description': 'd', 'MemberDefinitions': OTHER_MEMBERS}
        self.assert_refused('ResourceInUse', 'already exists', create, WorkteamName='crew', **good)
        self.assert_refused('ValidationException', 'no valid name', create, WorkteamName='a b', **good)
        self.assert_refused('ValidationException', "Could not find workforce 'other'", create, WorkteamName='t1',
                            WorkforceName='other', **good)
        self.assert_refused('ValidationException', 'has 11 entries', create, WorkteamName='t1', Description='d',
                            MemberDefinitions=OTHER_MEMBERS * 11)
        self.assert_refused('ValidationException', 'either', create, WorkteamName='t1', Description='d',
                            MemberDefinitions=[{**OTHER_MEMBERS[0], **loopkit.MEMBERS[0]}])
        self.assert_refused('ResourceInUse', 'flow definition', self.sm.delete_workteam, WorkteamName='crew')

    def test_lists_have_pages_and_orders(self):
        made = [self.name('page') for _ in range(3)]
        for name in made:
            self.sm.create_workteam(WorkteamName=name, Description='d', MemberDefinitions=OTHER_MEMBERS)
        pages = self.sm.get_paginator('list_workteams').paginate(
            NameContains='page', SortBy='CreateDate', SortOrder='Descending', PaginationConfig={'PageSize': 2})
        self.assertEqual([t['WorkteamName'] for page in pages for t in page['Workteams']], made[::-1])
        by_name = self.sm.list_workteams(NameContains='page', SortBy='Name')['Workteams']
        self.assertEqual([t['WorkteamName'] for t in by_name], sorted(made))

    def test_there_is_one_workforce(self):
        forces = self.sm.list_workforces()['Workforces']
        self.assertEqual([f['WorkforceName'] for f in forces], ['default'])
        force = self.sm.describe_workforce(WorkforceName='default')['Workforce']
        self.assertEqual(force['WorkforceArn'], forces[0]['WorkforceArn'])
        self.assert_refused('ValidationException', 'Could not find', self.sm.describe_workforce, WorkforceName='x')


class TaskUis(ReviewCase):
    def test_a_page_is_described_listed_and_deleted(self):
        name = self.name('ui')
        arn = self.sm.create_human_task_ui(HumanTaskUiName=name, UiTemplate={'Content': 'x'})['HumanTaskUiArn']
        found = self.sm.describe_human_task_ui(HumanTaskUiName=name)
        self.assertEqual((found['HumanTaskUiArn'], found['HumanTaskUiStatus']), (arn, 'Active'))
        self.assertEqual(found['UiTemplate']['ContentSha256'],
                         '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881')
        newest = self.sm.list_human_task_uis(SortOrder='Descending', MaxResults=1)['HumanTaskUiSummaries']
        self.assertEqual([ui['HumanTaskUiName'] for ui in newest], [name])
        self.sm.delete_human_task_ui(HumanTaskUiName=name)
        self.assert_refused('ResourceNotFound', name, self.sm.describe_human_task_ui, HumanTaskUiName=name)

    def test_a_template_that_is_none_is_refused_at_once(self):
        create = self.sm.create_human_task_ui
        self.assert_refused('ValidationException', "line 2: unknown tag 'fro'", create, HumanTaskUiName='bad',
                            UiTemplate={'Content': 'a\n{% fro %}'})
        self.assert_refused('ValidationException', '128000', create, HumanTaskUiName='bad',
                            UiTemplate={'Content': 'x' * 128001})
        self.assert_refused('ResourceInUse', 'already exists', create, HumanTaskUiName='reviews-ui',
                            UiTemplate={'Content': 'x'})

    def test_render_shows_the_page_or_what_is_wrong(self):
        def render(content, value):
            return self.sm.render_ui_template(UiTemplate={'Content': content}, RoleArn=loopkit.ROLE,
                                              Task={'Input': json.dumps(value)})
        good = render('<p>{{ task.input.t }}</p>', {'t': '<b>'})
        self.assertEqual((good['RenderedContent'], good['Errors']), ('<p>&lt;b&gt;</p>', []))
        bad = render('a {{ x | divided_by: 0 }}', {})
        self.assertEqual(bad['Errors'][0]['Code'], 'TemplateError')
        self.assertIn('line 1', bad['Errors'][0]['Message'])
        endless = render('{% for a in (1..999999999) %}{% endfor %}', {})
        self.assertIn('does not come to an end', endless['Errors'][0]['Message'])
        self.assert_refused('ValidationException', 'Task.Input', self.sm.render_ui_template,
                            UiTemplate={'Content': 'x'}, RoleArn=loopkit.ROLE, Task={'Input': '[1'})


class Flows(ReviewCase):
    def create(self, name, **change):
        config = {'WorkteamArn': self.sm.describe_workteam(WorkteamName='crew')['Workteam']['WorkteamArn'],
                  'HumanTaskUiArn': self.sm.describe_human_task_ui(HumanTaskUiName='reviews-ui')['HumanTaskUiArn'],
                  'TaskCount': 1, 'TaskTitle': 'Title', 'TaskDescription': 'About', **change.pop('config', {})}
        request = {'FlowDefinitionName': name, 'RoleArn': loopkit.ROLE, 'HumanLoopConfig': config,
                   'OutputConfig': {'S3OutputPath': 's3://reviews/out'}, **change}
        return self.sm.create_flow_definition(**request)['FlowDefinitionArn']

    def test_a_flow_is_described_as_it_was_made_with_its_defaults(self):
        name = self.name('flow')
        arn = self.create(name, Tags=[{'Key': 'hone:threshold', 'Value': '0.8'}], config={'TaskKeywords': ['a b']})
        found = self.sm.describe_flow_definition(FlowDefinitionName=name)
        self.assertEqual((found['FlowDefinitionArn'], found['FlowDefinitionStatus']), (arn, 'Active'))
        self.assertEqual(found['OutputConfig'], {'S3OutputPath': 's3://reviews/out'})
        self.assertEqual(found['RoleArn'], loopkit.ROLE)
        config = found['HumanLoopConfig']
        self.assertEqual((config['TaskTimeLimitInSeconds'], config['TaskAvailabilityLifetimeInSeconds']),
                         (3600, 864000))
        self.assertEqual(config['TaskKeywords'], ['a b'])
        newest = self.sm.list_flow_definitions(SortOrder='Descending')['FlowDefinitionSummaries'][0]
        self.assertEqual(newest['FlowDefinitionArn'], arn)
        self.assert_refused('ResourceInUse', 'already exists', self.create, name=name)

    def test_what_a_flow_names_must_be_there(self):
        for words, change in (
                ("bucket 'nowhere' does not exist", {'OutputConfig': {'S3OutputPath': 's3://nowhere/x'}}),
                ('S3OutputPath', {'OutputConfig': {'S3OutputPath': 'https://reviews/x'}}),
                ("work team 'none'", {'config': {'WorkteamArn': 'arn:aws:sagemaker:us-east-1:000000000000:workteam/'
                                                                'private-crowd/none'}}),
                ("human task UI 'none'", {'config': {'HumanTaskUiArn': 'arn:aws:sagemaker:us-east-1:000000000000:'
                                                                       'human-task-ui/none'}}),
                ('TaskCount is 4', {'config': {'TaskCount': 4}}),
                ('TaskTimeLimitInSeconds is 2147483648', {'config': {'TaskTimeLimitInSeconds': 2147483648}}),
                ('RoleArn', {'RoleArn': 'arn:aws:iam::000000000000:user/x'}),
                ('HumanLoopRequestSource', {'HumanLoopRequestSource': {
                    'AwsManagedHumanLoopRequestSource': 'AWS/Textract/AnalyzeDocument/Forms/V1'}}),
                ('hone:threshold', {'Tags': [{'Key': 'hone:threshold', 'Value': 'high'}]})):
            with self.subTest(words):
                self.assert_refused('ValidationException', words, self.create, name='never', **change)
        self.assert_refused('ResourceNotFound', 'never', self.sm.describe_flow_definition,
                            FlowDefinitionName='never')

    def test_tags_of_a_flow(self):
        arn = self.create(self.name('flow'))
        self.sm.add_tags(ResourceArn=arn, Tags=[{'Key': 'hone:audit', 'Value': '0.1'}, {'Key': 'a', 'Value': ''}])
        self.assertEqual([t['Key'] for t in self.sm.list_tags(ResourceArn=arn)['Tags']], ['a', 'hone:audit'])
        self.sm.delete_tags(ResourceArn=arn, TagKeys=['a'])
        self.assertEqual([t['Key'] for t in self.sm.list_tags(ResourceArn=arn)['Tags']], ['hone:audit'])
        self.assert_refused('ValidationException', 'hone:audit', self.sm.add_tags, ResourceArn=arn,
                            Tags=[{'Key': 'hone:audit', 'Value': '2'}])
        self.assert_refused('ResourceNotFound', "'none'", self.sm.list_tags,
                            ResourceArn=arn.rsplit('/', 1)[0] + '/none')

    def test_a_deleted_flow_goes_when_its_last_loop_does(self):
        arn = self.create(self.name('flow'))
        name = arn.rsplit('/', 1)[1]
        ann = self.server.invite('crew', self.name('ann'))
        begun, untouched = self.start(flow=arn), self.start(flow=arn)
        held = ann.next(name)
        self.assertEqual(held['task']['loop'], begun)
        self.sm.delete_flow_definition(FlowDefinitionName=name)
        self.assertEqual(self.sm.describe_flow_definition(FlowDefinitionName=name)['FlowDefinitionStatus'],
                         'Deleting')
        self.assert_refused('ResourceNotFoundException', untouched, self.a2i.describe_human_loop,
                            HumanLoopName=untouched)
        ann.answer(held, {'a': 1})
        self.assert_refused('ResourceNotFound', name, self.sm.describe_flow_definition, FlowDefinitionName=name)
        self.assertEqual(self.a2i.describe_human_loop(HumanLoopName=begun)['HumanLoopStatus'], 'Completed')


class Loops(ReviewCase):
    def test_a_loop_cannot_start_on_what_is_no_input(self):
        def start(name, content, flow=self.flow):
            self.a2i.start_human_loop(HumanLoopName=name, FlowDefinitionArn=flow,
                                      HumanLoopInput={'InputContent': content})
        first = self.start()
        self.assertEqual(self.assert_refused('ConflictException', 'already exists', start, name=first, content='{}'),
                         409)
        for words, request in (
                ('no valid name', {'name': 'Upper', 'content': '{}'}),
                ('InputContent: line 1', {'name': 'l', 'content': '{'}),
                ('expected a JSON object', {'name': 'l', 'content': '[]'}),
                ('InputContent', {'name': 'l', 'content': '{"a":' + '[' * 10000 + ']' * 10000 + '}'}),
                ('at most 3145728', {'name': 'l', 'content': json.dumps({'a': 'x' * 3145728})}),
                ("flow definition 'none'", {'name': 'l', 'content': '{}',
                                            'flow': self.flow.rsplit('/', 1)[0] + '/none'})):
            with self.subTest(words):
                self.assertEqual(self.assert_refused('ValidationException', words, start, **request), 400)

    def test_list_by_time_and_in_pages(self):
        flow = loopkit.make_flow(self.server, name=self.name('listed'))
        names = [self.start(flow=flow) for _ in range(3)]
        pages = self.a2i.get_paginator('list_human_loops').paginate(
            FlowDefinitionArn=flow, SortOrder='Descending', PaginationConfig={'PageSize': 2})
        found = [loop for page in pages for loop in page['HumanLoopSummaries']]
        self.assertEqual([loop['HumanLoopName'] for loop in found], names[::-1])
        now = datetime.datetime.now(datetime.timezone.utc)
        self.assertLess(abs(found[0]['CreationTime'] - now), datetime.timedelta(minutes=5))
        later = self.a2i.list_human_loops(FlowDefinitionArn=flow,
                                          CreationTimeAfter=found[0]['CreationTime'] +
                                          datetime.timedelta(minutes=1))['HumanLoopSummaries']
        self.assertEqual(later, [])
        self.assert_refused('ValidationException', 'MaxResults', self.a2i.list_human_loops, FlowDefinitionArn=flow,
                            MaxResults=101)
        status, _, body = self.server.call(
            'GET', '/human-loops?CreationTimeAfter=yesterday&FlowDefinitionArn=' + urllib.parse.quote(flow))
        self.assertEqual(status, 400, body)

    def test_stop_and_delete(self):
        name = self.start()
        self.assert_refused('ValidationException', 'stop it', self.a2i.delete_human_loop, HumanLoopName=name)
        self.a2i.stop_human_loop(HumanLoopName=name)
        self.assertEqual(self.a2i.describe_human_loop(HumanLoopName=name)['HumanLoopStatus'], 'Stopped')
        self.assert_refused('ValidationException', 'Stopped', self.a2i.stop_human_loop, HumanLoopName=name)
        self.a2i.delete_human_loop(HumanLoopName=name)
        self.assertEqual(self.assert_refused('ResourceNotFoundException', name, self.a2i.describe_human_loop,
                                             HumanLoopName=name), 404)

    def test_a_loop_that_nobody_answers_expires_by_itself(self):
        flow = loopkit.make_flow(self.server, name=self.name('short'), TaskAvailabilityLifetimeInSeconds=1)
        name = self.start(flow=flow)
        failed = wait_for('expiry', lambda: (lambda loop: loop['HumanLoopStatus'] == 'Failed' and loop)(
            self.a2i.describe_human_loop(HumanLoopName=name)), 30)
        self.assertEqual(failed['FailureCode'], 'Expired')
        self.assertIn('1 s', failed['FailureReason'])

    def test_three_reviewers_answer_one_loop(self):
        flow = loopkit.make_flow(self.server, name=self.name('three'), tasks=3)
        people = [self.server.invite('crew', self.name('p')) for _ in range(3)]
        name = self.start('dis<agreement>', flow=flow)
        short = flow.rsplit('/', 1)[1]
        for i, person in enumerate(people):
            self.assertEqual(loopkit.describe_loop(self.server, name)['HumanLoopStatus'], 'InProgress')
            held = person.next(short)
            person.answer(held, {'category': {'label': f'L{i}'}})
            self.assertIsNone(person.next(short)['task'])
        loop = loopkit.describe_loop(self.server, name)
        self.assertEqual(loop['HumanLoopStatus'], 'Completed')
        output = loopkit.load_output(self.server, loop)
        self.assertEqual(output['inputContent'], {'taskObject': 'dis<agreement>'})
        self.assertEqual([a['answerContent']['category']['label'] for a in output['humanAnswers']],
                         ['L0', 'L1', 'L2'])
        self.assertEqual(len({a['workerId'] for a in output['humanAnswers']}), 3)
        self.assertRegex(loop['HumanLoopOutput']['OutputS3Uri'],
                         rf'^s3://reviews/a2i/{short}/\d{{4}}/\d\d/\d\d/\d\d/\d\d/\d\d/{name}/output.json$')


class Tasks(ReviewCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ann, cls.bob = (cls.server.invite('crew', name) for name in ('ann', 'bob'))
        cls.sm.create_workteam(WorkteamName='elsewhere', Description='d', MemberDefinitions=OTHER_MEMBERS)
        cls.eve = cls.server.invite('elsewhere', 'eve')

    def assert_call(self, status, code, person, method, path, body=None):
        with self.assertRaises(Refused) as caught:
            person.call(method, path, body)
        self.assertEqual((caught.exception.status, caught.exception.code), (status, code), str(caught.exception))

    def hold(self, person, text='a text'):
        """A loop of its own, held by person."""
        loop = self.start(text)
        task = next(t for t in person.tasks()['tasks'] if t['loop'] == loop)
        return person.call('POST', f'/hone/tasks/{task["id"]}/accept')

    def test_a_task_is_seen_by_its_team_alone(self):
        held = self.hold(self.ann)
        task = f'/hone/tasks/{held["task"]["id"]}'
        self.assertNotIn(held['task']['loop'], [t['loop'] for t in self.bob.tasks()['tasks']])
        self.assertEqual(self.eve.tasks(), {'tasks': [], 'leased': []})
        for action in ('accept', 'heartbeat', 'release', 'decline', 'answer'):
            self.assert_call(404, 'not_found', self.eve, 'POST', f'{task}/{action}',
                             {'lease': held['lease'], 'answer': {}})
        self.assert_call(404, 'not_found', self.eve, 'GET', held['frame'])
        self.assert_call(409, 'conflict', self.bob, 'POST', f'{task}/accept')
        self.assert_call(410, 'gone', self.bob, 'POST', f'{task}/answer', {'lease': held['lease'], 'answer': {}})
        self.assert_call(410, 'gone', self.bob, 'GET', held['frame'])

    def test_an_answer_twice_is_one_answer(self):
        held = self.hold(self.ann)
        first = self.ann.answer(held, {'a': {'b': 1}})
        self.assertEqual(self.ann.answer(held, {'a': {'b': 1}}), first)
        task = f'/hone/tasks/{held["task"]["id"]}'
        self.assert_call(409, 'conflict', self.ann, 'POST', f'{task}/answer',
                         {'lease': held['lease'], 'answer': {'a': {'b': 2}}})
        self.assert_call(409, 'conflict', self.bob, 'POST', f'{task}/accept')
        self.assert_call(409, 'conflict', self.ann, 'POST', f'{task}/heartbeat', {'lease': held['lease']})
        output = loopkit.load_output(self.server, loopkit.describe_loop(self.server, held['task']['loop']))
        self.assertEqual([a['answerContent'] for a in output['humanAnswers']], [{'a': {'b': 1}}])

    def test_bad_answers_are_refused_and_change_nothing(self):
        held = self.hold(self.ann)
        path, lease = f'/hone/tasks/{held["task"]["id"]}/answer', held['lease']
        for body in ({}, {'answer': {}}, {'lease': lease}, {'lease': lease, 'answer': [1]},
                     {'lease': lease, 'answer': 'x'}, {'lease': 5, 'answer': {}},
                     {'lease': lease, 'answer': {}, 'seconds': -1}, {'lease': lease, 'answer': {}, 'seconds': 'x'},
                     {'lease': lease, 'answer': {'a': 'x' * (1 << 20)}}):
            self.assert_call(400, 'invalid', self.ann, 'POST', path, body)
        self.assert_call(410, 'gone', self.ann, 'POST', path, {'lease': 'stale', 'answer': {}})
        self.ann.answer(held, {})

    def test_lease_release_and_decline(self):
        held = self.hold(self.ann)
        path = f'/hone/tasks/{held["task"]["id"]}'
        self.assertIn(held['task']['id'], [t['id'] for t in self.ann.tasks()['leased']])
        until = self.ann.call('POST', f'{path}/heartbeat', {'lease': held['lease']})['lease_until']
        self.assertGreaterEqual(until, held['task']['lease_until'])
        self.ann.call('POST', f'{path}/release', {'lease': held['lease']})
        self.assert_call(410, 'gone', self.ann, 'POST', f'{path}/heartbeat', {'lease': held['lease']})
        again = self.ann.call('POST', f'{path}/accept')
        self.ann.call('POST', f'{path}/decline', {'lease': again['lease']})
        self.assertNotIn(held['task']['id'], [t['id'] for t in self.ann.tasks()['tasks']])
        self.assert_call(409, 'conflict', self.ann, 'POST', f'{path}/accept')
        self.bob.answer(self.bob.call('POST', f'{path}/accept'), {'ok': True})

    def test_a_stopped_loop_takes_the_task_along(self):
        held = self.hold(self.ann)
        self.ann.call('POST', f'/hone/tasks/{held["task"]["id"]}/release', {'lease': held['lease']})
        self.a2i.stop_human_loop(HumanLoopName=held['task']['loop'])
        self.assert_call(410, 'gone', self.bob, 'POST', f'/hone/tasks/{held["task"]["id"]}/accept')

    def test_paths_that_are_none(self):
        for method, path in (('GET', '/hone/tasks/1'), ('POST', '/hone/tasks/1/nothing'), ('POST', '/hone/tasks'),
                             ('POST', '/hone/tasks/x/accept'), ('GET', '/hone/tasks/next'),
                             ('POST', '/hone/tasks/99999999999999999999/accept'), ('GET', '/hone/tasks/7/frame/x')):
            self.assert_call(404, 'not_found', self.ann, method, path, {} if method == 'POST' else None)

    def frame(self, held):
        return self.server.call('GET', held['frame'], headers={'Cookie': self.ann.cookie}, token=False)

    def test_the_frame_reaches_nothing_but_hones_elements(self):
        held = self.hold(self.ann, '</classification-target><script>alert(1)</script>')
        status, headers, body = self.frame(held)
        self.assertEqual((status, headers['Content-Type']), (200, 'text/html; charset=utf-8'))
        policy = headers['content-security-policy']
        self.assertTrue(policy.startswith("sandbox allow-scripts; default-src 'none'; "), policy)
        self.assertIn(f"script-src 'unsafe-inline' {self.server.url}/ui/crowd.js;", policy)
        for part in ("form-action 'none'", "base-uri 'none'", "frame-ancestors 'self'"):
            self.assertIn(part, policy)
        self.assertNotIn('allow-same-origin', policy)
        self.assertEqual((headers['cache-control'], headers['referrer-policy']), ('no-store', 'no-referrer'))
        self.assertEqual(body.count(b'<script'), 1)
        self.assertIn(b'<script src="/ui/crowd.js"></script>', body)
        self.assertNotIn(b'assets.crowd.aws', body)
        self.assertIn(b'&lt;script&gt;alert(1)&lt;/script&gt;', body)
        self.ann.answer(held, {})
        self.assertEqual(self.frame(held)[0], 409)

    def test_a_template_that_fails_says_so_in_the_frame(self):
        ui = self.sm.create_human_task_ui(HumanTaskUiName=self.name('failing'), UiTemplate={
            'Content': '\n{% for a in (1..task.input.n) %}{% endfor %}'})['HumanTaskUiArn']
        work = self.sm.describe_workteam(WorkteamName='crew')['Workteam']['WorkteamArn']
        flow = self.sm.create_flow_definition(
            FlowDefinitionName=self.name('failing'), RoleArn=loopkit.ROLE,
            OutputConfig={'S3OutputPath': 's3://reviews/a2i'},
            HumanLoopConfig={'WorkteamArn': work, 'HumanTaskUiArn': ui, 'TaskCount': 1, 'TaskTitle': 't',
                             'TaskDescription': 'd'})['FlowDefinitionArn']
        self.a2i.start_human_loop(HumanLoopName=self.name('endless'), FlowDefinitionArn=flow,
                                  HumanLoopInput={'InputContent': '{"n": 999999999}'})
        held = self.ann.next(flow.rsplit('/', 1)[1])
        status, headers, body = self.frame(held)
        self.assertEqual(status, 422)
        self.assertIn('sandbox', headers['content-security-policy'])
        self.assertIn(b'line 2: the template does not come to an end', body)
        self.assertEqual(self.server.json('GET', '/hone/me')['role'], 'admin')  # the rest goes on


if __name__ == '__main__':
    unittest.main()
