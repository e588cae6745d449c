"""People over the wire: who one is, what one may, and how that begins and ends. docs/api.md has the
table. The server is plain HTTP on loopback, so the cookie is without Secure."""
import json
import unittest

from support import Refused, Reviewer, Server, ServerCase

WRONG = {'name': 'admin', 'password': 'wrong password'}


class People(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for team in ('crew', 'other'):
            cls.make_team(cls.server, team)
        cls.ann = cls.server.invite('crew', 'ann')
        link = cls.server.json('POST', '/hone/invitations', {'email': 'eve@example.org', 'role': 'engineer'})
        cls.eve = Reviewer(cls.server, link['link'], 'eve')

    @staticmethod
    def make_team(server, name):
        server.boto('sagemaker').create_workteam(
            WorkteamName=name, Description='x', MemberDefinitions=[{'OidcMemberDefinition': {'Groups': [name]}}])

    def post(self, path, body, **kwargs):
        return self.server.call('POST', path, body, **kwargs)

    def assert_error(self, answer, status, code):
        self.assertEqual(answer[0], status, answer[2])
        self.assertEqual(json.loads(answer[2])['error']['code'], code)

    def invite(self, email='bob@example.org', **more):
        return self.server.json('POST', '/hone/invitations', {'email': email, **more})['link']

    # --- login ---

    def test_admin_logs_in_with_the_password_of_the_credentials(self):
        found = self.server.credentials()
        status, headers, body = self.post(
            '/hone/login', {'name': found['hone_portal_user'], 'password': found['hone_portal_password']}, token=False)
        me = json.loads(body)
        self.assertEqual((status, me['name'], me['role']), (200, 'admin', 'admin'))
        cookie = headers['Set-Cookie']
        self.assertRegex(cookie, r'^hone_session=[A-Za-z0-9_-]{43}; ')
        for part in ('HttpOnly', 'SameSite=Strict', 'Path=/'):
            self.assertIn(f'; {part}', cookie)
        self.assertNotIn('Secure', cookie)
        self.assertEqual(headers['Cache-Control'], 'no-store')

    def test_wrong_name_and_wrong_password_are_one_answer(self):
        known = self.post('/hone/login', WRONG, token=False)
        unknown = self.post('/hone/login', {'name': 'nobody', 'password': 'x'}, token=False)
        self.assert_error(known, 401, 'unauthenticated')
        self.assertEqual(known[2], unknown[2])
        self.assertNotIn('Set-Cookie', known[1])

    def test_login_by_e_mail_in_any_case(self):
        self.ann.login()
        status, _, body = self.post('/hone/login', {'name': 'ANN@example.ORG', 'password': self.ann.password},
                                    token=False)
        self.assertEqual((status, json.loads(body)['teams']), (200, ['crew']))

    def test_login_from_a_form_of_another_site_is_refused(self):
        body = json.dumps({'name': 'ann', 'password': self.ann.password}).encode()
        for content_type in ('text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'):
            answer = self.post('/hone/login', body, token=False, headers={'Content-Type': content_type})
            self.assert_error(answer, 400, 'invalid')

    def test_malformed_logins_are_clear_errors(self):
        for body in (b'', b'[]', b'{', b'{"name": 1, "password": "x"}', b'{"name": "x"}', b'\xff',
                     b'[' * 10000, b'{"a":' * 10000, json.dumps({'name': 'x' * 9999, 'password': 'x'}).encode()):
            answer = self.post('/hone/login', body, token=False, headers={'Content-Type': 'application/json'})
            self.assert_error(answer, 400, 'invalid')

    def test_ten_failures_lock_a_name_for_a_while(self):
        lou = self.server.invite('crew', 'lou')
        for _ in range(10):
            answer = self.post('/hone/login', {'name': 'lou', 'password': 'wrong'}, token=False)
            self.assert_error(answer, 401, 'unauthenticated')
        self.assert_error(self.post('/hone/login', {'name': 'lou', 'password': lou.password}, token=False),
                          429, 'too_many')
        self.assertEqual(lou.call('GET', '/hone/me')['name'], 'lou')  # who is in stays in

    def test_logout_ends_the_session_and_the_cookie(self):
        self.ann.login()
        cookie, csrf = self.ann.cookie, self.ann.csrf
        status, headers, _ = self.post('/hone/logout', {}, token=False,
                                       headers={'Cookie': cookie, 'X-Hone-CSRF': csrf})
        self.assertEqual(status, 200)
        self.assertIn('hone_session=;', headers['Set-Cookie'])
        self.assertIn('Max-Age=0', headers['Set-Cookie'])
        with self.assertRaises(Refused) as caught:
            self.ann.call('GET', '/hone/me')
        self.assertEqual(caught.exception.status, 401)
        self.ann.login()

    # --- CSRF ---

    def test_a_changing_request_of_a_session_needs_its_token(self):
        self.eve.login()
        body = {'email': 'csrf@example.org'}
        for token in ({}, {'X-Hone-CSRF': ''}, {'X-Hone-CSRF': 'x' * 32}, {'X-Hone-CSRF': self.ann.csrf}):
            answer = self.post('/hone/invitations', body, token=False, headers={'Cookie': self.eve.cookie, **token})
            self.assertIn(answer[0], (401, 403), answer[2])
        answer = self.post('/hone/keys', {}, token=False, headers={'Cookie': self.eve.cookie})
        self.assert_error(answer, 403, 'forbidden')
        self.assertIn('link', self.eve.call('POST', '/hone/invitations', body))

    def test_sagemaker_calls_of_a_session_need_it_too(self):
        headers = {'Cookie': self.eve.cookie, 'X-Amz-Target': 'SageMaker.ListWorkteams',
                   'Content-Type': 'application/x-amz-json-1.1'}
        self.assertEqual(self.post('/', b'{}', token=False, headers=headers)[0], 403)
        headers['X-Hone-CSRF'] = self.eve.csrf
        self.assertEqual(self.post('/', b'{}', token=False, headers=headers)[0], 200)

    # --- invitations ---

    def test_an_invitation_works_once(self):
        link = self.invite('once@example.org', team='crew')
        token = link.rsplit('/', 1)[1]
        self.assertEqual(link, f'{self.server.url}/invite/{token}')
        shown = self.server.json('GET', f'/hone/invitations/{token}', token=False)
        self.assertEqual((shown['email'], shown['team'], shown['role']), ('once@example.org', 'crew', 'reviewer'))
        accept = {'name': 'once', 'password': 'long enough'}
        for bad, status in (({'name': 'ann', 'password': 'long enough'}, 409),
                            ({'name': 'once', 'password': 'short'}, 400),
                            ({'name': 'no blanks', 'password': 'long enough'}, 400)):
            self.assertEqual(self.post(f'/hone/invitations/{token}', bad, token=False)[0], status)
        status, headers, body = self.post(f'/hone/invitations/{token}', accept, token=False)
        self.assertEqual((status, json.loads(body)['name']), (200, 'once'))
        self.assertIn('hone_session=', headers['Set-Cookie'])
        for method, sent in (('GET', None), ('POST', accept)):
            answer = self.server.call(method, f'/hone/invitations/{token}', sent, token=False)
            self.assert_error(answer, 410, 'gone')
        answer = self.server.call('GET', '/hone/invitations/never-was', token=False)
        self.assert_error(answer, 410, 'gone')
        answer = self.post('/hone/invitations', {'email': 'Once@example.org'})
        self.assert_error(answer, 409, 'conflict')

    def test_who_may_invite_whom(self):
        self.ann.login()
        for who, role, allowed in ((self.ann, 'reviewer', False), (self.eve, 'reviewer', True),
                                   (self.eve, 'engineer', False), (self.eve, 'admin', False)):
            body = {'email': f'{who.name}-{role}@example.org', 'role': role}
            if allowed:
                self.assertIn('link', who.call('POST', '/hone/invitations', body))
                continue
            with self.assertRaises(Refused) as caught:
                who.call('POST', '/hone/invitations', body)
            self.assertEqual((caught.exception.status, caught.exception.code), (403, 'forbidden'))
        self.assert_error(self.post('/hone/invitations', {'email': 'x@y'}, token=False), 401, 'unauthenticated')

    def test_bad_invitations(self):
        self.assert_error(self.post('/hone/invitations', {'email': 'a@b', 'team': 'nowhere'}), 404, 'not_found')
        for body in ({}, {'email': 'nobody'}, {'email': 'a@b', 'role': 'king'}, {'email': 'a@b\r\nBcc: c@d'}):
            self.assert_error(self.post('/hone/invitations', body), 400, 'invalid')

    # --- people, teams, keys ---

    def test_users_are_for_engineers(self):
        users = {u['name']: u for u in self.eve.call('GET', '/hone/users')['users']}
        self.assertEqual(users['admin']['role'], 'admin')
        self.assertEqual((users['ann']['teams'], users['ann']['disabled']), (['crew'], False))
        self.assertGreater(users['ann']['seen'], 0)
        with self.assertRaises(Refused) as caught:
            self.ann.call('GET', '/hone/users')
        self.assertEqual(caught.exception.status, 403)

    def test_members_come_and_go(self):
        self.eve.call('POST', '/hone/teams/other/members', {'name': 'ann', 'member': True})
        self.assertEqual(self.ann.call('GET', '/hone/me')['teams'], ['crew', 'other'])
        self.eve.call('POST', '/hone/teams/other/members', {'name': 'ann', 'member': False})
        self.assertEqual(self.ann.call('GET', '/hone/me')['teams'], ['crew'])
        for path, body, status in (('/hone/teams/nowhere/members', {'name': 'ann', 'member': True}, 404),
                                   ('/hone/teams/crew/members', {'name': 'nobody', 'member': True}, 404),
                                   ('/hone/teams/crew/members', {'name': 'ann', 'member': 'yes'}, 400)):
            self.assertEqual(self.post(path, body)[0], status, path)
        with self.assertRaises(Refused):
            self.ann.call('POST', '/hone/teams/other/members', {'name': 'ann', 'member': True})

    def test_a_disabled_account_is_out_at_once(self):
        dan = self.server.invite('crew', 'dan')
        key = dan.call('POST', '/hone/keys', {})
        sts = self.server.boto('sts', key['key_id'], key['secret'])
        self.assertIn('dan', sts.get_caller_identity()['Arn'])
        with self.assertRaises(Refused) as caught:
            self.eve.call('POST', '/hone/users/dan', {'disabled': True})
        self.assertEqual(caught.exception.status, 403)
        self.server.json('POST', '/hone/users/dan', {'disabled': True})
        with self.assertRaises(Refused) as caught:
            dan.call('GET', '/hone/me')
        self.assertEqual(caught.exception.status, 401)
        with self.assertRaises(sts.exceptions.ClientError) as denied:
            sts.get_caller_identity()
        self.assertEqual(denied.exception.response['ResponseMetadata']['HTTPStatusCode'], 403)
        with self.assertRaises(Refused):
            dan.login()
        self.server.json('POST', '/hone/users/dan', {'disabled': False})
        dan.login()
        self.assertEqual(self.post('/hone/users/admin', {'disabled': True})[0], 400)

    def test_keys_sign_until_they_are_deleted(self):
        key = self.ann.call('POST', '/hone/keys', {})
        self.assertRegex(key['key_id'], r'^HONE[A-Z2-7]{16}$')
        self.assertRegex(key['secret'], r'^[A-Za-z0-9]{40}$')
        bearer = {'Authorization': f'Bearer hone_{key["key_id"]}_{key["secret"]}'}
        me = self.server.json('GET', '/hone/me', headers=bearer)
        self.assertEqual((me['name'], me['csrf']), ('ann', None))
        with self.assertRaises(Refused) as caught:
            self.ann.call('POST', '/hone/keys', {'name': 'admin'})
        self.assertEqual(caught.exception.status, 403)
        with self.assertRaises(Refused) as caught:
            self.ann.call('DELETE', f'/hone/keys/{self.server.key}')
        self.assertEqual(caught.exception.status, 404)
        self.ann.call('DELETE', f'/hone/keys/{key["key_id"]}')
        self.assertEqual(self.server.call('GET', '/hone/me', headers=bearer)[0], 401)
        made = self.server.json('POST', '/hone/keys', {'name': 'ann'})
        self.ann.call('DELETE', f'/hone/keys/{made["key_id"]}')

    def test_unknown_calls(self):
        for method, path in (('GET', '/hone/login'), ('PUT', '/hone/me'), ('POST', '/hone/users/a/b'),
                             ('DELETE', '/hone/keys/'), ('GET', '/hone/usersx')):
            self.assertEqual(self.server.call(method, path)[0], 404, path)

    def test_every_call_without_credentials(self):
        for method, path in (('GET', '/hone/me'), ('POST', '/hone/logout'), ('POST', '/hone/invitations'),
                             ('GET', '/hone/users'), ('POST', '/hone/users/ann'), ('POST', '/hone/keys'),
                             ('POST', '/hone/teams/crew/members'), ('DELETE', f'/hone/keys/{self.server.key}'),
                             ('GET', '/hone/events')):
            answer = self.server.call(method, path, {} if method == 'POST' else None, token=False)
            self.assert_error(answer, 401, 'unauthenticated')


class Restart(unittest.TestCase):
    def test_sessions_and_keys_outlive_a_kill(self):
        server = Server()
        self.addCleanup(server.close)
        server.start()
        People.make_team(server, 'crew')
        ann = server.invite('crew', 'ann')
        server.kill()
        server.start()
        self.assertEqual(ann.call('GET', '/hone/me')['teams'], ['crew'])
        self.assertEqual(server.json('GET', '/hone/me')['name'], 'admin')


if __name__ == '__main__':
    unittest.main()
