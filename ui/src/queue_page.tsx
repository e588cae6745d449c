/* The list of what may be reviewed. It is there to be watched; the work itself is one key away. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { Ago } from './parts';
import { desk, events, queue, session } from './session';
import type { Task } from './api';
import { router } from './router';
import { useWatch } from './emitter';

function Live() {
  useWatch(events);
  return (
    <span class={`live ${events.connected ? 'good' : 'busy'}`} role="status">
      {events.connected ? 'live' : 'connecting…'}
    </span>
  );
}

function Row(props: { task: Task; held: boolean }) {
  const { task, held } = props;
  const path = `/portal/tasks/${task.id}`;
  return (
    <li>
      <a
        class="row"
        href={path}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          router.go(path);
        }}
      >
        <span class="title">
          {task.title}
          {task.description && <small class="mute">{task.description}</small>}
        </span>
        <span class="flow">{task.flow}</span>
        <span class="mute when">
          <Ago ms={task.created} />
        </span>
        <span class={`state ${held ? 'held' : ''}`}>{held ? 'Yours' : 'Available'}</span>
      </a>
    </li>
  );
}

function Empty(props: { flow: string }) {
  return (
    <div class="empty">
      <svg viewBox="0 0 48 48" aria-hidden="true">
        <circle cx="24" cy="24" r="20" />
        <path d="M15 24.500l6.500 6.500L33.500 18" />
      </svg>
      <h2>Nothing to review{props.flow ? ` in ${props.flow}` : ''}</h2>
      <p class="mute">
        {session.me?.teams.length === 0 && !session.manages
          ? 'You are in no team yet: whoever invited you can add you to one.'
          : 'New tasks appear here by themselves.'}
      </p>
    </div>
  );
}

export function QueuePage() {
  useWatch(queue);
  const [flow, setFlow] = useState(desk.flow);
  const start = useRef<HTMLButtonElement>(null);
  const chosen = (task: Task) => !flow || task.flow === flow;
  const held = queue.leased.filter(chosen);
  const open = queue.tasks.filter(chosen);
  const count = held.length + open.length;

  useEffect(() => {
    document.title = count ? `(${count}) Tasks · hone` : 'Tasks · hone';
    if (count && document.activeElement === document.body) start.current?.focus();
  }, [count]);
  const begin = () => {
    desk.flow = flow;
    router.go('/portal/tasks');
  };
  return (
    <section class="queue" aria-labelledby="queue-title">
      <div class="heading">
        <h1 id="queue-title">
          Tasks <span class="count">{queue.loaded ? count : ''}</span>
        </h1>
        <Live />
        <span class="grow" />
        {queue.flows.length > 1 || flow ? (
          <label class="filter">
            <span class="mute">Flow</span>
            <select value={flow} onChange={(event) => setFlow(event.currentTarget.value)}>
              <option value="">all</option>
              {[...new Set([...queue.flows, ...(flow ? [flow] : [])])].map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        ) : null}
        {count > 0 && (
          <button ref={start} class="primary" onClick={begin}>
            Start reviewing <kbd>Enter</kbd>
          </button>
        )}
      </div>
      {queue.trouble && (
        <p class="trouble" role="alert">
          <span>The list may be out of date: {queue.trouble}.</span>
        </p>
      )}
      <p class="sr" aria-live="polite">
        {queue.loaded ? (count === 1 ? '1 task is open' : `${count} tasks are open`) : ''}
      </p>
      {count > 0 && (
        <ul class="list" data-testid="queue">
          {held.map((task) => (
            <Row key={task.id} task={task} held />
          ))}
          {open.map((task) => (
            <Row key={task.id} task={task} held={false} />
          ))}
        </ul>
      )}
      {queue.loaded && count === 0 && <Empty flow={flow} />}
    </section>
  );
}
