#!/usr/bin/env python3
"""Requests signed by botocore, for tests/unit/http/test_sigv4.c: tests/golden/http/sigv4.json.

Each is what botocore's own signer makes of a method, a URL, headers and a body at a fixed time; for
S3 by its signer for S3, which encodes the path once less. botocore's version is in the file."""
import datetime
import json
import pathlib
import unittest.mock

import botocore
import botocore.auth
import botocore.awsrequest
import botocore.credentials

OUT = pathlib.Path(__file__).resolve().parent.parent / 'tests' / 'golden' / 'http' / 'sigv4.json'
KEY, SECRET = 'HONETESTKEY000000001', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
NOW = datetime.datetime(2026, 11, 24, 6, 2, 59, tzinfo=datetime.timezone.utc)
HOST = '127.0.0.1:8080'
FORM = 'application/x-www-form-urlencoded; charset=utf-8'
JSON = 'application/x-amz-json-1.1'

# name, service, method, path with query, headers, body
CASES = [
    ('json', 'sagemaker', 'POST', '/',
     {'Content-Type': JSON, 'X-Amz-Target': 'SageMaker.ListWorkteams'}, b'{}'),
    ('empty-body', 'sagemaker', 'GET', '/human-loops/a-loop', {}, b''),
    ('query-order', 'sagemaker', 'GET', '/human-loops?b=2&a=1&a=0&c&d=&B=%C3%BC%20%2B~', {}, b''),
    ('colons', 'sagemaker', 'GET',
     '/human-loops?FlowDefinitionArn=arn%3Aaws%3Asagemaker%3Aeu-west-1%3A1%3Aflow-definition%2Fx'
     '&CreationTimeAfter=2026-01-01T00%3A00%3A00Z', {}, b''),
    ('encoded-twice', 'sagemaker', 'POST', '/endpoints/a%20b%C3%BC%2Bc/invocations',
     {'Content-Type': 'application/json', 'Accept': '*/*'}, '{"inputs": "schön"}'.encode()),
    ('raw-in-path', 'sagemaker', 'GET', '/a:b(c)~d!e', {}, b''),
    ('spaces', 'sagemaker', 'POST', '/', {'Content-Type': JSON, 'X-Amz-Meta-A': '  a   b  c  '}, b'x'),
    ('unsigned-headers', 'sagemaker', 'POST', '/',
     {'Content-Type': JSON, 'Expect': '100-continue', 'User-Agent': 'x', 'X-Amzn-Trace-Id': 'y'}, b'x'),
    ('form', 'sts', 'POST', '/', {'Content-Type': FORM}, b'Action=GetCallerIdentity&Version=2011-06-15'),
    ('s3-list', 's3', 'GET', '/bucket?list-type=2&prefix=a%2Fb&encoding-type=url', {}, b''),
    ('s3-put', 's3', 'PUT', '/bucket/a%20b/%C3%BC%2B%C3%A9.json',
     {'Content-Type': 'text/plain', 'X-Amz-Checksum-Crc32': 'AAAAAA==', 'x-amz-meta-Name': 'v'}, b'hello'),
    ('s3-slashes', 's3', 'GET', '/bucket//a/../b/./c//', {}, b''),
    ('s3-uploads', 's3', 'POST', '/bucket/key?uploads', {}, b''),
    ('s3-unsigned', 's3', 'PUT', '/bucket/key', {'Content-MD5': 'EA4yX79Md8CKcxUkMHbZuQ=='}, b'any'),
    ('s3-part', 's3', 'PUT', '/bucket/key?uploadId=a%2Fb%3D&partNumber=2', {}, b'part'),
]


def sign(service, method, path, headers, body):
    scheme = 'https' if 'Content-MD5' in headers else 'http'  # then botocore leaves the body unsigned
    request = botocore.awsrequest.AWSRequest(method=method, url=f'{scheme}://{HOST}{path}', headers=headers,
                                             data=body)
    signer = botocore.auth.S3SigV4Auth if service == 's3' else botocore.auth.SigV4Auth
    if service == 's3':
        request.context['has_streaming_input'] = True
    with unittest.mock.patch('botocore.auth.get_current_datetime', return_value=NOW.replace(tzinfo=None),
                             create=True):
        signer(botocore.credentials.Credentials(KEY, SECRET), service, 'eu-west-1').add_auth(request)
    return request


def main():
    cases = []
    for name, service, method, path, headers, body in CASES:
        request = sign(service, method, path, dict(headers), body)
        assert request.headers['X-Amz-Date'] == NOW.strftime('%Y%m%dT%H%M%SZ'), 'the time is not fixed'
        target, _, query = path.partition('?')
        sent = [['host', HOST]]
        sent += [[key.lower(), value.strip()] for key, value in request.headers.items()
                 if key != 'Authorization']
        cases.append({'name': name, 'method': method, 'path': target, 'query': query, 'headers': sent,
                      'body': body.decode(), 'authorization': request.headers['Authorization']})
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({'botocore': botocore.__version__, 'now_ms': int(NOW.timestamp() * 1000),
                               'secret': SECRET, 'cases': cases}, indent=1) + '\n')


if __name__ == '__main__':
    main()
