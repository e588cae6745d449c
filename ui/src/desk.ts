/* The tasks in front of a reviewer: the one being worked on, and the next, loaded behind it.
 *
 *     take --> [current]  <--advance-- [next] <--prefetch
 *                 |--submit--> outbox, then advance
 *                 |--skip----> released, offered again last
 *                 `--decline-> never again, then advance
 *
 * Held tasks are kept by a heartbeat. The next one is held for this reviewer alone, so it is given
 * back when the page has been out of sight for a minute or the current task takes more than a few:
 * others may be waiting. */
import { Emitter } from './emitter';
import { api, Refusal, type Held, type Task } from './api';
import type { Outbox } from './outbox';

export const HEARTBEAT_MS = 20_000;
const LEASE_MS = 60_000;
const PREFETCH_HIDDEN_MS = 60_000;
const PREFETCH_AGE_MS = 5 * 60_000;
const FRESH_PROCESS_MS = 500;
const AFTER_PAINT_MS = 100;

export interface Choice {
  key: string;
  label: string;
}

/** A task with its lease and its frame. */
export interface Seat {
  /** One for each time that a task is taken. */
  serial: number;
  task: Task;
  lease: string;
  frame: string;
  /** On our clock: when it was accepted, and since when it has been on screen (0: not now). */
  accepted: number;
  shown: number;
  activeMs: number;
  ready: boolean;
  /** Its frame should have answered long ago. */
  silent: boolean;
  choices: Choice[];
  instructions: boolean;
  /** Why it is no longer ours. */
  lost: string;
}

export type Mode = 'idle' | 'loading' | 'working' | 'empty' | 'trouble';

let serial = 0;

function seatOf(held: Held): Seat {
  const { task } = held;
  // Accepted by an earlier page: the lease that was just renewed tells the server's time.
  const earlier =
    task.lease_until && task.accepted ? Math.max(0, task.lease_until - LEASE_MS - task.accepted) : 0;
  return {
    serial: ++serial,
    task,
    lease: held.lease,
    frame: held.frame,
    accepted: Date.now() - earlier,
    shown: 0,
    activeMs: 0,
    ready: false,
    silent: false,
    choices: [],
    instructions: false,
    lost: '',
  };
}

export class Desk extends Emitter {
  seats: Seat[] = []; // the current one first; never reordered: a frame that moves loads again
  /** Done with, but not taken apart yet: that work is for when the next one has been painted. */
  leaving: Seat[] = [];
  mode: Mode = 'idle';
  trouble = '';
  flow = '';
  private skipped = new Set<number>();
  /** Whose frames never answered: not loaded again while we sit here. */
  private broken = new Set<number>();
  private beat = 0;
  private prefetching = false;
  private generation = 0; // a reply to an earlier visit of the page is given back
  private hiddenSince = 0;
  private prefetchRests = false;

  constructor(private outbox: Outbox) {
    super();
  }

  get current(): Seat | null {
    return this.mode === 'working' ? (this.seats[0] ?? null) : null;
  }

  get next(): Seat | null {
    return (this.mode === 'working' ? this.seats[1] : this.seats[0]) ?? null;
  }

  /** Sit down: at this task, or at the oldest. */
  async open(id: number | null, flow: string): Promise<void> {
    const generation = ++this.generation;
    this.flow = flow;
    this.mode = 'loading';
    this.trouble = '';
    this.skipped.clear();
    this.broken.clear();
    clearInterval(this.beat);
    this.beat = window.setInterval(() => void this.heartbeat(), HEARTBEAT_MS);
    this.changed();
    await this.show(() => (id === null ? this.pick() : api.take(id)), generation);
  }

  /** Stand up: everything is given back. keepalive: the page itself is going away. */
  close(keepalive = false): void {
    this.generation++;
    clearInterval(this.beat);
    for (const seat of this.seats) this.giveBack(seat, keepalive);
    this.seats = [];
    this.leaving = [];
    this.mode = 'idle';
    this.changed();
  }

  /** A task came into the queue. */
  offer(): void {
    if (this.mode === 'empty') void this.refill();
    else if (this.mode === 'working' && !this.seats[1]) void this.prefetch();
  }

