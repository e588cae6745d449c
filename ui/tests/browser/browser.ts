/* A real browser, and what the tests of the pages do with it again and again. */
import { existsSync } from 'node:fs';
import { chromium, type Browser, type BrowserContext, type Frame, type Page } from 'playwright-core';

const CHROMIUM = process.env.HONE_CHROMIUM ?? '/usr/bin/chromium';

export async function launch(): Promise<Browser> {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: apt-get install chromium`);
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox', // the tests may run as root, in a container
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

export async function signIn(page: Page, url: string, name = 'ann', password = 'password'): Promise<void> {
  await page.goto(`${url}/portal`);
  await page.getByLabel('Name or e-mail').fill(name);
  await page.getByLabel('Password').fill(password);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: /^Tasks/ }).waitFor();
}

/** From the list to the first task, by the key that is offered. */
export async function begin(page: Page): Promise<void> {
  await page.waitForFunction(() => document.activeElement?.textContent?.startsWith('Start reviewing'));
  await page.keyboard.press('Enter');
}

/** The frame on screen, once its elements stand. */
export async function taskFrame(page: Page, task?: number): Promise<Frame> {
  const one = task === undefined ? '' : `[data-task="${task}"]`;
  const handle = await page.waitForSelector(`iframe.current[data-ready="true"]${one}`);
  return (await handle.contentFrame())!;
}

/** Wait until the next task lies ready behind the current one. */
export async function nextIsReady(page: Page): Promise<void> {
  await page.waitForSelector('iframe.ahead[data-ready="true"]', { state: 'attached' });
}

/** A measured figure, for whoever reads the output of the tests. */
export function figure(what: string, times: number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)]!;
  process.stdout.write(`\n# figure: ${what}: median ${median.toFixed(1)} ms, worst ${sorted[sorted.length - 1]!.toFixed(1)} ms of ${sorted.length}\n`);
  return median;
}

export const saved = (page: Page) => page.getByTestId('save').filter({ hasText: /^saved$/ }).waitFor();

/** Times from Enter in one frame until the next one has been painted, in ms.
 *
 * Each frame says when Enter was pressed in it and when it was painted after it got the focus; the
 * clocks of the processes are the same one. */
export async function watchTimes(context: BrowserContext): Promise<void> {
  await context.addInitScript(() => {
    const now = () => performance.timeOrigin + performance.now();
    if (parent === window) {
      const times: { what: string; at: number }[] = [];
      Object.assign(window, { times });
      addEventListener('message', (event) => event.data?.probe && times.push(event.data.probe));
      return;
    }
    const say = (what: string, at: number) => parent.postMessage({ probe: { what, at } }, '*');
    addEventListener('keydown', (event) => {
      if (event.key === 'Enter') say('enter', performance.timeOrigin + event.timeStamp);
    }, true);
    addEventListener('message', (event) => {
      if (event.data?.hone !== 'focus') return;
      requestAnimationFrame(() => {
        const channel = new MessageChannel(); // its message comes after the frame was painted
        channel.port1.onmessage = () => say('painted', now());
        channel.port2.postMessage(0);
      });
    });
  });
}

export async function enterToNext(page: Page): Promise<number> {
  const handle = await page.waitForFunction(() => {
    const { times } = window as unknown as { times: { what: string; at: number }[] };
    const from = times.map((one) => one.what).lastIndexOf('enter');
    const to = times.find((one, index) => index > from && one.what === 'painted');
    return from >= 0 && to ? { ms: to.at - times[from]!.at } : null;
  });
  return (await handle.jsonValue())!.ms;
}
