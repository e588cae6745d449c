/* The portal in a browser, against a server that can be made to fail. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { begin, enterToNext, figure, launch, nextIsReady, saved, signIn, taskFrame, watchTimes } from './browser';
// @ts-expect-error plain JavaScript, so that it can be served by hand
import { Fake } from './fake.mjs';

let browser: Browser;
let context: BrowserContext;
let page: Page;
let fake: any;
let complaints: string[];

beforeAll(async () => {
  browser = await launch();
});
afterAll(async () => browser.close());

beforeEach(async () => {
  fake = await new Fake().start();
  context = await browser.newContext();
  page = await open();
  complaints = [];
});
afterEach(async () => {
  await context.close();
  await fake.stop();
  expect(complaints).toEqual([]); // no error of the page's own, none against its policy
});

async function open(): Promise<Page> {
  const made = await context.newPage();
  made.setDefaultTimeout(12_000);
  made.on('pageerror', (error) => complaints.push(error.message));
  made.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
  });
  return made;
}

const fail = (path: RegExp, status: number, code: string) => (method: string, at: string) =>
  path.test(`${method} ${at}`) ? { status, code } : undefined;

test('the login is there at every load, however fast the server says who it is not', async () => {
  for (let i = 0; i < 40; i++) {
    await page.goto(`${fake.url}/portal`);
    await page.getByLabel('Name or e-mail').waitFor();
  }
});

test('a task is in the list, and then on screen, within a second of its loop', async () => {
  await signIn(page, fake.url);
  await page.getByText('Nothing to review').waitFor();
  await page.getByText('live').waitFor();
  const start = Date.now();
  fake.add('one');
  await page.getByTestId('queue').getByText('Classify the text').waitFor();
  expect(Date.now() - start).toBeLessThan(1000);
  expect(await page.title()).toMatch(/^\(1\)/);

  await begin(page);
  await taskFrame(page, 1);
  await page.keyboard.press('1');
  await page.keyboard.press('Enter');
  await page.getByText('All done').waitFor();
  await saved(page);
  const again = Date.now();
  fake.add('two'); // opens by itself
  await taskFrame(page, 2);
  expect(Date.now() - again).toBeLessThan(1000);
});

/** Answer the tasks from..to by keys, and give the times from Enter to the next one. */
async function work(from: number, to: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = from; i <= to; i++) {
    await taskFrame(page, i);
    await nextIsReady(page);
    await page.keyboard.press(String((i % 3) + 1));
    await page.keyboard.press('Enter');
    times.push(await enterToNext(page));
  }
  return times;
}

test('a task is answered by keys alone, and the next is there at once', async () => {
  const rounds = 3; // the machine may be busy with something else: one quiet round is proof
  for (let i = 1; i <= rounds * 9 + 1; i++) fake.add(`text ${i}`);
  await watchTimes(context);
  await signIn(page, fake.url);
  await begin(page);
  let best = Infinity;
  let done = 0;
  for (let round = 0; round < rounds && best >= 50; round++) {
    const times = await work(done + 1, done + 9);
    done += 9;
    best = Math.min(best, figure('from Enter to the next task on screen', times));
  }
  expect(best).toBeLessThan(50);
  await saved(page);
  const labels = ['Negative', 'Not Clear', 'Positive'];
  for (let i = 1; i <= done; i++) {
    expect(fake.answers.get(i).answer, `task ${i}`).toEqual({ category: { labels: [labels[(i - 1) % 3]] } });
  }
});

test('time counts while the task is on screen, not while it waits behind another', async () => {
  fake.add('one');
  fake.add('two');
  await signIn(page, fake.url);
  await begin(page);
  await taskFrame(page, 1);
  await nextIsReady(page);
  await page.waitForFunction((t0) => performance.now() - t0 > 1200, await page.evaluate(() => performance.now()));
  for (const task of [1, 2]) {
    await taskFrame(page, task);
    await page.keyboard.press('1');
    await page.keyboard.press('Enter');
  }
  await page.getByText('All done').waitFor();
  await saved(page);
  expect(fake.answers.get(1).seconds).toBeGreaterThan(1);
  expect(fake.answers.get(2).seconds).toBeLessThan(1);
});

test('an answer that cannot be saved is shown, kept over a reload, and sent again', async () => {
  fake.add('one');
  fake.add('two');
  await signIn(page, fake.url);
  await begin(page);
  await taskFrame(page, 1);
  await nextIsReady(page);
  fake.meddle = fail(/answer$/, 503, 'unavailable');
  await page.keyboard.press('2');
  await page.keyboard.press('Enter');
  await taskFrame(page, 2); // one works on
  await page.getByText(/One answer is not saved yet/).waitFor();
  let asked = 0;
  page.on('dialog', (dialog) => {
    asked += dialog.type() === 'beforeunload' ? 1 : 0;
    void dialog.accept();
  });
  await page.keyboard.press('1'); // a page that was used may ask
  await page.reload();
  expect(asked).toBe(1);
  expect(fake.answers.size).toBe(0);
  await page.getByText(/One answer is not saved yet/).waitFor();
  fake.meddle = () => undefined;
  await page.getByRole('button', { name: 'Try now' }).click();
  await saved(page);
  expect(fake.answers.get(1).answer).toEqual({ category: { labels: ['Negative'] } });
  expect(await page.evaluate(() => localStorage.length)).toBe(0);
});