  submit(answer: unknown): void {
    const seat = this.current;
    if (!seat || seat.lost) return;
    this.pause(seat);
    this.outbox.put({
      task: seat.task.id,
      lease: seat.lease,
      answer,
      seconds: Math.round(seat.activeMs) / 1000,
      title: seat.task.title,
      put: Date.now(),
    });
    this.advance();
  }

  skip(): void {
    const seat = this.current;
    if (!seat) return;
    this.skipped.add(seat.task.id);
    this.giveBack(seat);
    if (!seat.silent) this.advance();
    else this.startAfresh();
  }

  /** A frame that never answers may be a script without end, and browsers give all our frames one
   * process, which hangs with it. That process ends when it has no frame left. */
  private startAfresh(): void {
    const [hung, next] = this.seats;
    if (hung) this.broken.add(hung.task.id);
    this.seats = [];
    this.leaving = [];
    this.mode = 'loading';
    this.changed();
    this.soon(() => {
      if (next) {
        this.seats = [{ ...next, silent: false }];
        this.sit(this.seats[0]!);
      } else {
        void this.refill();
      }
    });
  }

  /** Its frame has not answered for long. When the next one hangs, the current one does too: that
   * one is loaded again, alone. */
  isSilent(seat: Seat): void {
    seat.silent = true;
    const current = this.current;
    if (!current?.ready || this.seats[1] !== seat) {
      this.changed(); // the current one, or one that hangs because of it
      return;
    }
    this.broken.add(seat.task.id);
    this.giveBack(seat);
    this.prefetchRests = true;
    this.seats = [];
    this.leaving = [];
    this.changed();
    this.soon(() => {
      current.ready = false;
      this.seats = [current];
      this.changed();
    });
  }

  private soon(act: () => void): void {
    const generation = this.generation;
    setTimeout(() => generation === this.generation && this.seats.length === 0 && act(), FRESH_PROCESS_MS);
  }

  async decline(): Promise<void> {
    const seat = this.current;
    if (!seat) return;
    this.skipped.add(seat.task.id); // should the call fail, it is at least not the next one
    const refused = api.decline(seat.task.id, seat.lease).catch((error: Refusal) => {
      this.trouble = `task ${seat.task.id} could not be declined: ${error.message}`;
      this.changed();
    });
    if (!seat.silent) this.advance();
    else this.startAfresh();
    await refused;
  }

  /** The current task is no longer ours; go on with another. */
  moveOn(): void {
    if (this.current) this.advance();
  }

  isReady(seat: Seat, choices: Choice[], instructions: boolean): void {
    seat.ready = true;
    seat.silent = false;
    seat.choices = choices;
    seat.instructions = instructions;
    this.changed();
  }

  /** The page went out of sight, or came back: time stops, time goes on. */
  visible(is: boolean): void {
    const seat = this.current;
    this.hiddenSince = is ? 0 : Date.now();
    if (!seat) return;
    if (is) {
      seat.shown = performance.now();
      if (!this.seats[1]) void this.prefetch();
    } else {
      this.pause(seat);
    }
  }

  private pause(seat: Seat): void {
    if (seat.shown) seat.activeMs += performance.now() - seat.shown;
    seat.shown = 0;
  }

  private advance(): void {
    this.letGo(this.seats.shift());
    this.prefetchRests = false;
    const seat = this.seats[0];
    if (seat) {
      this.sit(seat);
    } else {
      this.mode = 'loading';
      this.changed();
      void this.refill();
    }
  }

  private letGo(seat: Seat | undefined): void {
    if (!seat) return;
    this.leaving = [...this.leaving, seat];
    setTimeout(() => {
      this.leaving = this.leaving.filter((one) => one !== seat);
      this.changed();
    }, AFTER_PAINT_MS);
  }

  private sit(seat: Seat): void {
    this.mode = 'working';
    seat.shown = document.hidden ? 0 : performance.now();
    this.changed();
    setTimeout(() => void this.prefetch(), AFTER_PAINT_MS);
  }

  private refill(): Promise<void> {
    const generation = this.generation;
    return this.show(() => this.pick(), generation);
  }

