"""Buckets and objects over the wire, by an unmodified boto3 and by requests that it would not send."""
import base64
import hashlib
import pathlib
import tempfile
import zlib

from botocore.exceptions import ClientError

from support import ServerCase

ODD = 'a b/ü+é & <x>/"q"\'~.json'


class S3Case(ServerCase):
    def setUp(self):
        self.s3 = self.server.boto('s3')

    def assert_refused(self, code, status, call, *args, **kwargs):
        with self.assertRaises(ClientError) as caught:
            call(*args, **kwargs)
        answer = caught.exception.response
        self.assertEqual((answer['Error']['Code'], answer['ResponseMetadata']['HTTPStatusCode']), (code, status))

    def put(self, bucket, *keys):
        for key in keys:
            self.s3.put_object(Bucket=bucket, Key=key, Body=key.encode())


class Buckets(S3Case):
    def test_bucket__lives_and_dies(self):
        self.s3.create_bucket(Bucket='life')
        self.assertEqual(self.s3.head_bucket(Bucket='life')['BucketRegion'], 'us-east-1')
        self.assertIn('life', [b['Name'] for b in self.s3.list_buckets()['Buckets']])
        self.assertIsNone(self.s3.get_bucket_location(Bucket='life')['LocationConstraint'])
        self.assert_refused('BucketAlreadyOwnedByYou', 409, self.s3.create_bucket, Bucket='life')
        self.put('life', 'x')
        self.assert_refused('BucketNotEmpty', 409, self.s3.delete_bucket, Bucket='life')
        self.s3.delete_object(Bucket='life', Key='x')
        self.s3.delete_bucket(Bucket='life')
        self.assert_refused('404', 404, self.s3.head_bucket, Bucket='life')
        self.assert_refused('NoSuchBucket', 404, self.s3.list_objects_v2, Bucket='life')
        self.assert_refused('NoSuchBucket', 404, self.s3.put_object, Bucket='life', Key='x', Body=b'')
        self.assert_refused('NoSuchBucket', 404, self.s3.get_object, Bucket='life', Key='x')

    def test_bucket__with_a_bad_or_reserved_name_is_refused(self):
        for name in ('hone', 'endpoints', 'human-loops', 'UPPER', 'a..b', '1.2.3.4'):
            status, _, body = self.server.call('PUT', f'/{name}')
            if name == 'hone':  # below it are calls of another protocol
                self.assertEqual(status, 404)
            elif name in ('endpoints', 'human-loops'):
                self.assertIn(status, (400, 404, 405), name)
            else:
                self.assertEqual(status, 400, name)
                self.assertIn(b'InvalidBucketName', body)

    def test_owner__that_is_expected_must_be_the_account(self):
        self.s3.create_bucket(Bucket='owned')
        account = self.server.boto('sts').get_caller_identity()['Account']
        self.s3.head_bucket(Bucket='owned', ExpectedBucketOwner=account)
        self.assert_refused('403', 403, self.s3.head_bucket, Bucket='owned', ExpectedBucketOwner='999999999999')

    def test_resource__that_hone_lacks_is_never_taken_for_another(self):
        self.s3.create_bucket(Bucket='lacks')
        self.put('lacks', 'x')
        for call in (self.s3.get_bucket_versioning, self.s3.get_bucket_policy, self.s3.get_bucket_acl):
            self.assert_refused('NotImplemented', 501, call, Bucket='lacks')
        self.assert_refused('NotImplemented', 501, self.s3.put_object_tagging, Bucket='lacks', Key='x',
                            Tagging={'TagSet': []})
        self.assertEqual(self.s3.get_object(Bucket='lacks', Key='x')['Body'].read(), b'x')


