/* The frame of every page: who is signed in, where we are, what is being saved. */
import { InvitePage } from './invite_page';
import { LoginForm, LoginPage } from './login_page';
import { PeoplePage } from './people_page';
import { QueuePage } from './queue_page';
import { TaskPage } from './task_page';
import { Logo, SaveState, Troubles } from './parts';
import { useWatch } from './emitter';
import { router } from './router';
import { session } from './session';

function link(path: string) {
  return {
    href: path,
    'aria-current': router.path === path ? ('page' as const) : undefined,
    onClick: (event: MouseEvent) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      router.go(path);
    },
  };
}

function Header() {
  return (
    <header class="bar">
      <a class="brand" aria-label="hone: tasks" {...link('/portal')}>
        <Logo /> hone
      </a>
      {session.manages && (
        <nav aria-label="Pages">
          <a {...link('/portal')}>Tasks</a>
          <a {...link('/portal/people')}>People</a>
        </nav>
      )}
      <span class="grow" />
      <SaveState />
      <span class="who" title={session.me?.email}>
        {session.me?.name}
      </span>
      <button class="quiet" onClick={() => void session.leave()}>
        Sign out
      </button>
    </header>
  );
}

/** A page with the header; what is wrong stands above it. */
function Room(props: { children: preact.ComponentChildren }) {
  return (
    <>
      <Header />
      <Troubles />
      <main>{props.children}</main>
    </>
  );
}

function Expired() {
  return (
    <div class="veil" role="dialog" aria-modal="true" aria-labelledby="expired-title">
      <div class="card narrow">
        <h1 id="expired-title">Please sign in again</h1>
        <p class="mute">Your session has ended. Nothing is lost: your work goes on where it was.</p>
        <LoginForm name={session.me?.name} />
      </div>
    </div>
  );
}

function Inside() {
  const { path } = router;
  const task = /^\/portal\/tasks(?:\/(\d+))?\/?$/.exec(path);
  if (task) return <TaskPage first={task[1] ? Number(task[1]) : null} />;
  if (path === '/portal/people' && session.manages) {
    return (
      <Room>
        <PeoplePage />
      </Room>
    );
  }
  return (
    <Room>
      <QueuePage />
    </Room>
  );
}

export function App() {
  useWatch(session, router);
  const invitation = /^\/invite\/([^/]+)\/?$/.exec(router.path);
  if (invitation) return <InvitePage token={decodeURIComponent(invitation[1]!)} />;
  switch (session.state) {
    case 'loading':
      return null;
    case 'unreachable':
      return (
        <main class="middle">
          <div class="card narrow">
            <h1>The server cannot be reached</h1>
            <p class="mute">Check that hone is running, then try again.</p>
            <button class="primary" onClick={() => void session.begin()}>
              Try again
            </button>
          </div>
        </main>
      );
    case 'out':
      return <LoginPage />;
    case 'in':
    case 'expired':
      return (
        <>
          <Inside />
          {session.state === 'expired' && <Expired />}
        </>
      );
  }
}