  private async show(get: () => Promise<Held | null>, generation: number): Promise<void> {
    let held: Held | null;
    try {
      held = await get();
    } catch (error) {
      if (generation !== this.generation) return;
      this.mode = 'trouble';
      this.trouble = error instanceof Refusal ? error.message : String(error);
      this.changed();
      return;
    }
    if (generation !== this.generation || this.seats.length > 1) {
      if (held) this.giveBack(seatOf(held));
      return;
    }
    if (this.seats.length === 1) { // the prefetch was faster
      if (held && held.task.id !== this.seats[0]!.task.id) this.seats = [...this.seats, seatOf(held)];
      this.changed();
      return;
    }
    this.trouble = '';
    if (held) {
      this.seats = [seatOf(held)];
      this.sit(this.seats[0]!);
    } else {
      this.mode = 'empty';
      this.changed();
    }
  }

  /** Accept the next task, the skipped ones last. */
  private async pick(): Promise<Held | null> {
    if (this.skipped.size === 0 && this.broken.size === 0) {
      const got = await api.next(this.flow || undefined);
      return got.task === null ? null : (got as Held);
    }
    const { tasks } = await api.tasks();
    const open = tasks.filter((task) => (!this.flow || task.flow === this.flow) && !this.broken.has(task.id));
    const fresh = open.filter((task) => !this.skipped.has(task.id));
    if (fresh.length === 0) this.skipped.clear();
    for (const task of fresh.length ? fresh : open) {
      try {
        return await api.take(task.id);
      } catch (error) {
        // Somebody was faster: the next one.
        if (!(error instanceof Refusal) || !['conflict', 'gone', 'not_found'].includes(error.code)) throw error;
      }
    }
    return null;
  }

  private async prefetch(): Promise<void> {
    if (this.prefetching || this.prefetchRests || this.seats.length !== 1 || document.hidden) return;
    if (this.mode !== 'working') return;
    this.prefetching = true;
    const generation = this.generation;
    let held: Held | null = null;
    try {
      held = await this.pick();
    } catch {
      // Only the head start is lost: the task is fetched when it is needed.
    }
    this.prefetching = false;
    if (!held) return;
    const seat = seatOf(held);
    if (generation !== this.generation || this.seats.length > 1) {
      this.giveBack(seat);
    } else if (this.seats.some((other) => other.task.id === seat.task.id)) {
      return; // the only open one is the one that we have
    } else {
      this.seats = [...this.seats, seat];
      if (this.mode === 'working' && this.seats.length > 1) this.changed();
      else this.sit(seat); // the current one was finished meanwhile
    }
  }

  private giveBack(seat: Seat, keepalive = false): void {
    if (seat.lost || this.outbox.has(seat.task.id)) return;
    api.release(seat.task.id, seat.lease, keepalive).catch(() => {}); // the lease runs out by itself
  }

  private async heartbeat(): Promise<void> {
    this.restPrefetch();
    await Promise.all(this.seats.map((seat) => this.keep(seat)));
  }

  /** Give the prefetched task back when it is held for nothing. */
  private restPrefetch(): void {
    const seat = this.mode === 'working' ? this.seats[1] : undefined;
    if (!seat) return;
    const hidden = this.hiddenSince > 0 && Date.now() - this.hiddenSince > PREFETCH_HIDDEN_MS;
    const limit = Math.min(PREFETCH_AGE_MS, (seat.task.time_limit_s * 1000) / 2);
    if (!hidden && Date.now() - seat.accepted < limit) return;
    this.prefetchRests = !hidden;
    this.seats = [this.seats[0]!];
    this.giveBack(seat);
    this.changed();
  }

  private async keep(seat: Seat): Promise<void> {
    if (seat.lost) return;
    try {
      await api.heartbeat(seat.task.id, seat.lease);
    } catch (error) {
      if (!(error instanceof Refusal) || error.passes || error.code === 'unauthenticated') return;
      await this.takeAgain(seat);
    }
  }

  /** The lease ran out: perhaps nobody else has taken the task yet. */
  private async takeAgain(seat: Seat): Promise<void> {
    const left = seat.task.time_limit_s * 1000 - (Date.now() - seat.accepted);
    try {
      if (left <= 0) throw new Refusal('gone', 'the time for this task is up', 410);
      const held = await api.take(seat.task.id);
      seat.lease = held.lease;
    } catch (error) {
      if (error instanceof Refusal && (error.passes || error.code === 'unauthenticated')) return;
      if (this.seats[0] === seat && this.mode === 'working') {
        seat.lost = error instanceof Error ? error.message : String(error);
      } else {
        this.seats = this.seats.filter((other) => other !== seat);
      }
      this.changed();
    }
  }
}
