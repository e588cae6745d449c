import { useEffect, useState } from 'preact/hooks';
import { Field, Logo, useAction, values } from './parts';
import { api, Refusal } from './api';
import { router } from './router';
import { session } from './session';

type Invitation = Awaited<ReturnType<typeof api.invitation>>;

const PASSWORD_MIN = 8;

export function InvitePage(props: { token: string }) {
  const [invitation, setInvitation] = useState<Invitation | null>(null);
  const [trouble, setTrouble] = useState('');
  useEffect(() => {
    document.title = 'Invitation · hone';
    api.invitation(props.token).then(setInvitation, (error: Refusal) => setTrouble(error.message));
  }, [props.token]);
  const accept = useAction(async (form: HTMLFormElement) => {
    const { name = '', password = '', again = '' } = values(form);
    if (password !== again) throw new Error('the two passwords differ');
    const me = await api.accept(props.token, name, password);
    router.replace('/portal');
    session.enter(me);
  });
  return (
    <main class="middle">
      <div class="card narrow">
        <div class="brand big">
          <Logo /> hone
        </div>
        {trouble && (
          <>
            <h1>This invitation cannot be used</h1>
            <p class="error" role="alert">
              {trouble}
            </p>
            <p class="mute">Ask for a new link, or sign in if you have an account already.</p>
            <a class="button wide" href="/portal">
              Sign in
            </a>
          </>
        )}
        {invitation && (
          <>
            <h1>Welcome</h1>
            <p class="mute">
              You are invited as {invitation.role}
              {invitation.team ? (
                <>
                  {' '}
                  of the team <b>{invitation.team}</b>
                </>
              ) : null}
              . Choose a name and a password for <b>{invitation.email}</b>.
            </p>
            <form
              onSubmit={(event) => {
                event.preventDefault();
                void accept.run(event.currentTarget);
              }}
            >
              <Field
                label="Name"
                name="name"
                autocomplete="username"
                value={invitation.email.split('@')[0]!.toLowerCase().replace(/[^a-z0-9-]+/g, '-')}
                focus
              />
              <Field
                label="Password"
                name="password"
                type="password"
                autocomplete="new-password"
                minLength={PASSWORD_MIN}
                hint={`at least ${PASSWORD_MIN} characters`}
              />
              <Field label="Password again" name="again" type="password" autocomplete="new-password" />
              <p class="error" role="alert">
                {accept.error}
              </p>
              <button class="primary wide" disabled={accept.busy}>
                {accept.busy ? 'Making your account…' : 'Accept the invitation'}
              </button>
            </form>
          </>
        )}
      </div>
    </main>
  );
}
