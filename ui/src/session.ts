/* Who is signed in, and what lives as long as that: queue, events, outbox, desk. */
import { Emitter } from './emitter';
import { api, Refusal, whenSignedOut, type Me } from './api';
import { Desk } from './desk';
import { Events } from './events';
import { Outbox } from './outbox';
import { Queue } from './queue';

type State = 'loading' | 'out' | 'in' | 'expired' | 'unreachable';

class Session extends Emitter {
  state: State = 'loading';
  me: Me | null = null;

  async begin(): Promise<void> {
    try {
      this.enter(await api.me());
    } catch (error) {
      const offline = error instanceof Refusal && error.passes;
      this.set(offline ? 'unreachable' : 'out');
    }
  }

  enter(me: Me): void {
    const other = this.me !== null && this.me.worker !== me.worker;
    this.me = me;
    if (other) {
      location.assign('/portal'); // somebody else: nothing of the page stays
      return;
    }
    this.set('in');
    outbox.open(me.worker);
    events.open();
    queue.start();
  }

  /** The server no longer knows us: what is on screen stays, and a login goes on with it. */
  expired(): void {
    if (this.state !== 'in') return;
    events.close();
    this.set('expired');
  }

  async leave(): Promise<void> {
    desk.close();
    await api.logout().catch(() => {});
    events.close();
    queue.stop();
    outbox.close();
    this.me = null;
    this.set('out');
  }

  get manages(): boolean {
    return this.me !== null && this.me.role !== 'reviewer';
  }

  private set(state: State): void {
    this.state = state;
    this.changed();
  }
}

export const session = new Session();
export const queue = new Queue();
export const outbox = new Outbox(localStorage);
export const desk = new Desk(outbox);
export const events = new Events(() => {
  queue.refresh();
  desk.offer();
});

whenSignedOut(() => session.expired());
