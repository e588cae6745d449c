"""Who may do what: every route and every operation, by everybody who may not.

The operations are read from the tables in src/api/, hone's own calls from docs/api.md: what is added
later is walked too. A request that is let in by mistake answers something else than 401 or 403."""
import datetime
import json
import re
import unittest.mock

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support import ROOT, ServerCase

JSON_1_1 = 'application/x-amz-json-1.1'
FORM = 'application/x-www-form-urlencoded'
OPEN = [('POST', '/hone/login'), ('GET', '/hone/invitations/TOKEN'), ('POST', '/hone/invitations/TOKEN')]
# What docs/api.md leaves to reviewers too.
REVIEWERS = re.compile(r'/hone/(me|logout|keys|tasks)\b')


def operations():
    for path in sorted((ROOT / 'src' / 'api').glob('*.c')):
        for table in re.findall(r'const hone_op hone_\w+_ops\[\] = \{(.*?)\n\};', path.read_text(), re.S):
            yield from re.findall(r'\{"([A-Z][A-Za-z]+)",', table)


def own_calls():
    rows = re.findall(r'^\| `(GET|POST|PUT|DELETE) (/hone/[^`?]*)', (ROOT / 'docs' / 'api.md').read_text(), re.M)
    return [*rows, ('GET', '/hone/events'), ('GET', '/hone/none'), ('POST', '/hone')]


def routes():
    """(service, method, path, headers, body) of everything that needs an account."""
    for name in operations():
        yield 'sagemaker', 'POST', '/', {'X-Amz-Target': f'SageMaker.{name}', 'Content-Type': JSON_1_1}, b'{}'
    for target in ('SageMaker.None', 'AWSEvents.PutRule', 'x'):
        yield 'sagemaker', 'POST', '/', {'X-Amz-Target': target, 'Content-Type': JSON_1_1}, b'{}'
    for method, path in own_calls():
        if (method, path) not in OPEN:
            yield 'sagemaker', method, path, {'Content-Type': 'application/json'}, b'' if method == 'GET' else b'{}'
    for method, path in (('POST', '/human-loops'), ('GET', '/human-loops'), ('GET', '/human-loops/x'),
                         ('DELETE', '/human-loops/x'), ('POST', '/human-loops/stop'),
                         ('POST', '/endpoints/x/invocations'), ('GET', '/endpoints/x')):
        yield 'sagemaker', method, path, {'Content-Type': 'application/json'}, b'{}' if method == 'POST' else b''
    for action in ('GetCallerIdentity', 'GetRole', 'AssumeRole'):
        yield 'sts', 'POST', '/', {'Content-Type': FORM}, f'Action={action}&Version=2011-06-15'.encode()
    for method, path in (('GET', '/bucket'), ('HEAD', '/bucket'), ('PUT', '/new-bucket'), ('DELETE', '/bucket'),
                         ('GET', '/bucket?list-type=2'), ('POST', '/bucket?delete'), ('GET', '/bucket/key'),
                         ('PUT', '/bucket/key'), ('DELETE', '/bucket/key'), ('POST', '/bucket/key?uploads'),
                         ('PATCH', '/bucket/key'), ('GET', '/bucket?acl'), ('GET', '/..%2f..%2fetc/passwd')):
        yield 's3', method, path, {}, b'' if method in ('GET', 'HEAD', 'DELETE') else b'<x/>'


def sign(server, service, method, path, headers, body, key=None, secret=None, shift_s=0):
    request = AWSRequest(method=method, url=server.url + path, headers=dict(headers), data=body)
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(seconds=shift_s)
    with unittest.mock.patch('botocore.auth.get_current_datetime', return_value=now):
        (S3SigV4Auth if service == 's3' else SigV4Auth)(
            Credentials(key or server.key, secret or server.secret), service, 'us-east-1').add_auth(request)
    return dict(request.headers)


