"""A hub for models on loopback, for test_pull.py.

It speaks what huggingface.co speaks: /MODEL/resolve/REVISION/FILE, digests in ETag and
X-Linked-Etag, large files redirected to a download site (a second port here), errors named in
X-Error-Code. It can also misbehave: break off, change files, lie about digests, wait at a gate.
Every request is logged, so that a test can say what was asked and what was not.
"""
import hashlib
import http.server
import json
import socket
import socketserver
import threading

DEADLINE_S = 60  # no wait is longer; none is needed when all is well
CONFIG = json.dumps({
    'model_type': 'bert', 'vocab_size': 8, 'hidden_size': 4, 'num_hidden_layers': 1,
    'num_attention_heads': 2, 'intermediate_size': 8, 'max_position_embeddings': 16}).encode()
WEIGHTS = bytes(i * 7919 % 251 for i in range(300000))
FILES = {'config.json': CONFIG, 'tokenizer.json': b'{"fake": 1}', 'vocab.txt': b'[PAD]\n[UNK]\n',
         'tokenizer_config.json': b'{}', 'special_tokens_map.json': b'{}',
         'model.safetensors': WEIGHTS}
COMMIT = 'a1' * 20


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def git_blob(data):
    return hashlib.sha1(b'blob %d\0' % len(data) + data).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # HTTPServer's asks the DNS for our name
        self.server_name, self.server_port = self.server_address

    def handle_error(self, request, client_address):
        pass  # a client that was killed or hung up, as some tests want


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True  # headers and body are two writes

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.server.log.append((self.command, self.path, dict(self.headers)))
        try:
            self.server.hub.answer(self, self.server.is_cdn)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def reply(self, status, headers, body=b''):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if 'Content-Length' not in headers:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)


class Hub:
    """Models by (name, revision), and how to misbehave."""

    def __init__(self):
        self.models = {('org/tiny', 'main'): dict(FILES), ('tiny', 'main'): dict(FILES)}
        self.large = {'model.safetensors'}  # answered by a redirect to the download site
        self.renamed = {}                   # old model name -> new one
        self.token = None                   # needed when set
        self.etags = {}                     # file name -> a digest that overrides the true one
        self.sizes = {}                     # file name -> a size that overrides the true one
        self.commit = COMMIT
        self.cuts = []            # bytes of the large file to send before breaking off, in turn
        self.gate_after = None    # bytes of the large file to send before waiting at the gate
        self.gate = threading.Event()
        self.at_gate = threading.Event()
        self.ignores_range = False
        self.loops = False
        self.status = None        # answer everything with it
        self.home = self._serve(False)
        self.cdn = self._serve(True)

    def _serve(self, is_cdn):
        server = Server(('127.0.0.1', 0), Handler)
        server.hub, server.is_cdn, server.log = self, is_cdn, []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    def close(self):
        self.gate.set()
        for server in (self.home, self.cdn):
            server.shutdown()
            server.server_close()

    def url(self, server=None):
        return 'http://127.0.0.1:%d' % (server or self.home).server_port

    def asked(self, name=None, server=None):
        """The requests whose path ends in name."""
        log = (server or self.home).log
        return [entry for entry in log if name is None or entry[1].endswith('/' + name)]

    def answer(self, handler, is_cdn):
        if self.status:
            return handler.reply(self.status, {}, b'no')
        if self.loops:
            return handler.reply(302, {'Location': handler.path})
        if self.token and not is_cdn and handler.headers['Authorization'] != f'Bearer {self.token}':
            return handler.reply(401, {'X-Error-Code': 'GatedRepo'}, b'who are you')
        model, _, rest = handler.path[1:].partition('/resolve/')
        revision, _, name = rest.partition('/')
        if model in self.renamed:
            return handler.reply(307, {'Location': '/%s/resolve/%s' % (self.renamed[model], rest)})
        if not any(m == model for m, _ in self.models):
            return handler.reply(404, {'X-Error-Code': 'RepoNotFound'}, b'no')
        files = self.models.get((model, 'main' if revision == self.commit else revision))
        if files is None:
            return handler.reply(404, {'X-Error-Code': 'RevisionNotFound'}, b'no')
        if name not in files:
            return handler.reply(404, {'X-Error-Code': 'EntryNotFound'}, b'no')
        return self.answer_file(handler, is_cdn, name, files[name])

    def answer_file(self, handler, is_cdn, name, data):
        headers = {'X-Repo-Commit': self.commit} if self.commit else {}
        if not is_cdn and name in self.large:
            headers.update({'Location': self.url(self.cdn) + handler.path,
                            'X-Linked-Etag': '"%s"' % self.etags.get(name, sha256(data)),
                            'X-Linked-Size': str(self.sizes.get(name, len(data)))})
            return handler.reply(302, headers, b'over there')
        headers['ETag'] = '"cdn-has-its-own"' if is_cdn else '"%s"' % self.etags.get(
            name, git_blob(data))
        start, status = 0, 200
        wanted = handler.headers['Range']
        if wanted and not self.ignores_range:
            start, status = int(wanted[len('bytes='):-1]), 206
            if start >= len(data):
                return handler.reply(416, {'Content-Range': 'bytes */%d' % len(data)})
            headers['Content-Range'] = 'bytes %d-%d/%d' % (start, len(data) - 1, len(data))
        body = data[start:]
        headers['Content-Length'] = str(self.sizes.get(name, len(body)))
        if name in self.large and self.cuts:
            handler.reply(status, headers, body[:self.cuts.pop(0)])
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
        elif name in self.large and self.gate_after is not None:
            handler.reply(status, headers, body[:self.gate_after])
            handler.wfile.flush()
            self.at_gate.set()
            self.gate.wait(DEADLINE_S)
            handler.wfile.write(body[self.gate_after:])
        else:
            handler.reply(status, headers, body)
