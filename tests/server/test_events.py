"""The event stream and the mail: what reaches whom, in which order, and how it goes on after a break."""
import email
import email.policy
import http.client
import json
import socket
import tempfile
import threading
import unittest

import test_people
from support import Server, ServerCase, wait_for


class Stream:
    """GET /hone/events, read line by line."""

    def __init__(self, server, headers, path='/hone/events'):
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
        self.connection.request('GET', path, headers=headers)
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        self.comments = []

    def close(self):
        self.answer.close()
        self.connection.close()

    def __iter__(self):
        """(id, kind, data) of each event, until the stream ends."""
        fields = {}
        while line := self.answer.readline():
            text = line.decode().rstrip('\n')
            if text.startswith(':'):
                self.comments.append(text[1:].strip())
            elif text:
                key, _, value = text.partition(': ')
                fields[key] = value
            elif 'data' in fields:
                yield int(fields['id']), fields['event'], json.loads(fields['data'])
                fields = {}

    def until(self, wanted):
        """The events up to the one for which wanted(kind, data) is true, with it."""
        seen = []
        for event in self:
            seen.append(event)
            if wanted(event[1], event[2]):
                return seen
        raise AssertionError(f'the stream ended: {seen}')


class Events(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for team in ('crew', 'other'):
            test_people.People.make_team(cls.server, team)
        cls.admin = {'Authorization': f'Bearer hone_{cls.server.key}_{cls.server.secret}'}

    def open(self, headers=None, path='/hone/events'):
        stream = Stream(self.server, self.admin if headers is None else headers, path)
        self.addCleanup(stream.close)
        self.assertEqual(stream.status, 200)
        return stream

    def invite(self, who):
        return self.server.json('POST', '/hone/invitations', {'email': f'{who}@example.org'})

    @staticmethod
    def invited(kind, _):
        return kind == 'invitation.created'

    def test_events_come_as_they_happen_and_in_order(self):
        stream = self.open()
        self.assertEqual(stream.answer.getheader('Content-Type'), 'text/event-stream')
        self.assertEqual(stream.answer.getheader('Cache-Control'), 'no-store')
        ids = []
        for i in range(20):
            self.invite(f'order-{i}')
            (at, kind, data), = stream.until(self.invited)
            ids.append(at)
            self.assertEqual((data['id'], data['kind'], data['subject'].split('/')[0], data['detail']['role']),
                             (at, kind, 'invitation', 'reviewer'))
            self.assertGreater(data['when'], 1_600_000_000_000)
        self.assertEqual(ids, sorted(set(ids)))
        self.assertEqual(stream.comments[0], 'hone')

    def test_a_new_stream_starts_now_and_after_0_from_the_beginning(self):
        self.invite('before')
        late, everything = self.open(), self.open(path='/hone/events?after=0')
        self.invite('after')
        self.assertEqual(len(late.until(self.invited)), 1)
        first = next(iter(everything))
        self.assertEqual((first[0], first[1], first[2]['subject']), (1, 'user.created', 'user/admin'))

    def test_last_event_id_goes_on_without_gap_or_repetition(self):
        stream = self.open()
        self.invite('gap-0')
        last = stream.until(self.invited)[-1][0]
        stream.close()
        for i in range(1, 6):
            self.invite(f'gap-{i}')
        again = self.open({**self.admin, 'Last-Event-ID': str(last)})
        ids = [event[0] for _ in range(5) for event in again.until(self.invited)]
        self.assertEqual(ids, list(range(last + 1, last + 6)))
        # the header wins over the query: a browser repeats the URL that it was given
        again = self.open({**self.admin, 'Last-Event-ID': str(last)}, '/hone/events?after=0')
        self.assertEqual(next(iter(again))[0], last + 1)

    def test_a_long_absence_is_caught_up(self):
        first = self.server.json('POST', '/hone/keys', {})
        start = self.open(path='/hone/events?after=0').until(lambda kind, data: first['key_id'] in data['subject'])
        for _ in range(200):  # more than one batch
            key = self.server.json('POST', '/hone/keys', {})['key_id']
            self.server.json('DELETE', f'/hone/keys/{key}')
        self.server.json('DELETE', f'/hone/keys/{first["key_id"]}')
        behind = self.open({**self.admin, 'Last-Event-ID': str(start[-1][0])})
        seen = behind.until(lambda kind, data: kind == 'key.deleted' and first['key_id'] in data['subject'])
        ids = [event[0] for event in seen]
        self.assertEqual(ids, list(range(ids[0], ids[0] + len(ids))))
        self.assertEqual(ids[0], start[-1][0] + 1)
        self.assertEqual(len([e for e in seen if e[1].startswith('key.')]), 401)

    def test_an_id_of_the_future_starts_now(self):
        stream = self.open({**self.admin, 'Last-Event-ID': '999999999'})
        self.invite('future')
        self.assertEqual(len(stream.until(self.invited)), 1)

    def test_bad_ids_are_refused(self):
        for bad in ('x', '-1', '1.5', '1' * 40, '0x1'):
            stream = Stream(self.server, {**self.admin, 'Last-Event-ID': bad})
            self.assertEqual(stream.status, 400, bad)
            stream.close()

    def test_reviewers_see_nothing_but_tasks_of_their_teams(self):
        ann = self.server.invite('crew', 'rev-ann')
        stream = self.open({'Cookie': ann.cookie}, '/hone/events?after=0')
        self.invite('unseen')
        self.start_loops()
        seen = stream.until(lambda kind, data: data['detail'].get('loop') == 'crew-2')
        self.assertTrue(all(kind.startswith('task.') for _, kind, _ in seen), seen)
        self.assertEqual({data['detail']['team'] for _, _, data in seen}, {'crew'})

    def start_loops(self):
        """A flow for each team, and loops other-1, crew-1, other-2, crew-2."""
        from loopkit import ROLE, TEMPLATE
        sm, a2i = self.server.boto('sagemaker'), self.server.boto('sagemaker-a2i-runtime')
        self.server.boto('s3').create_bucket(Bucket='event-out')
        ui = sm.create_human_task_ui(HumanTaskUiName='event-ui', UiTemplate={'Content': TEMPLATE})
        flows = {}
        for team in ('crew', 'other'):
            arn = sm.describe_workteam(WorkteamName=team)['Workteam']['WorkteamArn']
            flows[team] = sm.create_flow_definition(
                FlowDefinitionName=f'event-{team}', RoleArn=ROLE, OutputConfig={'S3OutputPath': 's3://event-out/x'},
                HumanLoopConfig={'WorkteamArn': arn, 'HumanTaskUiArn': ui['HumanTaskUiArn'], 'TaskTitle': 't',
                                 'TaskDescription': 'd', 'TaskCount': 1})['FlowDefinitionArn']
        for name in ('other-1', 'crew-1', 'other-2', 'crew-2'):
            a2i.start_human_loop(HumanLoopName=name, FlowDefinitionArn=flows[name.split('-')[0]],
                                 HumanLoopInput={'InputContent': '{"taskObject": "a text"}'})

    def test_a_stream_ends_with_its_session_and_with_its_account(self):
        for name, end in (('leaves', lambda who: who.call('POST', '/hone/logout', {})),
                          ('fired', lambda who: self.server.json('POST', f'/hone/users/{who.name}', {'disabled': True}))):
            who = self.server.invite('crew', name)
            stream = self.open({'Cookie': who.cookie})
            end(who)
            self.assertEqual(list(stream), [])
            again = Stream(self.server, {'Cookie': who.cookie})
            self.assertEqual(again.status, 401)
            again.close()

    def test_too_many_streams_of_one_account_are_refused(self):
        who = self.server.invite('crew', 'greedy')
        streams = [self.open({'Cookie': who.cookie}) for _ in range(32)]
        more = Stream(self.server, {'Cookie': who.cookie})
        self.assertEqual(more.status, 503)
        more.close()
        who.call('POST', '/hone/logout', {})  # which ends them all
        for stream in streams:
            self.assertEqual(list(stream), [])
        who.login()
        wait_for('room again', lambda: self.may_open(who))

    def may_open(self, who):
        stream = Stream(self.server, {'Cookie': who.cookie})
        stream.close()
        return stream.status == 200

    def test_clients_that_go_away_or_do_not_read_harm_nobody(self):
        rude = []
        for _ in range(5):
            s = socket.create_connection((self.server.host, self.server.port))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(f'GET /hone/events?after=0 HTTP/1.1\r\nHost: {self.server.host}:{self.server.port}\r\n'
                      f'Authorization: {self.admin["Authorization"]}\r\n\r\n'.encode())
            rude.append(s)
        rude.pop().close()
        stream = self.open()
        self.invite('polite')
        self.assertEqual(len(stream.until(self.invited)), 1)
        for s in rude:
            s.close()


class Stop(unittest.TestCase):
    def test_open_streams_do_not_hold_up_the_end(self):
        server = Server()
        self.addCleanup(server.close)
        server.start()
        stream = Stream(server, {'Authorization': f'Bearer hone_{server.key}_{server.secret}'})
        self.addCleanup(stream.close)
        self.assertEqual(server.stop(timeout_s=8), 0)
        self.assertEqual(list(stream), [])


class MailServer:
    """SMTP for one mail after another: says yes to everything, or refuses the recipients."""

    def __init__(self, refuses=False):
        self.refuses, self.mails = refuses, []
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.url = f'smtp://127.0.0.1:{self.listener.getsockname()[1]}'
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile('rwb') as file:
                self.serve(file)

    def serve(self, file):
        def say(text):
            file.write(text.encode() + b'\r\n')
            file.flush()

        mail = {}
        say('220 test')
        for line in file:
            verb = line[:4].upper()
            if verb in (b'EHLO', b'HELO'):
                say('250 test')
            elif verb == b'MAIL':
                mail = {'from': line.decode().strip(), 'to': []}
                say('250 ok')
            elif verb == b'RCPT' and self.refuses:
                say('550 nobody here')
            elif verb == b'RCPT':
                mail['to'].append(line.decode().strip())
                say('250 ok')
            elif verb == b'DATA':
                say('354 go on')
                lines = []
                while (part := file.readline()) not in (b'.\r\n', b''):
                    lines.append(part[1:] if part.startswith(b'.') else part)
                mail['message'] = email.message_from_bytes(b''.join(lines), policy=email.policy.default)
                self.mails.append(mail)
                say('250 ok')
            elif verb == b'QUIT':
                say('221 bye')
                return
            else:
                say('502 what')

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Mail(unittest.TestCase):
    def serve(self, url):
        config = tempfile.NamedTemporaryFile('w', suffix='.json')
        self.addCleanup(config.close)
        json.dump({'smtp': {'url': url, 'from': 'hone@example.org'}}, config)
        config.flush()
        server = Server(args=['--config', config.name])
        self.addCleanup(server.close)
        server.start()
        test_people.People.make_team(server, 'crew')
        return server

    def test_the_invitation_goes_out(self):
        smtp = MailServer()
        self.addCleanup(smtp.close)
        server = self.serve(smtp.url)
        answer = server.json('POST', '/hone/invitations', {'email': 'ann@example.org', 'team': 'crew'})
        self.assertTrue(answer['mailed'])
        mail, = smtp.mails
        self.assertIn('<hone@example.org>', mail['from'])
        self.assertEqual(len(mail['to']), 1)
        self.assertIn('<ann@example.org>', mail['to'][0])
        message = mail['message']
        self.assertEqual((message['To'], message['From']), ('ann@example.org', 'hone@example.org'))
        self.assertTrue(message['Date'] and message['Message-ID'] and message['Subject'])
        text = message.get_body(('plain',)).get_content()
        self.assertIn(answer['link'], text.split())
        self.assertIn('crew', text)

    def test_a_refused_mail_is_told_and_the_link_works(self):
        smtp = MailServer(refuses=True)
        self.addCleanup(smtp.close)
        server = self.serve(smtp.url)
        answer = server.json('POST', '/hone/invitations', {'email': 'ann@example.org', 'team': 'crew'})
        self.assertFalse(answer['mailed'])
        self.assertEqual(smtp.mails, [])
        self.assertIn('event=mail.failed', server.log_text())
        self.assertNotIn(answer['link'].rsplit('/', 1)[1], server.log_text())
        token = answer['link'].rsplit('/', 1)[1]
        self.assertEqual(server.json('GET', f'/hone/invitations/{token}', token=False)['team'], 'crew')

    def test_no_mail_server_there(self):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            port = listener.getsockname()[1]
        server = self.serve(f'smtp://127.0.0.1:{port}')
        answer = server.json('POST', '/hone/invitations', {'email': 'ann@example.org'})
        self.assertFalse(answer['mailed'])
        self.assertIn('link', answer)


if __name__ == '__main__':
    unittest.main()
