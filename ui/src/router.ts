/* Where we are: the path of the address. */
import { Emitter } from './emitter';

class Router extends Emitter {
  path = location.pathname;

  constructor() {
    super();
    addEventListener('popstate', () => this.set());
  }

  go(path: string): void {
    if (path === location.pathname) return;
    history.pushState(null, '', path);
    this.set();
  }

  /** The same place by another name: no new entry in the history. */
  rename(path: string): void {
    if (path !== location.pathname) history.replaceState(null, '', path);
    this.path = path;
  }

  replace(path: string): void {
    history.replaceState(null, '', path);
    this.set();
  }

  private set(): void {
    this.path = location.pathname;
    this.changed();
  }
}

export const router = new Router();
