/* The answers that the server has not acknowledged yet.
 *
 *     put --> waiting --send--> saved (dropped)
 *               ^  |
 *               |  +--refused for good--> refused: shown until the reviewer has seen it
 *               +---later: backoff, or as soon as there is a session and a network
 *
 * An answer is in the browser's storage before the next task is on screen, so a reload, a crash of
 * the browser or the end of the session cannot lose it; it goes out again under the lease that it was
 * given with, which the server answers with the same reply. Each reviewer has entries of their own:
 * on a shared machine nobody sends another one's answers. */
import { Emitter } from './emitter';
import { api, Refusal } from './api';

export interface Entry {
  task: number;
  lease: string;
  answer: unknown;
  seconds: number;
  title: string;
  put: number;
  /** Why the server will never take it. */
  refused?: string;
}

type Send = (entry: Entry) => Promise<unknown>;
type Later = (act: () => void, ms: number) => unknown;

const PREFIX = 'hone.answer/';
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

export class Outbox extends Emitter {
  private entries = new Map<number, Entry>();
  private sending = false;
  private retryMs = FIRST_RETRY_MS;
  private timer: unknown;
  private worker = '';
  /** Why the last try failed, '' when it did not. */
  trouble = '';
  /** How many were acknowledged in this page. */
  savedCount = 0;
  /** Called with the task of each acknowledged answer. */
  onSaved: (entry: Entry) => void = () => {};

  constructor(
    private storage: Storage,
    private send: Send = (e) => api.answer(e.task, e.lease, e.answer, e.seconds),
    private later: Later = (act, ms) => setTimeout(act, ms),
    private cancel: (timer: unknown) => void = (timer) => clearTimeout(timer as number),
  ) {
    super();
  }

  /** Whose answers these are: reads what an earlier page left. */
  open(worker: string): void {
    this.worker = worker;
    this.entries.clear();
    for (let i = 0; i < this.storage.length; i++) {
      const key = this.storage.key(i) ?? '';
      if (!key.startsWith(this.prefix())) continue;
      try {
        const entry = JSON.parse(this.storage.getItem(key) ?? '') as Entry;
        if (typeof entry.task === 'number' && typeof entry.lease === 'string') this.entries.set(entry.task, entry);
      } catch {
        this.storage.removeItem(key); // not ours, or cut off: nothing can be made of it
      }
    }
    this.retryMs = FIRST_RETRY_MS;
    this.changed();
    void this.flush();
  }

  close(): void {
    this.cancel(this.timer);
    this.worker = '';
    this.entries.clear();
    this.trouble = '';
    this.changed();
  }

  get waiting(): Entry[] {
    return [...this.entries.values()].filter((entry) => !entry.refused);
  }

  get refused(): Entry[] {
    return [...this.entries.values()].filter((entry) => entry.refused);
  }

  has(task: number): boolean {
    return this.entries.has(task);
  }

  put(entry: Entry): void {
    this.entries.set(entry.task, entry);
    this.store(entry);
    this.changed();
    void this.flush();
  }

  /** The reviewer has seen that it was refused. */
  dismiss(task: number): void {
    this.drop(task);
    this.changed();
  }

  /** Try now, for example because the network is back. */
  retry(): void {
    this.retryMs = FIRST_RETRY_MS;
    void this.flush();
  }

  async flush(): Promise<void> {
    if (this.sending || !this.worker) return;
    this.cancel(this.timer);
    this.sending = true;
    const worker = this.worker;
    try {
      for (let entry = this.waiting[0]; entry; entry = this.waiting[0]) {
        await this.sendOne(entry, worker);
        if (this.worker !== worker) return;
        if (this.trouble) break;
      }
    } finally {
      this.sending = false;
    }
    if (this.worker && this.worker !== worker) void this.flush();
  }

  private async sendOne(entry: Entry, worker: string): Promise<void> {
    try {
      await this.send(entry);
    } catch (error) {
      if (this.worker === worker) this.failed(entry, error);
      return;
    }
    this.storage.removeItem(this.key(entry.task, worker));
    if (this.worker !== worker) return;
    this.entries.delete(entry.task);
    this.savedCount++;
    this.trouble = '';
    this.retryMs = FIRST_RETRY_MS;
    this.onSaved(entry);
    this.changed();
  }

  private failed(entry: Entry, error: unknown): void {
    const refusal = error instanceof Refusal ? error : new Refusal('internal', String(error), 0);
    if (refusal.code === 'unauthenticated') {
      this.trouble = 'you are signed out'; // open() tries again after the login
    } else if (refusal.passes) {
      this.trouble = refusal.message;
      this.timer = this.later(() => void this.flush(), this.retryMs);
      this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
    } else {
      entry.refused = refusal.message;
      this.trouble = '';
      this.store(entry);
    }
    this.changed();
  }

  private prefix(worker = this.worker): string {
    return `${PREFIX}${worker}/`;
  }

  private key(task: number, worker = this.worker): string {
    return this.prefix(worker) + task;
  }

  private store(entry: Entry): void {
    try {
      this.storage.setItem(this.key(entry.task), JSON.stringify(entry));
    } catch {
      // A full or forbidden storage: the answer is in memory, and leaving the page is warned about.
    }
  }

  private drop(task: number): void {
    this.entries.delete(task);
    this.storage.removeItem(this.key(task));
  }
}
