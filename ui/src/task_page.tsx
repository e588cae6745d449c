/* A task on screen: its frame, the clock, the keys.
 *
 * The frame is an origin of its own and may be hostile: what it says is believed only when the
 * message comes from the window of a frame that is ours, and an answer only from the one that is on
 * screen. It can therefore answer its own task, and nothing else. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Dialog, Logo, SaveState, Troubles } from './parts';
import { desk, queue, session } from './session';
import type { Choice, Seat } from './desk';
import { router } from './router';
import { useWatch } from './emitter';

const SILENT_MS = 8_000; // a frame that has said nothing for so long is broken

const windows = new Map<Window, Seat>();

function clean(choices: unknown): Choice[] {
  if (!Array.isArray(choices)) return [];
  return choices
    .slice(0, 40)
    .map((choice) => ({ key: String(choice?.key ?? '').slice(0, 8), label: String(choice?.label ?? '').slice(0, 200) }))
    .filter((choice) => choice.label !== '');
}

/** Act on a message of a frame. */
function heard(event: MessageEvent, onKey: (key: string) => void): void {
  const seat = windows.get(event.source as Window);
  const data = event.data;
  if (!seat || typeof data !== 'object' || data === null) return;
  if (data.hone === 'ready') {
    desk.isReady(seat, clean(data.choices), data.instructions === true);
    return;
  }
  if (seat !== desk.current || session.state !== 'in') return;
  if (data.hone === 'key') onKey(String(data.key).slice(0, 20));
  if (data.hone === 'answer' && typeof data.answer === 'object' && data.answer !== null) desk.submit(data.answer);
}

function TaskFrame(props: { seat: Seat; place: 'current' | 'ahead' | 'gone' }) {
  const { seat, place } = props;
  const current = place === 'current';
  const ref = useRef<HTMLIFrameElement>(null);
  const [loaded, setLoaded] = useState(false); // a page without our elements is a page, too
  // Before the paint: the keys belong to the task from the moment that it is seen.
  useLayoutEffect(() => {
    const view = ref.current!.contentWindow!;
    windows.set(view, seat);
    return () => void windows.delete(view);
  }, [seat]);
  useLayoutEffect(() => {
    if (current) focusFrame(ref.current);
  }, [current, seat.ready]);
  useEffect(() => {
    if (seat.ready || loaded || place === 'gone') return;
    const timer = setTimeout(() => desk.isSilent(seat), SILENT_MS);
    return () => clearTimeout(timer);
  }, [place, seat.ready, loaded]);
  return (
    <>
      <iframe
        ref={ref}
        class={place}
        data-task={seat.task.id}
        data-ready={seat.ready}
        title={current ? `Task ${seat.task.id}: ${seat.task.title}` : 'The next task, being prepared'}
        sandbox="allow-scripts"
        allow=""
        referrerpolicy="no-referrer"
        src={seat.frame}
        onLoad={() => setLoaded(true)}
        tabIndex={current ? 0 : -1}
        aria-hidden={!current}
        inert={!current}
      />
      {current && seat.silent && (
        <p class="trouble over" role="alert">
          <span>This task’s page does not answer. Its template may be broken; you can skip it.</span>
          <button onClick={() => desk.skip()}>Skip</button>
        </p>
      )}
    </>
  );
}

function currentFrame(): HTMLIFrameElement | null {
  return document.querySelector<HTMLIFrameElement>('iframe.current');
}

function tell(message: { hone: string; key?: string }): void {
  // '*': an opaque origin has no name; the message holds nothing secret
  currentFrame()?.contentWindow?.postMessage(message, '*');
}

function focusFrame(frame: HTMLIFrameElement | null): void {
  if (document.querySelector('dialog[open], .veil')) return;
  frame?.focus();
  frame?.contentWindow?.postMessage({ hone: 'focus' }, '*');
}

function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** How long one has held the task, of how long one may. */
function Timer(props: { seat: Seat }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  const spent = (Date.now() - props.seat.accepted) / 1000;
  const limit = props.seat.task.time_limit_s;
  const left = limit - spent;
  return (
    <span class={`timer ${left < 60 ? 'bad' : ''}`} role="timer" aria-label="Task time">
      {clock(Math.min(spent, limit))} <span class="mute">of {Math.round(limit / 6) / 10} min</span>
    </span>
  );
}