class AccessCase(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.boto('s3').create_bucket(Bucket='bucket')
        cls.server.boto('s3').put_object(Bucket='bucket', Key='key', Body=b'before')
        cls.reviewer = cls.server.invite(None)
        keys = cls.reviewer.call('POST', '/hone/keys', {})
        cls.reviewer_key = (keys['key_id'], keys['secret'])

    def assert_refused(self, route, headers, body=None, statuses=(401, 403)):
        service, method, path, _, signed_body = route
        with self.subTest(method=method, path=path, target=route[3].get('X-Amz-Target')):
            status, got, answer = self.server.call(method, path, signed_body if body is None else body, headers=headers,
                                                   token=False)
            self.assertIn(status, statuses, answer[:300])
            if method == 'HEAD':
                self.assertEqual(answer, b'')
            elif path.startswith('/hone'):
                self.assertIn('code', json.loads(answer)['error'])
            elif 'X-Amz-Target' in headers:
                self.assertIn('__type', json.loads(answer))
            elif path.startswith(('/human-loops', '/endpoints')):
                self.assertTrue(json.loads(answer)['message'])
                self.assertTrue({k.lower(): v for k, v in got.items()}['x-amzn-errortype'])
            else:
                self.assertIn(b'<Code>', answer)

    def tearDown(self):
        """Nothing of what was refused has happened."""
        s3 = self.server.boto('s3')
        names = [bucket['Name'] for bucket in s3.list_buckets()['Buckets']]
        self.assertIn('bucket', names)
        self.assertNotIn('new-bucket', names)
        self.assertEqual(s3.get_object(Bucket='bucket', Key='key')['Body'].read(), b'before')
        self.assertEqual(len(self.server.json('GET', '/hone/users')['users']), 2)

    def test_walk__covers_the_operations(self):
        self.assertGreater(len(list(operations())), 60)
        self.assertGreater(len(own_calls()), 18)

    def test_nobody__gets_in(self):
        for route in routes():
            self.assert_refused(route, route[3])

    def test_unknown_key__gets_nowhere(self):
        for route in routes():
            headers = sign(self.server, *route, key='HONE0000000000000000')
            self.assert_refused(route, headers)

    def test_wrong_secret__gets_nowhere(self):
        for route in routes():
            self.assert_refused(route, sign(self.server, *route, secret='wrong'))

    def test_old_or_early_date__gets_nowhere(self):
        for shift_s in (-16 * 60, 16 * 60):
            for route in routes():
                self.assert_refused(route, sign(self.server, *route, shift_s=shift_s))

    def test_other_body__than_was_signed_gets_nowhere(self):
        for route in routes():
            if route[4]:
                self.assert_refused(route, sign(self.server, *route), body=route[4] + b' ')

    def test_other_target__than_was_signed_gets_nowhere(self):
        route = ('sagemaker', 'POST', '/', {'X-Amz-Target': 'SageMaker.ListEndpoints', 'Content-Type': JSON_1_1}, b'{}')
        headers = sign(self.server, *route)
        headers['X-Amz-Target'] = 'SageMaker.DeleteEndpoint'
        self.assert_refused(route, headers)
        headers.pop('X-Amz-Target')  # one that is signed and was not sent
        status, _, _ = self.server.call('POST', '/', b'{}', headers=headers, token=False)
        self.assertIn(status, (400, 403))

    def test_bearer__must_be_a_key_and_its_secret(self):
        key, secret = self.server.key, self.server.secret
        other = self.reviewer_key
        for token in ('', 'x', 'hone_', f'hone_{key}', f'hone_{key}_', f'hone_{key}_{secret[:-1]}', f'hone_{key}_{secret}x',
                      f'hone_{other[0]}_{secret}', f'hone_{key}_{other[1]}', f'{key}:x', 'hone__' + secret):
            for route in list(routes())[::5]:
                self.assert_refused(route, {**route[3], 'Authorization': f'Bearer {token}'}, statuses=(400, 401, 403))

    def test_authorization__of_another_form_gets_nowhere(self):
        for value in ('Basic YWRtaW46YWRtaW4=', 'AWS AKIA:sig', 'AWS4-HMAC-SHA256', 'AWS4-HMAC-SHA256 Credential=x',
                      'Bearer', 'x' * 8000):
            for route in list(routes())[::5]:
                self.assert_refused(route, {**route[3], 'Authorization': value}, statuses=(400, 401, 403))

    def test_cookie__that_is_none_gets_nowhere(self):
        for value in ('hone_session=', 'hone_session=x', 'hone_session=' + 'f' * 64, 'other=1'):
            for route in list(routes())[::3]:
                self.assert_refused(route, {**route[3], 'Cookie': value})

    def test_page_of_another_site__cannot_use_the_cookie(self):
        self.reviewer.login()
        for csrf in ({}, {'X-Hone-CSRF': ''}, {'X-Hone-CSRF': 'x'}, {'X-Hone-CSRF': self.reviewer.csrf[:-1]}):
            for route in routes():
                if route[1] not in ('GET', 'HEAD'):
                    self.assert_refused(route, {**route[3], **csrf, 'Cookie': self.reviewer.cookie})

    def test_reviewer__reaches_only_what_is_theirs(self):
        self.reviewer.login()
        session = {'Cookie': self.reviewer.cookie, 'X-Hone-CSRF': self.reviewer.csrf}
        for route in routes():
            if REVIEWERS.match(route[2]) or route[0] == 'sts' or route[2] in ('/hone/none', '/hone', '/hone/events'):
                continue
            if route[3].get('X-Amz-Target') in ('SageMaker.None', 'AWSEvents.PutRule', 'x'):
                continue
            self.assert_refused(route, {**route[3], **session})
            self.assert_refused(route, sign(self.server, *route, key=self.reviewer_key[0], secret=self.reviewer_key[1]))

    def test_own_proofs__let_one_in(self):
        """The walk would pass on a server that refuses everybody."""
        who = ('sts', 'POST', '/', {'Content-Type': FORM}, b'Action=GetCallerIdentity&Version=2011-06-15')
        self.assertEqual(self.server.call('POST', '/', who[4], headers=sign(self.server, *who), token=False)[0], 200)
        for call in ('GET', '/hone/users'), ('GET', '/bucket/key'), ('GET', '/human-loops/none'):
            status, _, _ = self.server.call(*call, headers=sign(self.server, 'sagemaker' if call[1] != '/bucket/key' else 's3',
                                                                *call, {}, b''), token=False)
            self.assertIn(status, (200, 404), call)
        self.assertEqual(self.reviewer.call('GET', '/hone/me')['role'], 'reviewer')

    def test_pages__are_for_everybody_and_nothing_else_is(self):
        for path in ('/', '/login', '/portal', '/invite/x'):
            status, headers, _ = self.server.call('GET', path, token=False)
            self.assertEqual((status, headers['Content-Type'].split(';')[0]), (200, 'text/html'), path)
        for path in ('/bucket', '/credentials', '/hone.db', '/portalx', '/loginx', '/invitex/1'):
            self.assertIn(self.server.call('GET', path, token=False)[0], (401, 403), path)
        for method, path in OPEN:
            self.assertIn(self.server.call(method, path, {} if method == 'POST' else None, token=False)[0],
                          (400, 401, 404, 410), path)