test('an answer whose acknowledgement was lost is sent again under the same lease', async () => {
  fake.add('one');
  await signIn(page, fake.url);
  await begin(page);
  await taskFrame(page, 1);
  let cut = 1;
  fake.meddle = (_: string, path: string) => (/answer$/.test(path) && cut-- > 0 ? { cut: true } : undefined);
  await page.keyboard.press('1');
  await page.keyboard.press('Enter');
  await saved(page);
  expect(fake.calls.filter((call: string) => /answer$/.test(call)).length).toBe(2);
  expect(fake.answers.size).toBe(1);
});

test('the session ends in mid-work: after the login the work goes on, under the same lease', async () => {
  fake.add('one');
  fake.add('two');
  await signIn(page, fake.url);
  await begin(page);
  const frame = await taskFrame(page, 1);
  await nextIsReady(page);
  await page.keyboard.press('3');
  const lease = fake.tasks.get(1).lease;
  fake.endSessions();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Please sign in again' }).waitFor();
  expect(fake.answers.size).toBe(0);
  await page.getByLabel('Password').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('wrong name or password').waitFor();
  await page.getByLabel('Password').fill('password');
  await page.keyboard.press('Enter');
  await saved(page);
  expect(fake.answers.get(1)).toMatchObject({ lease, answer: { category: { labels: ['Not Clear'] } } });
  expect(frame.isDetached()).toBe(true);
  await taskFrame(page, 2);
  await page.keyboard.press('1'); // the keyboard is with the task again
  await page.keyboard.press('Enter');
  await page.getByText('All done').waitFor();
  await saved(page);
  expect(fake.answers.size).toBe(2);
});

test('a login in another tab changes the token; this one learns it', async () => {
  fake.add('one');
  await signIn(page, fake.url);
  await begin(page);
  await taskFrame(page, 1);
  await context.request.post(`${fake.url}/hone/login`, { data: { name: 'ann', password: 'password' } });
  await page.keyboard.press('1');
  await page.keyboard.press('Enter');
  await saved(page);
  expect(fake.answers.size).toBe(1);
  await context.request.post(`${fake.url}/hone/login`, { data: { name: 'root', password: 'password' } });
  fake.add('two');
  await page.getByRole('heading', { name: 'Please sign in again' }).waitFor();
});

test('a task that somebody else has taken is said, and left', async () => {
  fake.add('one');
  fake.add('two');
  await signIn(page, fake.url);
  await page.clock.install();
  await begin(page);
  await taskFrame(page, 1);
  await nextIsReady(page);
  Object.assign(fake.tasks.get(1), { holder: 'bob', lease: 'other' });
  await page.clock.fastForward(21_000); // a heartbeat
  await page.getByText('This task is no longer yours').waitFor();
  await page.getByRole('button', { name: 'Go on with the next' }).click();
  await taskFrame(page, 2);
});

test('a lease that ran out is taken again where nobody else has', async () => {
  fake.add('one');
  await signIn(page, fake.url);
  await page.clock.install();
  await begin(page);
  await taskFrame(page, 1);
  Object.assign(fake.tasks.get(1), { state: 'available', holder: null, lease: null });
  await page.clock.fastForward(21_000);
  await expect.poll(() => fake.tasks.get(1).holder).toBe('ann');
  await page.keyboard.press('1');
  await page.keyboard.press('Enter');
  await saved(page);
  expect(fake.answers.get(1).lease).toBe(fake.tasks.get(1).lease);
});

test('an answer that was refused for good is said until it was seen', async () => {
  fake.add('one');
  await signIn(page, fake.url);
  await begin(page);
  await taskFrame(page, 1);
  fake.meddle = fail(/answer$/, 410, 'gone');
  await page.keyboard.press('1');
  await page.keyboard.press('Enter');
  await page.getByText(/Your answer to .* was not taken: gone/).waitFor();
  await page.getByRole('button', { name: 'Understood' }).click();
  await page.getByText(/was not taken/).waitFor({ state: 'detached' });
});

