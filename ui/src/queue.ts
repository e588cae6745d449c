/* What is open for this reviewer, kept up to date by the event stream. */
import { Emitter } from './emitter';
import { api, Refusal, type Task } from './api';

const SAFETY_NET_MS = 30_000; // should the stream be cut off without anybody noticing

export class Queue extends Emitter {
  tasks: Task[] = [];
  leased: Task[] = [];
  loaded = false;
  trouble = '';
  private busy = false;
  private again = false;
  private timer = 0;

  start(): void {
    clearInterval(this.timer);
    this.timer = window.setInterval(() => this.refresh(), SAFETY_NET_MS);
    this.refresh();
  }

  stop(): void {
    clearInterval(this.timer);
    this.tasks = [];
    this.leased = [];
    this.loaded = false;
  }

  /** Fetch the list; calls that come in meanwhile are one more fetch. */
  refresh(): void {
    if (this.busy) {
      this.again = true;
      return;
    }
    void this.fetch();
  }

  get flows(): string[] {
    return [...new Set([...this.tasks, ...this.leased].map((task) => task.flow))].sort();
  }

  private async fetch(): Promise<void> {
    this.busy = true;
    try {
      const { tasks, leased } = await api.tasks();
      this.tasks = tasks;
      this.leased = leased;
      this.loaded = true;
      this.trouble = '';
    } catch (error) {
      this.trouble = error instanceof Refusal ? error.message : String(error);
    }
    this.busy = false;
    this.changed();
    if (!this.again) return;
    this.again = false;
    this.refresh();
  }
}