function Shortcuts(props: { seat: Seat | null; onClose: () => void }) {
  const rows: [string, string][] = [
    ...(props.seat?.choices ?? []).map((choice): [string, string] => [choice.key, choice.label]),
    ['Enter', 'submit, and on to the next task'],
    ['i', 'instructions'],
    ['s', 'skip: somebody else may take it, you get it again later'],
    ['d', 'decline: never show it to me again'],
    ['q', 'back to the list'],
    ['?', 'this overview'],
    ['Esc', 'close'],
  ];
  return (
    <Dialog title="Keys" onClose={props.onClose}>
      <table class="keys">
        <tbody>
          {rows.map(([key, what]) => (
            <tr key={key + what}>
              <th scope="row">
                <kbd>{key}</kbd>
              </th>
              <td>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <form method="dialog">
        <button class="primary">Close</button>
      </form>
    </Dialog>
  );
}

function DeclineDialog(props: { onClose: () => void }) {
  return (
    <Dialog title="Decline this task?" onClose={props.onClose}>
      <p class="mute">It will not be offered to you again. To put it off, skip it instead.</p>
      <form method="dialog" class="buttons">
        <button onClick={() => void desk.decline()} class="primary">
          Decline
        </button>
        <button>Keep it</button>
      </form>
    </Dialog>
  );
}

type Overlay = '' | 'keys' | 'decline';

function TaskBar(props: { seat: Seat | null; setOverlay: (overlay: Overlay) => void }) {
  const { seat, setOverlay } = props;
  return (
    <header class="bar task-bar">
      <button class="quiet back" onClick={() => router.go('/portal')} title="Back to the list (q)">
        <Logo />
        <span class="sr">Back to the list</span>
      </button>
      <div class="what">
        <h1>{seat ? seat.task.title : 'Tasks'}</h1>
        {seat && (
          <p class="mute" title={seat.task.description}>
            {seat.task.description}
          </p>
        )}
      </div>
      <SaveState />
      {seat && <Timer key={seat.task.id} seat={seat} />}
      {seat && (
        <div class="tools" role="toolbar" aria-label="Task">
          {seat.instructions && (
            <button onClick={() => tell({ hone: 'instructions' })}>
              Instructions <kbd>i</kbd>
            </button>
          )}
          <button onClick={() => desk.skip()}>
            Skip <kbd>s</kbd>
          </button>
          <button onClick={() => setOverlay('decline')}>
            Decline <kbd>d</kbd>
          </button>
          <button onClick={() => setOverlay('keys')} aria-label="Keys" title="Keys (?)">
            <kbd>?</kbd>
          </button>
        </div>
      )}
    </header>
  );
}

/** What stands in the place of the frame when there is no task in it. */
function Instead(props: { seat: Seat | null }) {
  const { seat } = props;
  if (seat?.lost) {
    return (
      <div class="empty over" role="alert">
        <h2>This task is no longer yours</h2>
        <p class="mute">{seat.lost}</p>
        <button class="primary" onClick={() => desk.moveOn()}>
          Go on with the next
        </button>
      </div>
    );
  }
  switch (desk.mode) {
    case 'empty':
      return (
        <div class="empty" role="status">
          <svg viewBox="0 0 48 48" aria-hidden="true">
            <circle cx="24" cy="24" r="20" />
            <path d="M15 24.500l6.500 6.500L33.500 18" />
          </svg>
          <h2>All done</h2>
          <p class="mute">The next task opens here by itself.</p>
          <button onClick={() => router.go('/portal')}>Back to the list</button>
        </div>
      );
    case 'trouble':
      return (
        <div class="empty" role="alert">
          <h2>The task cannot be opened</h2>
          <p class="mute">{desk.trouble}</p>
          <div class="buttons">
            <button class="primary" onClick={() => void desk.open(null, desk.flow)}>
              Open another
            </button>
            <button onClick={() => router.go('/portal')}>Back to the list</button>
          </div>
        </div>
      );
    default:
      return null;
  }
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches('input, textarea, select, [contenteditable]');
}

export function TaskPage(props: { first: number | null }) {
  useWatch(desk);
  const [overlay, setOverlay] = useState<Overlay>('');
  const seat = desk.current;
  const onKey = useRef<(key: string) => void>(() => {});
  onKey.current = (key) => {
    const acts: Record<string, () => void> = {
      '?': () => setOverlay('keys'),
      i: () => tell({ hone: 'instructions' }),
      s: () => desk.skip(),
      d: () => seat && setOverlay('decline'),
      q: () => router.go('/portal'),
      Enter: () => tell({ hone: 'submit' }),
    };
    if (acts[key]) acts[key]();
    else if (/^[0-9a-z]$/i.test(key)) tell({ hone: 'choose', key });
  };

  useEffect(() => {
    const onMessage = (event: MessageEvent) => heard(event, (key) => onKey.current(key));
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (isTyping(event.target) || document.querySelector('dialog[open], .veil')) return;
      if (event.key === 'Enter' && event.target instanceof HTMLElement && event.target.matches('button, a')) return;
      onKey.current(event.key);
    };
    addEventListener('message', onMessage);
    addEventListener('keydown', onKeyDown);
    void desk.open(props.first, desk.flow);
    return () => {
      removeEventListener('message', onMessage);
      removeEventListener('keydown', onKeyDown);
      desk.close();
      queue.refresh();
    };
  }, []);

  useEffect(() => {
    document.title = seat ? `${seat.task.title} · hone` : 'Tasks · hone';
    router.rename(seat ? `/portal/tasks/${seat.task.id}` : '/portal/tasks');
  }, [seat]);

  return (
    <div class="desk">
      <TaskBar seat={seat} setOverlay={setOverlay} />
      <Troubles />
      <p class="sr" role="status">
        {seat ? `Task ${seat.task.id}: ${seat.task.title}` : ''}
      </p>
      <div class="stage" data-testid="stage" data-current={seat?.task.id ?? ''}>
        {[...desk.leaving, ...desk.seats].map((one) => (
          <TaskFrame key={one.serial} seat={one} place={one === seat ? 'current' : desk.leaving.includes(one) ? 'gone' : 'ahead'} />
        ))}
        <Instead seat={seat} />
      </div>
      <footer class="mute">Treat the data in this task as confidential.</footer>
      {overlay === 'keys' && <Shortcuts seat={seat} onClose={() => setOverlay('')} />}
      {overlay === 'decline' && <DeclineDialog onClose={() => setOverlay('')} />}
    </div>
  );
}
