/* No answer is lost: whatever the server does, each is sent until it is acknowledged or refused. */
import { beforeEach, expect, test } from 'vitest';
import { Outbox, type Entry } from '../../src/outbox';
import { Refusal } from '../../src/api';

const entry = (task: number): Entry => ({ task, lease: `lease-${task}`, answer: { a: task }, seconds: 1, title: 't', put: 0 });

/** A server that does what its script says, and time that passes when told to. */
function setup(script: (Refusal | 'ok')[] = []) {
  const sent: Entry[] = [];
  const waits: { act: () => void; ms: number }[] = [];
  const send = async (one: Entry) => {
    sent.push({ ...one });
    const step = script.shift() ?? 'ok';
    if (step !== 'ok') throw step;
  };
  const outbox = new Outbox(localStorage, send, (act, ms) => waits.push({ act, ms }), () => {});
  return { outbox, sent, waits };
}

const settled = () => new Promise((done) => setTimeout(done));
const offline = () => new Refusal('offline', 'the server cannot be reached', 0);

beforeEach(() => localStorage.clear());

test('an answer is stored, sent, and dropped once it is acknowledged', async () => {
  const { outbox, sent } = setup();
  outbox.open('w');
  outbox.put(entry(1));
  expect(localStorage.length).toBe(1);
  expect(outbox.waiting.length).toBe(1);
  await settled();
  expect(sent).toEqual([entry(1)]);
  expect(localStorage.length).toBe(0);
  expect(outbox.waiting).toEqual([]);
  expect(outbox.savedCount).toBe(1);
});

test('failures that may pass are tried again, each time later', async () => {
  const busy = new Refusal('unavailable', 'busy', 503);
  const { outbox, sent, waits } = setup([offline(), busy, offline(), 'ok']);
  outbox.open('w');
  outbox.put(entry(1));
  await settled();
  expect(outbox.trouble).toMatch(/cannot be reached/);
  for (let i = 0; i < 3; i++) {
    waits[i]!.act();
    await settled();
  }
  expect(waits.map((wait) => wait.ms)).toEqual([1000, 2000, 4000]);
  expect(sent.length).toBe(4);
  expect(new Set(sent.map((one) => one.lease)).size).toBe(1);
  expect(outbox.trouble).toBe('');
  expect(outbox.waiting).toEqual([]);
});

test('answers go out in their order, and one that fails keeps its place', async () => {
  const { outbox, sent, waits } = setup([offline(), 'ok', 'ok']);
  outbox.open('w');
  outbox.put(entry(1));
  outbox.put(entry(2));
  await settled();
  expect(sent.map((one) => one.task)).toEqual([1]);
  waits[0]!.act();
  await settled();
  expect(sent.map((one) => one.task)).toEqual([1, 1, 2]);
});

test('a new page sends what the last one could not', async () => {
  const before = setup([offline()]);
  before.outbox.open('w');
  before.outbox.put(entry(1));
  await settled();
  const { outbox, sent } = setup();
  outbox.open('w');
  expect(outbox.has(1)).toBe(true);
  await settled();
  expect(sent).toEqual([entry(1)]);
  expect(localStorage.length).toBe(0);
});

test('the end of the session stops the sending, the login goes on with it', async () => {
  const { outbox, sent, waits } = setup([new Refusal('unauthenticated', 'no session', 401), 'ok']);
  outbox.open('w');
  outbox.put(entry(1));
  await settled();
  expect(outbox.trouble).toMatch(/signed out/);
  expect(waits).toEqual([]);
  outbox.open('w');
  await settled();
  expect(sent.map((one) => one.lease)).toEqual(['lease-1', 'lease-1']);
  expect(outbox.waiting).toEqual([]);
  expect(outbox.trouble).toBe('');
});

test('another reviewer on the same machine does not send it', async () => {
  const first = setup([offline()]);
  first.outbox.open('w');
  first.outbox.put(entry(1));
  await settled();
  first.outbox.close();
  const { outbox, sent } = setup();
  outbox.open('other');
  await settled();
  expect(sent).toEqual([]);
  expect(outbox.waiting).toEqual([]);
  expect(localStorage.length).toBe(1);
});

test('a refusal is kept and shown until it was seen, and does not stop the others', async () => {
  const { outbox, sent } = setup([new Refusal('gone', 'somebody else has answered', 410), 'ok']);
  outbox.open('w');
  outbox.put(entry(1));
  outbox.put(entry(2));
  await settled();
  expect(sent.map((one) => one.task)).toEqual([1, 2]);
  expect(outbox.refused.map((one) => [one.task, one.refused])).toEqual([[1, 'somebody else has answered']]);
  const again = setup();
  again.outbox.open('w');
  expect(again.outbox.refused.length).toBe(1);
  again.outbox.dismiss(1);
  expect(localStorage.length).toBe(0);
});

test('a full storage and a broken entry lose nothing', async () => {
  localStorage.setItem('hone.answer/w/9', '{cut');
  const full = {
    ...setup(),
    storage: { length: 0, key: () => null, getItem: () => null, removeItem: () => {}, clear: () => {}, setItem: () => {
      throw new DOMException('full', 'QuotaExceededError');
    } },
  };
  const sent: Entry[] = [];
  const outbox = new Outbox(full.storage, async (one) => void sent.push(one));
  outbox.open('w');
  outbox.put(entry(1));
  await settled();
  expect(sent.length).toBe(1);
  const { outbox: other } = setup();
  other.open('w');
  expect(other.waiting).toEqual([]);
  expect(localStorage.length).toBe(0);
});
