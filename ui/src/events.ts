/* The event stream: tells that something about tasks has changed, and whether we are connected.
 *
 * The browser reconnects by itself after a broken connection, but gives up when it is answered with
 * an error (a server that is just starting, a session that has ended): then we try again. */
import { Emitter } from './emitter';

/** What the journal says about tasks; docs/journal.md. */
const KINDS = ['created', 'accepted', 'leased', 'released', 'expired', 'declined', 'answered', 'closed', 'stopped'];

export class Events extends Emitter {
  private source: EventSource | null = null;
  private timer = 0;
  private waitMs = 500;
  private last = '';
  connected = false;

  constructor(private onTask: () => void) {
    super();
  }

  open(): void {
    if (this.source) return;
    const source = new EventSource('/hone/events' + (this.last ? `?after=${encodeURIComponent(this.last)}` : ''));
    this.source = source;
    source.onopen = () => {
      this.waitMs = 500;
      this.set(true);
      this.onTask(); // what happened while we were not connected
    };
    source.onerror = () => {
      this.set(false);
      if (source.readyState !== EventSource.CLOSED) return;
      this.source = null;
      this.timer = window.setTimeout(() => this.open(), this.waitMs);
      this.waitMs = Math.min(this.waitMs * 2, 15_000);
    };
    for (const kind of KINDS) {
      source.addEventListener(`task.${kind}`, (event) => {
        this.last = event.lastEventId || this.last;
        this.onTask();
      });
    }
  }

  close(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
    this.set(false);
  }

  private set(connected: boolean): void {
    if (this.connected === connected) return;
    this.connected = connected;
    this.changed();
  }
}
