/* A template's scripts run, and reach nothing: no cookie, no page around, no network, no other
 * task; and one that never ends hangs its own frame alone.
 *
 * With HONE_BIN the frame comes from the program itself; without it, from the double. */
import { createSocket, type Socket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { begin, launch, nextIsReady, saved, taskFrame } from './browser';
import { backend, type Backend } from './backend';

let browser: Browser;
let context: BrowserContext;
let page: Page;
let world: Backend;
let listener: Server;
let udp: Socket;
let port = 0;
let heard: string[] = [];

beforeAll(async () => {
  browser = await launch();
  world = await backend();
  listener = createServer((socket) => {
    heard.push('tcp');
    socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\n\r\n');
  });
  await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
  port = (listener.address() as { port: number }).port;
  udp = createSocket('udp4').on('message', () => heard.push('udp'));
  await new Promise<void>((done) => udp.bind(port, '127.0.0.1', done));
});

afterAll(async () => {
  await browser?.close();
  listener?.close();
  udp?.close();
  await world?.stop();
});

/** A reviewer at the list, with these templates' tasks in it. */
async function sit(templates: string[]): Promise<number[]> {
  await context?.close();
  context = await browser.newContext();
  page = await context.newPage();
  await world.signIn(page);
  const tasks: number[] = [];
  for (const template of templates) tasks.push(await world.add('some text', template));
  await begin(page);
  heard = [];
  return tasks;
}

const FORM = `<crowd-form><crowd-classifier name="c" categories="['a', 'b']"></crowd-classifier></crowd-form>`;

/** Leave nothing behind for the next test. */
async function leave(): Promise<void> {
  await page.keyboard.press('q').catch(() => {});
  await context.close();
  await world.clear();
}

test('a template’s scripts see no cookie, no storage and nothing of the page around', async () => {
  const [task] = await sit([`${FORM}<script>
    const tries = {
      cookie: () => document.cookie,
      storage: () => localStorage.length,
      session: () => sessionStorage.length,
      database: () => indexedDB.open('x'),
      parent: () => parent.document.title,
      parentStorage: () => parent.localStorage.length,
      parentName: () => parent.location.href,
      top: () => top.document.cookie,
      fetch: () => parent.fetch,
    };
    window.found = {};
    for (const [name, act] of Object.entries(tries)) {
      try { window.found[name] = String(act()); } catch (error) { window.found[name] = 'no: ' + error.name; }
    }
    try { top.location = '/portal'; } catch (error) { window.found.navigate = 'no: ' + error.name; }
    window.found.origin = self.origin;
    window.found.popup = String(window.open('/portal'));
  </script>`]);
  const frame = await taskFrame(page, task);
  const found = await frame.evaluate(() => (window as any).found as Record<string, string>);
  expect(found.origin).toBe('null');
  expect(found.popup).toBe('null');
  for (const name of ['cookie', 'storage', 'session', 'database', 'parent', 'parentStorage', 'parentName', 'top', 'fetch', 'navigate']) {
    expect(found[name], name).toBe('no: SecurityError');
  }
  expect(new URL(page.url()).pathname).toMatch(/^\/portal\/tasks/);
  const cookies = await context.cookies();
  expect(cookies.find((one) => one.name === 'hone_session')).toMatchObject({ httpOnly: true, sameSite: 'Strict' });
  await leave();
});

/** Ways out; each is one task's script. PORT is where somebody listens. */
const WAYS: Record<string, string> = {
  fetch: `fetch(URL).catch(() => {})`,
  beacon: `navigator.sendBeacon(URL, 'x')`,
  sockets: `new WebSocket(URL.replace('http', 'ws')); new EventSource(URL)`,
  'images, styles and scripts': `document.body.insertAdjacentHTML('beforeend', '<img src="' + URL + '"><video src="' + URL +
    '"><track default src="' + URL + '"></video><object data="' + URL + '"></object><embed src="' + URL +
    '"><svg><image href="' + URL + '"/></svg><style>@import "' + URL + '"; body { background: url(' + URL + ') }</style>');
    const script = document.createElement('script'); script.src = URL; document.body.append(script);
    import(URL).catch(() => {}); new FontFace('x', 'url(' + URL + ')').load().catch(() => {})`,
  hints: `for (const rel of ['prefetch', 'preload', 'modulepreload', 'preconnect', 'dns-prefetch', 'stylesheet', 'icon', 'manifest', 'prerender'])
    document.head.append(Object.assign(document.createElement('link'), { rel, href: URL, as: 'image' }));
    const rules = document.createElement('script'); rules.type = 'speculationrules';
    rules.textContent = JSON.stringify({ prefetch: [{ source: 'list', urls: [URL], eagerness: 'immediate' }] }); document.head.append(rules)`,
  forms: `const form = document.createElement('form'); form.action = URL; form.method = 'post'; document.body.append(form);
    form.submit(); form.target = '_blank'; form.submit()`,
  windows: `window.open(URL); const link = Object.assign(document.createElement('a'), { href: URL, target: '_blank', ping: URL });
    document.body.append(link); link.click()`,
  'the page around': `top.location = URL`,
  'its own address': `location = URL`,
  'a link': `const link = Object.assign(document.createElement('a'), { href: URL }); document.body.append(link); link.click()`,
  'a refresh': `document.write('<meta http-equiv="refresh" content="0;url=' + URL + '">')`,
  'frames in it': `const html = '<script>fetch("' + URL + '"); location = "' + URL + '"<' + '/script>';
    document.body.append(Object.assign(document.createElement('iframe'), { src: URL }),
      Object.assign(document.createElement('iframe'), { srcdoc: html }));
    location = window.URL.createObjectURL(new Blob([html], { type: 'text/html' }))`,
  workers: `new Worker(window.URL.createObjectURL(new Blob(['fetch("' + URL + '")'])))`,
  WebRTC: `const servers = [{ urls: 'stun:127.0.0.1:PORT' }, { urls: 'turn:127.0.0.1:PORT?transport=tcp', username: 'a', credential: 'b' }];
    const call = 'const c = new RTCPeerConnection({ iceServers: ' + JSON.stringify(servers) + ' }); c.createDataChannel("x"); c.createOffer().then((o) => c.setLocalDescription(o))';
    document.body.append(Object.assign(document.createElement('iframe'), { srcdoc: '<script>' + call + '<' + '/script>' })); eval.call; (0, Function)`,
  'WebRTC itself': `const c = new RTCPeerConnection({ iceServers: [{ urls: 'stun:127.0.0.1:PORT' }, { urls: 'turn:127.0.0.1:PORT?transport=tcp', username: 'a', credential: 'b' }] });
    c.createDataChannel('x'); c.createOffer().then((offer) => c.setLocalDescription(offer))`,
};

test('a template’s scripts reach no network', async () => {
  const ways = Object.entries(WAYS);
  const templates = ways.map(([, way]) => {
    const script = way.replaceAll('PORT', String(port));
    // What a way throws is not the matter; that its script ran, is.
    return `${FORM}<script>const URL = 'http://127.0.0.1:${port}/secret'; document.title = 'ran';
      try { ${script.replaceAll('window.URL', 'window["U" + "RL"]')} } catch (error) { console.log(error) }</script>`;
  });
  const tasks = await sit(templates.map((template) => template.replace("const URL =", 'const TARGET =').replaceAll(/\bURL\b/g, 'TARGET')));
  const leaks: Record<string, string[]> = {};
  for (const [index, [name]] of ways.entries()) {
    await page.waitForSelector(`iframe.current[data-task="${tasks[index]}"]`);
    await page.waitForTimeout(name.includes('WebRTC') ? 1200 : 350); // the time that it would need to get out
    if (heard.length > 0) leaks[name] = heard;
    heard = [];
    expect(await page.evaluate(() => location.pathname), name).toMatch(/^\/portal\/tasks/);
    await page.getByRole('button', { name: /^Skip/ }).click();
  }
  expect(context.pages().length).toBe(1);
  expect(leaks).toEqual({});

  // The listener does hear what may reach it.
  await context.request.get(`http://127.0.0.1:${port}/`);
  expect(heard).toEqual(['tcp']);
  await leave();
});

test('a task’s frame answers its own task, when it is on screen, and no other', async () => {
  const answer = `parent.postMessage({ hone: 'answer', answer: { c: { label: 'forged' } } }, '*');`;
  const noise = `for (let i = 0; i < parent.frames.length; i++) {
      parent.frames[i].postMessage({ hone: 'choose', key: '2' }, '*');
      parent.frames[i].postMessage({ hone: 'submit' }, '*');
    }
    parent.postMessage({ hone: 'key', key: 's' }, '*');
    parent.postMessage({ hone: 'answer', task: 1, answer: null }, '*');
    for (const junk of [null, 5, 'x', [], { hone: 'answer' }, { hone: 'ready', choices: [null, { key: {}, label: [] }, 7] }]) parent.postMessage(junk, '*');`;
  const [first, hostile] = await sit([FORM, `${FORM}<script>setInterval(() => { ${answer} ${noise} }, 20)</script>`]);
  await taskFrame(page, first);
  await nextIsReady(page);
  await page.waitForTimeout(500); // 25 volleys
  expect(await world.answer(first!)).toBeNull();
  expect(await world.answer(hostile!)).toBeNull();
  await taskFrame(page, first); // still the one that was not forged
  await page.keyboard.press('1');
  await page.keyboard.press('Enter');
  await page.waitForSelector(`iframe[data-task="${hostile}"]`, { state: 'detached' }); // it answered itself at once
  await saved(page);
  expect(await world.answer(first!)).toEqual({ c: { label: 'a' } });
  await leave();
});

test('a script that never ends hangs its own frame alone, on screen and behind it', async () => {
  const ENDLESS = `${FORM}<script>for (;;);</script>`;
  const [endless, good, hidden] = await sit([ENDLESS, FORM, ENDLESS]);
  await page.waitForSelector(`iframe.current[data-task="${endless}"]`);
  await page.getByText('This task’s page does not answer').waitFor({ timeout: 20_000 });
  await page.getByRole('button', { name: 'Skip' }).first().click();
  // Its neighbour gets a process that lives; the next endless one is noticed behind it, and taken away.
  await page.waitForSelector(`iframe[data-task="${hidden}"]`, { state: 'attached' });
  await page.waitForSelector(`iframe[data-task="${hidden}"]`, { state: 'detached', timeout: 20_000 });
  await taskFrame(page, good);
  await page.keyboard.press('1');
  await page.keyboard.press('Enter');
  await page.getByText('All done').waitFor();
  await saved(page);
  expect(await world.answer(good!)).toEqual({ c: { label: 'a' } });
  await context.close();
  await world.clear();
});
