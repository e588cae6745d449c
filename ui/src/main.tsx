import { render } from 'preact';
import { App } from './app';
import { desk, outbox, session } from './session';
import './style.css';

addEventListener('beforeunload', (event) => {
  if (outbox.waiting.length > 0) event.preventDefault(); // the browser asks whether to leave
});
addEventListener('pagehide', () => desk.close(true));
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload(); // out of the back-forward cache: its leases are gone
});
addEventListener('online', () => outbox.retry());
document.addEventListener('visibilitychange', () => desk.visible(!document.hidden));

render(<App />, document.getElementById('app')!);
void session.begin();