class Objects(S3Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.boto('s3').create_bucket(Bucket='things')

    def test_object__comes_back_as_it_was_put(self):
        body = bytes(range(256)) * 5
        put = self.s3.put_object(Bucket='things', Key=ODD, Body=body, ContentType='text/x-odd',
                                 CacheControl='no-cache', Metadata={'One': 'eins', 'two': '2'})
        self.assertEqual(put['ETag'], f'"{hashlib.md5(body).hexdigest()}"')
        got = self.s3.get_object(Bucket='things', Key=ODD)
        self.assertEqual(got['Body'].read(), body)
        self.assertEqual((got['ContentType'], got['CacheControl'], got['Metadata'], got['ETag']),
                         ('text/x-odd', 'no-cache', {'one': 'eins', 'two': '2'}, put['ETag']))
        head = self.s3.head_object(Bucket='things', Key=ODD, ChecksumMode='ENABLED')
        self.assertEqual(head['ContentLength'], len(body))
        self.assertEqual(head['ChecksumCRC32'], base64.b64encode(zlib.crc32(body).to_bytes(4, 'big')).decode())
        self.s3.delete_object(Bucket='things', Key=ODD)
        self.assert_refused('NoSuchKey', 404, self.s3.get_object, Bucket='things', Key=ODD)
        self.assert_refused('404', 404, self.s3.head_object, Bucket='things', Key=ODD)
        self.s3.delete_object(Bucket='things', Key=ODD)  # again is no error

    def test_object__may_be_empty_or_large(self):
        for size in (0, 1, (1 << 20) + 1, 5 << 20):
            body = b'\0\n' * (size // 2) + b'z' * (size % 2)
            self.s3.put_object(Bucket='things', Key='sized', Body=body)
            self.assertEqual(self.s3.get_object(Bucket='things', Key='sized')['Body'].read(), body)
        self.assertEqual(list((self.server.data / 'spool').iterdir()), [])

    def test_page__that_is_stored_is_no_page_of_hone(self):
        self.s3.put_object(Bucket='things', Key='x.html', Body=b'<script>', ContentType='text/html')
        _, headers, _ = self.server.call('GET', '/things/x.html')
        self.assertIn('sandbox', headers['Content-Security-Policy'])

    def test_range__is_a_part(self):
        self.s3.put_object(Bucket='things', Key='ten', Body=b'0123456789')
        for given, want in (('bytes=0-0', b'0'), ('bytes=2-4', b'234'), ('bytes=7-', b'789'), ('bytes=-3', b'789'),
                            ('bytes=5-99', b'56789'), ('bytes=-99', b'0123456789')):
            got = self.s3.get_object(Bucket='things', Key='ten', Range=given)
            self.assertEqual((got['ResponseMetadata']['HTTPStatusCode'], got['Body'].read()), (206, want), given)
        for given in ('bytes=10-', 'bytes=-0', 'bytes=99-100'):
            self.assert_refused('InvalidRange', 416, self.s3.get_object, Bucket='things', Key='ten', Range=given)
        for given in ('bytes=4-2', 'bytes=', 'bytes=-', 'lines=1-2', 'bytes=0-1,3-4', 'bytes=x'):
            status, _, body = self.server.call('GET', '/things/ten', headers={'Range': given})
            self.assertEqual((status, body), (200, b'0123456789'), given)

    def test_condition__decides(self):
        tag = self.s3.put_object(Bucket='things', Key='cond', Body=b'1')['ETag']
        get = {'Bucket': 'things', 'Key': 'cond'}
        self.s3.get_object(**get, IfMatch=tag)
        self.assert_refused('304', 304, self.s3.get_object, **get, IfNoneMatch=tag)
        self.assert_refused('PreconditionFailed', 412, self.s3.get_object, **get, IfMatch='"x"')
        self.assert_refused('PreconditionFailed', 412, self.s3.put_object, **get, Body=b'2', IfNoneMatch='*')
        self.assert_refused('PreconditionFailed', 412, self.s3.put_object, **get, Body=b'2', IfMatch='"x"')
        self.assertEqual(self.s3.get_object(**get)['Body'].read(), b'1')
        self.s3.put_object(**get, Body=b'3', IfMatch=tag)
        self.s3.put_object(Bucket='things', Key='cond-new', Body=b'', IfNoneMatch='*')
        self.assert_refused('NoSuchKey', 404, self.s3.put_object, Bucket='things', Key='none', Body=b'', IfMatch=tag)

    def test_checksum__that_does_not_fit_stores_nothing(self):
        for header, value in (('x-amz-checksum-crc32', 'AAAAAA=='), ('x-amz-checksum-crc32c', 'AAAAAA=='),
                              ('x-amz-checksum-sha1', 'x'), ('x-amz-checksum-sha256', 'AAAA'),
                              ('x-amz-checksum-crc64nvme', 'AAAAAAAAAAA='),
                              ('Content-MD5', '1B2M2Y8AsgTpgAmY7PhCfg=='), ('Content-MD5', 'short')):
            status, _, body = self.server.call('PUT', '/things/unfit', b'body', headers={header: value})
            self.assertEqual(status, 400, header)
            self.assertRegex(body, rb'<Code>(BadDigest|InvalidDigest)</Code>')
        self.assert_refused('NoSuchKey', 404, self.s3.get_object, Bucket='things', Key='unfit')

    def test_checksum__of_every_kind_is_understood(self):
        for kind in ('CRC32', 'SHA1', 'SHA256'):  # boto3 computes the others with an extension only
            self.s3.put_object(Bucket='things', Key='sum-' + kind, Body=b'123456789', ChecksumAlgorithm=kind)
        for header, value in (('x-amz-checksum-crc32c', '4waSgw=='), ('x-amz-checksum-crc64nvme', 'rosUhgp5mIg=')):
            status, headers, _ = self.server.call('PUT', '/things/sum', b'123456789', headers={header: value})
            self.assertEqual((status, headers.get(header)), (200, value))

    def framed(self, body, **more):
        headers = {'Content-Encoding': 'aws-chunked', 'x-amz-trailer': 'x-amz-checksum-crc32',
                   'x-amz-decoded-content-length': '9', **more}
        return self.server.call('PUT', '/things/framed', body, headers=headers)

    def test_framing__is_taken_off(self):
        trailer = b'0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n'
        self.assertEqual(self.framed(b'4\r\n1234\r\n5;x=y\r\n56789\r\n' + trailer)[0], 200)
        got = self.s3.get_object(Bucket='things', Key='framed')
        self.assertEqual(got['Body'].read(), b'123456789')
        self.assertNotIn('ContentEncoding', got)
        large = b'x' * (3 << 20)
        crc = base64.b64encode(zlib.crc32(large).to_bytes(4, 'big'))
        framed = b'%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n' % (len(large), large, crc)
        self.assertEqual(self.framed(framed, **{'x-amz-decoded-content-length': str(len(large))})[0], 200)
        self.assertEqual(self.s3.get_object(Bucket='things', Key='framed')['Body'].read(), large)
        for bad in (b'', b'9\r\n123456789', b'9\r\n123456789\r\n', b'A\r\n123456789\r\n' + trailer, b'x\r\n' + trailer,
                    b'4\r\n1234\r\n' + trailer, b'9\r\n123456788\r\n' + trailer, b'9\r\n123456789\r\n0\r\n\r\n',
                    b'ffffffffffffffffff\r\n' + trailer, b'9\r\n123456789\r\n' + trailer + b'more'):
            status, _, body = self.framed(bad)
            self.assertEqual(status, 400, bad)
        self.assertEqual(self.s3.get_object(Bucket='things', Key='framed')['Body'].read(), large)
        self.assertEqual(list((self.server.data / 'spool').iterdir()), [])

    def test_copy__keeps_or_replaces_what_is_said_of_it(self):
        self.s3.put_object(Bucket='things', Key=ODD, Body=b'body', ContentType='text/a', Metadata={'m': '1'})
        source = {'Bucket': 'things', 'Key': ODD}
        copied = self.s3.copy_object(Bucket='things', Key='copy', CopySource=source)
        self.assertEqual(copied['CopyObjectResult']['ETag'], f'"{hashlib.md5(b"body").hexdigest()}"')
        got = self.s3.get_object(Bucket='things', Key='copy')
        self.assertEqual((got['Body'].read(), got['ContentType'], got['Metadata']), (b'body', 'text/a', {'m': '1'}))
        self.s3.copy_object(Bucket='things', Key='copy', CopySource=source, MetadataDirective='REPLACE',
                            ContentType='text/b')
        got = self.s3.head_object(Bucket='things', Key='copy')
        self.assertEqual((got['ContentType'], got['Metadata']), ('text/b', {}))
        self.assert_refused('NoSuchKey', 404, self.s3.copy_object, Bucket='things', Key='copy',
                            CopySource={'Bucket': 'things', 'Key': 'none'})

    def test_request__that_is_wrong_is_a_clear_error(self):
        for method, path, status, code in (
                ('PUT', '/things/' + 'k' * 1025, 400, b'KeyTooLongError'), ('GET', '/things/%zz', 400, b'InvalidURI'),
                ('PUT', '/things/%FF', 400, b'InvalidArgument'), ('PUT', '/things/a%00b', 400, b'InvalidArgument'),
                ('POST', '/things/x', 405, b'MethodNotAllowed'), ('PATCH', '/things/x', 405, b'MethodNotAllowed'),
                ('GET', '/things?max-keys=x', 400, b'InvalidArgument'), ('GET', '//x', 400, b'InvalidBucketName'),
                ('GET', '/things?list-type=2&continuation-token=zz', 400, b'InvalidArgument'),
                ('GET', '/things?list-type=3', 400, b'InvalidArgument'),
                ('GET', '/things?encoding-type=x', 400, b'InvalidArgument')):
            got, _, body = self.server.call(method, path)
            self.assertEqual(got, status, path[:60])
            self.assertIn(code, body)
        for xml in (b'', b'<', b'<Delete>', b'<Delete></Delete>', b'<Delete><Object></Object></Delete>',
                    b'<!DOCTYPE x [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>',
                    b'<a>' * 10000, b'\xff\xfe\x00'):
            got, _, body = self.server.call('POST', '/things?delete', xml)
            self.assertEqual(got, 400, xml[:60])
            self.assertIn(b'MalformedXML', body)


class Listings(S3Case):
    KEYS = ['a/1', 'a/2', 'a/b/3', 'b', 'c/1', ODD, 'z ', 'é/1']

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        s3 = cls.server.boto('s3')
        s3.create_bucket(Bucket='listed')
        for key in cls.KEYS:
            s3.put_object(Bucket='listed', Key=key, Body=key.encode())

    def pages(self, operation, **kwargs):
        keys, prefixes, count = [], [], 0
        for page in self.s3.get_paginator(operation).paginate(Bucket='listed', **kwargs):
            keys += [o['Key'] for o in page.get('Contents', [])]
            prefixes += [p['Prefix'] for p in page.get('CommonPrefixes', [])]
            count += 1
        return keys, prefixes, count

    def test_listing__is_in_bytewise_order_whatever_the_page(self):
        want = sorted(self.KEYS, key=str.encode)
        for operation in ('list_objects', 'list_objects_v2'):
            for size in (1, 2, 3, 1000):
                keys, _, count = self.pages(operation, PaginationConfig={'PageSize': size})
                self.assertEqual(keys, want, (operation, size))
                self.assertEqual(count, -(-len(want) // size))

    def test_delimiter__rolls_keys_up(self):
        for operation in ('list_objects', 'list_objects_v2'):
            for size in (1, 2, 1000):
                keys, prefixes, _ = self.pages(operation, Delimiter='/', PaginationConfig={'PageSize': size})
                self.assertEqual((keys, prefixes), (['b', 'z '], ['a b/', 'a/', 'c/', 'é/']), (operation, size))
                keys, prefixes, _ = self.pages(operation, Delimiter='/', Prefix='a/',
                                               PaginationConfig={'PageSize': size})
                self.assertEqual((keys, prefixes), (['a/1', 'a/2'], ['a/b/']))
        got = self.s3.list_objects_v2(Bucket='listed', Prefix='none')
        self.assertEqual((got['KeyCount'], got['IsTruncated']), (0, False))
        got = self.s3.list_objects_v2(Bucket='listed', MaxKeys=0)
        self.assertEqual((got['KeyCount'], got['IsTruncated']), (0, False))

    def test_start_after__is_not_given_again(self):
        got = self.s3.list_objects_v2(Bucket='listed', StartAfter='a/2', FetchOwner=True)
        self.assertEqual([o['Key'] for o in got['Contents']][:2], ['a/b/3', 'b'])
        self.assertIn('Owner', got['Contents'][0])
        got = self.s3.list_objects_v2(Bucket='listed', StartAfter='a/', Delimiter='/')
        self.assertEqual([p['Prefix'] for p in got['CommonPrefixes']], ['c/', 'é/'])

    def test_many_objects__are_deleted_at_once(self):
        self.s3.create_bucket(Bucket='many')
        self.put('many', 'one', ODD)
        got = self.s3.delete_objects(Bucket='many', Delete={'Objects': [{'Key': 'one'}, {'Key': ODD}, {'Key': 'no'}]})
        self.assertEqual([d['Key'] for d in got['Deleted']], ['one', ODD, 'no'])
        self.assertNotIn('Contents', self.s3.list_objects_v2(Bucket='many'))
        self.put('many', 'one')
        self.s3.delete_objects(Bucket='many', Delete={'Objects': [{'Key': 'one'}], 'Quiet': True})
        self.s3.delete_bucket(Bucket='many')


class Identity(ServerCase):
    def test_caller__is_an_assumed_role_that_exists(self):
        who = self.server.boto('sts').get_caller_identity()
        self.assertRegex(who['Arn'], r'^arn:aws:sts::\d{12}:assumed-role/hone/admin$')
        role = self.server.boto('iam').get_role(RoleName='hone')['Role']
        self.assertEqual(role['Arn'], f'arn:aws:iam::{who["Account"]}:role/hone')

    def test_role__that_is_not_there_is_said_to_be_missing(self):
        with self.assertRaises(ClientError) as caught:
            self.server.boto('iam').get_role(RoleName='other')
        self.assertEqual(caught.exception.response['Error']['Code'], 'NoSuchEntity')
        with self.assertRaises(ClientError) as caught:
            self.server.boto('sts').get_session_token()
        self.assertEqual(caught.exception.response['Error']['Code'], 'InvalidAction')


class Uploads(S3Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.boto('s3').create_bucket(Bucket='parts')

    def begin(self, key, **kwargs):
        return {'Bucket': 'parts', 'Key': key,
                'UploadId': self.s3.create_multipart_upload(Bucket='parts', Key=key, **kwargs)['UploadId']}

    def complete(self, upload, *parts):
        return self.s3.complete_multipart_upload(
            **upload, MultipartUpload={'Parts': [{'PartNumber': n, 'ETag': tag} for n, tag in parts]})

    def test_file__that_is_large_goes_up_and_comes_down_in_parts(self):
        body = bytes(range(256)) * (80 << 10)  # 20 MiB: three parts, side by side
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / 'large'
            path.write_bytes(body)
            self.s3.upload_file(str(path), 'parts', ODD, ExtraArgs={'ContentType': 'text/x', 'Metadata': {'a': 'b'}})
            head = self.s3.head_object(Bucket='parts', Key=ODD)
            self.assertEqual((head['ContentLength'], head['ContentType'], head['Metadata']),
                             (len(body), 'text/x', {'a': 'b'}))
            self.s3.download_file('parts', ODD, str(path))
            self.assertEqual(path.read_bytes(), body)
        self.assertEqual(list((self.server.data / 'uploads').iterdir()), [])

    def test_parts__come_in_any_order_and_again(self):
        upload = self.begin('order')
        second = self.s3.upload_part(**upload, PartNumber=2, Body=b'second')['ETag']
        self.s3.upload_part(**upload, PartNumber=1, Body=b'wrong')
        first = self.s3.upload_part(**upload, PartNumber=1, Body=b'first ')['ETag']
        listed = self.s3.list_parts(**upload)['Parts']
        self.assertEqual([(p['PartNumber'], p['ETag'], p['Size']) for p in listed], [(1, first, 6), (2, second, 6)])
        self.assertEqual([u['Key'] for u in self.s3.list_multipart_uploads(Bucket='parts')['Uploads']], ['order'])
        self.assert_refused('InvalidPart', 400, self.complete, upload, (1, second))
        self.assert_refused('InvalidPartOrder', 400, self.complete, upload, (2, second), (1, first))
        self.complete(upload, (1, first), (2, second))
        self.assertEqual(self.s3.get_object(Bucket='parts', Key='order')['Body'].read(), b'first second')
        self.assert_refused('NoSuchUpload', 404, self.complete, upload, (1, first))

    def test_upload__is_of_its_key_alone(self):
        upload = self.begin('mine')
        self.assert_refused('NoSuchUpload', 404, self.s3.upload_part, **{**upload, 'Key': 'other'}, PartNumber=1,
                            Body=b'')
        for bad in ('x', '../..', '0' * 24):
            self.assert_refused('NoSuchUpload', 404, self.s3.upload_part, **{**upload, 'UploadId': bad}, PartNumber=1,
                                Body=b'')
        for number in (0, 10001):
            self.assert_refused('InvalidArgument', 400, self.s3.upload_part, **upload, PartNumber=number, Body=b'')
        self.s3.abort_multipart_upload(**upload)
        self.assert_refused('NoSuchUpload', 404, self.s3.upload_part, **upload, PartNumber=1, Body=b'')
        self.assert_refused('NoSuchUpload', 404, self.s3.abort_multipart_upload, **upload)

    def test_upload__outlives_the_server(self):
        upload = self.begin('restart')
        tag = self.s3.upload_part(**upload, PartNumber=1, Body=b'kept')['ETag']
        self.server.kill()
        self.server.start()
        self.s3 = self.server.boto('s3')
        self.complete(upload, (1, tag))
        self.assertEqual(self.s3.get_object(Bucket='parts', Key='restart')['Body'].read(), b'kept')