test('skip comes back last, decline never does', async () => {
  for (const text of ['one', 'two', 'three']) fake.add(text);
  await signIn(page, fake.url);
  await begin(page);
  await taskFrame(page, 1);
  await nextIsReady(page);
  await page.keyboard.press('s');
  await taskFrame(page, 2);
  await expect.poll(() => fake.tasks.get(1).state).toBe('available');
  await nextIsReady(page);
  await page.keyboard.press('d');
  await page.getByRole('button', { name: 'Keep it' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await taskFrame(page, 2);
  await page.keyboard.press('d');
  await page.getByRole('button', { name: 'Decline', exact: true }).click();
  await taskFrame(page, 3);
  expect(fake.tasks.get(2).declined.has('ann')).toBe(true);
  await page.keyboard.press('1');
  await page.keyboard.press('Enter');
  await taskFrame(page, 1); // only the skipped one is left
  await page.keyboard.press('1');
  await page.keyboard.press('Enter');
  await page.getByText('All done').waitFor();
});

test('leaving gives the tasks back: to the list, and when the page is closed', async () => {
  fake.add('one');
  fake.add('two');
  await signIn(page, fake.url);
  for (const leave of [() => page.keyboard.press('q'), () => page.close()]) {
    await begin(page);
    await taskFrame(page, 1);
    await nextIsReady(page);
    expect([fake.tasks.get(1).state, fake.tasks.get(2).state]).toEqual(['leased', 'leased']);
    await leave();
    await expect.poll(() => [fake.tasks.get(1).state, fake.tasks.get(2).state]).toEqual(['available', 'available']);
  }
});

test('a flow that is chosen stays chosen', async () => {
  fake.add('one', { flow: 'a', title: 'First' });
  fake.add('two', { flow: 'b', title: 'Second' });
  fake.add('three', { flow: 'b', title: 'Third' });
  await signIn(page, fake.url);
  await page.getByLabel('Flow').selectOption('b');
  await page.getByText('First').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /Start reviewing/ }).click();
  await taskFrame(page, 2);
  await page.keyboard.press('1');
  await page.keyboard.press('Enter');
  await taskFrame(page, 3);
  await page.keyboard.press('1');
  await page.keyboard.press('Enter');
  await page.getByText('All done').waitFor();
  expect(fake.tasks.get(1).state).toBe('available');
});

test('keys are shown, instructions open, and the page’s own keys choose too', async () => {
  fake.add('one');
  await signIn(page, fake.url);
  await begin(page);
  const frame = await taskFrame(page, 1);
  await page.keyboard.press('?');
  await page.getByRole('dialog').getByText('Not Clear').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: /Instructions/ }).click();
  await frame.getByText('Text Categorization Instructions').waitFor();
  await frame.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('button', { name: 'Keys' }).focus(); // out of the frame
  await page.keyboard.press('2');
  await frame.waitForFunction(() => (document.querySelector('crowd-classifier-multi-select') as any).value.labels[0] === 'Negative');
  await page.getByRole('heading', { name: 'Classify the text' }).click();
  await page.keyboard.press('Enter');
  await page.getByText('All done').waitFor();
});

test('an invitation makes an account and opens the list', async () => {
  fake.add('one');
  await page.goto(`${fake.url}/invite/GOOD`);
  await page.getByText('new.person@example.org').waitFor();
  await page.getByLabel('Password', { exact: true }).fill('a long password');
  await page.getByLabel('Password again').fill('another password');
  await page.keyboard.press('Enter');
  await page.getByText('the two passwords differ').waitFor();
  await page.getByLabel('Password again').fill('a long password');
  await page.keyboard.press('Enter');
  await page.getByTestId('queue').getByText('Classify the text').waitFor();
  expect(fake.users.has('new-person')).toBe(true);
  await page.goto(`${fake.url}/invite/USED`);
  await page.getByText('this invitation was used or has ended').waitFor();
});

test('an administrator invites from the page; a reviewer has no such page', async () => {
  await signIn(page, fake.url, 'root');
  await page.getByRole('link', { name: 'People' }).click();
  await page.getByRole('cell', { name: 'reviewer' }).waitFor();
  await page.getByLabel('E-mail').fill('x@example.org');
  await page.getByRole('button', { name: 'Invite' }).click();
  expect(await page.getByTestId('invitation').inputValue()).toMatch(/\/invite\/GOOD$/);
  expect(fake.invited).toEqual({ email: 'x@example.org', role: 'reviewer', team: 'crew' }); // the first team, unasked
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in to review' }).waitFor();
  await signIn(page, fake.url);
  expect(await page.getByRole('link', { name: 'People' }).count()).toBe(0);
});

test('every control has a name, in light and dark, and nothing is wider than a phone', async () => {
  for (let i = 0; i < 3; i++) fake.add('a rather long text '.repeat(20), { title: 'A long title of a task '.repeat(5) });
  await page.setViewportSize({ width: 360, height: 640 });
  await signIn(page, fake.url, 'root');
  const names = () =>
    page.locator('button, a, input, select, iframe:not([aria-hidden=true])').evaluateAll((all) =>
      all.filter((one) => {
        const labels = (one as HTMLInputElement).labels;
        return !(one.getAttribute('aria-label') || one.getAttribute('title') || one.textContent?.trim() || labels?.[0]?.textContent);
      }).length,
    );
  const width = () => page.evaluate(() => document.documentElement.scrollWidth);
  expect([await names(), await width()]).toEqual([0, 360]);
  await page.getByRole('link', { name: 'People' }).click();
  await page.getByRole('cell', { name: 'reviewer' }).waitFor();
  expect([await names(), await width()]).toEqual([0, 360]);
  await page.goto(`${fake.url}/portal/tasks`);
  const frame = await taskFrame(page, 1);
  expect([await names(), await width()]).toEqual([0, 360]);
  expect(await frame.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  const shade = () => frame.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await shade();
  await page.emulateMedia({ colorScheme: 'dark' });
  expect(await shade()).not.toBe(light);
});
