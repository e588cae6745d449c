/* A server that keeps docs/api.md in memory, for what the real one does not do on demand: answers
 * that fail, answers that take long, sessions that end in mid-work, leases that are taken away.
 * `node tests/browser/fake.mjs` serves it by hand: http://127.0.0.1:4000, ann / password. */
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { extname, join } from 'node:path';

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** The policies are those of the program: read from there, so that they are tested. */
const PAGE_POLICY = readFileSync(new URL('../../../src/api/pages.c', import.meta.url), 'utf8')
  .match(/#define POLICY[^"]*((?:"[^"]*"[\s\\]*)+)/)[1]
  .replace(/"[\s\\]*"/g, '')
  .replace(/["\\\n]/g, '')
  .trim();

const framePolicy = (origin) =>
  `sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' ${origin}/ui/crowd.js; ` +
  `style-src 'unsafe-inline'; img-src data: blob:; media-src data: blob:; font-src data:; ` +
  `form-action 'none'; base-uri 'none'; frame-ancestors 'self'`;

export const SENTIMENT = `<crowd-form>
  <crowd-classifier-multi-select name="category" categories="['Positive','Negative', 'Not Clear']"
      header="Select the relevant sentiment">
    <classification-target>
      {{ text }}
    </classification-target>
    <full-instructions header="Text Categorization Instructions">
      <p><strong>Positive</strong> sentiment include: joy, excitement, delight</p>
      <p><strong>Negative</strong> sentiment include: anger, sarcasm, anxiety</p>
      <p><strong>Not Clear</strong>: when the sentiment is not clear</p>
    </full-instructions>
    <short-instructions>What does the writer feel? Choose the sentiment of the text.</short-instructions>
  </crowd-classifier-multi-select>
</crowd-form>`;

const escape = (text) => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export class Fake {
  users = new Map([
    ['ann', { name: 'ann', email: 'ann@example.org', role: 'reviewer', worker: 'a1', password: 'password', teams: ['crew'] }],
    ['root', { name: 'root', email: 'root@example.org', role: 'admin', worker: 'b2', password: 'password', teams: [] }],
  ]);
  sessions = new Map();
  tasks = new Map();
  answers = new Map();
  streams = new Set();
  calls = [];
  nextId = 1;
  eventId = 1;
  timeLimit = 3600;
  /** Set by tests: (method, path) => undefined | {status, code, message} | a promise of these. */
  meddle = () => undefined;

  async start(port = 0) {
    this.server = createServer((request, reply) => void this.serve(request, reply));
    await new Promise((done) => this.server.listen(port, '127.0.0.1', done));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  /** A human loop has started. */
  add(text, options = {}) {
    const id = this.nextId++;
    const now = Date.now();
    this.tasks.set(id, {
      id, loop: `loop-${id}`, flow: options.flow ?? 'sentiment', team: 'crew',
      title: options.title ?? 'Classify the text', description: options.description ?? 'Read the instructions',
      state: 'available', created: options.created ?? now, accepted: null, lease_until: null,
      time_limit_s: this.timeLimit, expires: now + 86_400_000,
      template: options.template ?? SENTIMENT, text, holder: null, lease: null, declined: new Set(),
    });
    this.publish('task.created', id);
    return id;
  }

  publish(kind, task) {
    const id = this.eventId++;
    const data = JSON.stringify({ id, when: Date.now(), kind, subject: `task/${task}`, detail: {} });
    for (const stream of this.streams) stream.write(`id: ${id}\nevent: ${kind}\ndata: ${data}\n\n`);
  }

  endSessions() {
    this.sessions.clear();
  }

  async serve(request, reply) {
    const url = new URL(request.url, this.url);
    const body = await new Promise((done) => {
      let text = '';
      request.on('data', (chunk) => (text += chunk)).on('end', () => done(text));
    });
    try {
      this.calls.push(`${request.method} ${url.pathname}`);
      const meddled = await this.meddle(request.method, url.pathname);
      if (meddled?.cut) return void request.socket.destroy();
      if (meddled) throw new Refused(meddled.status, meddled.code, meddled.message ?? meddled.code);
      if (url.pathname.startsWith('/hone/')) await this.own(request, reply, url, body);
      else if (request.method === 'POST') this.json(reply, this.sagemaker(request, body));
      else this.file(reply, url.pathname);
    } catch (error) {
      if (!(error instanceof Refused)) console.error(error);
      reply.statusCode = error.status ?? 500;
      this.json(reply, { error: { code: error.code ?? 'internal', message: error.message } });
    }
  }

  json(reply, value) {
    reply.setHeader('Content-Type', 'application/json');
    reply.end(JSON.stringify(value));
  }

  file(reply, path) {
    const page = /^\/($|login$|portal($|\/)|invite\/)/.test(path);
    const file = join(DIST, page ? 'index.html' : path.replace(/^\/ui\//, ''));
    if ((!page && !path.startsWith('/ui/')) || path.includes('..') || !existsSync(file)) {
      throw new Refused(404, 'not_found', `no page ${path}`);
    }
    reply.setHeader('Content-Type', TYPES[extname(file)]);
    if (page) reply.setHeader('Content-Security-Policy', PAGE_POLICY);
    createReadStream(file).pipe(reply);
  }

  who(request) {
    const token = /hone_session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
    const session = this.sessions.get(token);
    if (!session) throw new Refused(401, 'unauthenticated', 'no valid session');
    if (request.method !== 'GET' && request.headers['x-hone-csrf'] !== session.csrf) {
      throw new Refused(403, 'forbidden', 'the CSRF token is missing or wrong');
    }
    return session;
  }

  sagemaker(request) {
    this.who(request);
    return { Workteams: [{ WorkteamName: 'crew' }, { WorkteamName: 'experts' }] };
  }

  signIn(reply, user) {
    const token = Math.random().toString(36).slice(2);
    this.sessions.set(token, { user, csrf: `csrf-${token}` });
    reply.setHeader('Set-Cookie', `hone_session=${token}; HttpOnly; SameSite=Strict; Path=/`);
    return this.me(this.sessions.get(token));
  }

  me({ user, csrf }) {
    const { name, email, role, worker, teams } = user;
    return { name, email, role, worker, teams, csrf };
  }

  async own(request, reply, url, text) {
    const path = url.pathname.slice('/hone/'.length);
    const body = text ? JSON.parse(text) : {};
    const open = `${request.method} ${path}`;
    if (open === 'POST login') {
      const user = [...this.users.values()].find((one) => [one.name, one.email].includes(body.name));
      if (!user || user.password !== body.password) throw new Refused(401, 'unauthenticated', 'wrong name or password');
      return this.json(reply, this.signIn(reply, user));
    }
    if (open === 'GET invitations/GOOD') {
      return this.json(reply, { email: 'new.person@example.org', team: 'crew', role: 'reviewer', expires: Date.now() + 1e8 });
    }
    if (open === 'POST invitations/GOOD') {
      const user = { ...body, email: 'new.person@example.org', role: 'reviewer', worker: `w-${body.name}`, teams: ['crew'] };
      this.users.set(body.name, user);
      return this.json(reply, this.signIn(reply, user));
    }
    if (/^invitations\/./.test(path)) throw new Refused(410, 'gone', 'this invitation was used or has ended');
    const session = this.who(request);
    if (open === 'GET me') return this.json(reply, this.me(session));
    if (open === 'POST logout') {
      for (const [token, one] of this.sessions) if (one === session) this.sessions.delete(token);
      return this.json(reply, {});
    }
    if (open === 'GET events') return this.events(request, reply);
    if (open === 'GET users') {
      const users = [...this.users.values()].map(({ password, worker, ...rest }) => ({ ...rest, created: 1, seen: Date.now() - 70_000, disabled: false }));
      return this.json(reply, { users });
    }
    if (open === 'POST invitations') this.invited = body;
    if (open === 'POST invitations') return this.json(reply, { link: `${this.url}/invite/GOOD`, mailed: false });
    if (path.startsWith('teams/') || path.startsWith('users/')) return this.json(reply, {});
    const call = /^tasks(?:\/(\w+))?(?:\/(\w+))?$/.exec(path);
    if (!call) throw new Refused(404, 'not_found', `no call ${path}`);
    return this.task(reply, url, session.user, call[1], call[2], body);
  }

  events(request, reply) {
    reply.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    reply.write(': hello\n\n');
    this.streams.add(reply);
    request.on('close', () => this.streams.delete(reply));
  }

  shown(task) {
    const { template, text, holder, lease, declined, ...rest } = task;
    return rest;
  }

  available(user) {
    return [...this.tasks.values()].filter((task) => task.state === 'available' && !task.declined.has(user.name));
  }

  accept(task, user) {
    if (!task) throw new Refused(404, 'not_found', 'no such task');
    const mine = task.holder === user.name;
    if (task.state !== 'available' && !mine) throw new Refused(409, 'conflict', `task ${task.id} is with somebody else`);
    if (task.state === 'answered') throw new Refused(409, 'conflict', `task ${task.id} is answered`);
    const now = Date.now();
    Object.assign(task, { state: 'leased', holder: user.name, accepted: mine ? task.accepted : now, lease_until: now + 60_000 });
    task.lease = Math.random().toString(36).slice(2);
    this.publish('task.accepted', task.id);
    return { task: this.shown(task), lease: task.lease, frame: `/hone/tasks/${task.id}/frame?lease=${task.lease}` };
  }

  task(reply, url, user, which, what, body) {
    if (!which) {
      const leased = [...this.tasks.values()].filter((task) => task.state === 'leased' && task.holder === user.name);
      return this.json(reply, {
        tasks: this.available(user).map((task) => this.shown(task)),
        leased: leased.map((task) => this.shown(task)),
      });
    }
    if (which === 'next') {
      const task = this.available(user).find((one) => !body.flow || one.flow === body.flow);
      return this.json(reply, task ? this.accept(task, user) : { task: null });
    }
    const task = this.tasks.get(Number(which));
    if (what === 'accept') return this.json(reply, this.accept(task, user));
    const lease = what === 'frame' ? url.searchParams.get('lease') : body.lease;
    const before = this.answers.get(Number(which));
    if (what === 'answer' && before?.lease === lease) return this.json(reply, { answered: before.answered });
    if (!task || task.lease !== lease || task.holder !== user.name) throw new Refused(410, 'gone', 'the lease has ended');
    const act = { frame: 'frame', heartbeat: 'heartbeat', release: 'release', decline: 'release', answer: 'answer' }[what];
    if (act === 'frame') return this.frame(reply, task);
    if (act === 'heartbeat') return this.json(reply, { lease_until: (task.lease_until = Date.now() + 60_000) });
    if (act === 'release') {
      Object.assign(task, { state: 'available', holder: null, lease: null });
      if (what === 'decline') task.declined.add(user.name);
      this.publish('task.released', task.id);
      return this.json(reply, {});
    }
    task.state = 'answered';
    this.answers.set(task.id, { answer: body.answer, seconds: body.seconds, lease, by: user.name, answered: Date.now() });
    this.publish('task.answered', task.id);
    return this.json(reply, { answered: Date.now() });
  }

  frame(reply, task) {
    reply.setHeader('Content-Type', 'text/html; charset=utf-8');
    reply.setHeader('Content-Security-Policy', framePolicy(this.url));
    reply.setHeader('Connection-Allowlist', '(response-origin)');
    reply.setHeader('Cache-Control', 'no-store');
    reply.end(
      '<!doctype html><html lang="en"><head><meta charset="utf-8">' +
        '<meta name="viewport" content="width=device-width, initial-scale=1"><script src="/ui/crowd.js"></script>' +
        `</head><body>${task.template.replaceAll('{{ text }}', escape(task.text))}</body></html>`,
    );
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const fake = await new Fake().start(4000);
  for (const text of ['I bet I now understand how SageMaker works!', 'The soup was cold.', 'It does what it says.']) fake.add(text);
  console.log(fake.url);
}
