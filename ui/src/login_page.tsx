import { Field, Logo, useAction, values } from './parts';
import { api } from './api';
import { session } from './session';
import { router } from './router';

export function LoginForm(props: { name?: string }) {
  const login = useAction(async (form: HTMLFormElement) => {
    const { name = '', password = '' } = values(form);
    session.enter(await api.login(name, password));
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void login.run(event.currentTarget);
      }}
    >
      <Field label="Name or e-mail" name="name" autocomplete="username" value={props.name} focus={!props.name} />
      <Field label="Password" name="password" type="password" autocomplete="current-password" focus={!!props.name} />
      <p class="error" role="alert">
        {login.error}
      </p>
      <button class="primary wide" disabled={login.busy}>
        {login.busy ? 'Signing in…' : 'Sign in'}
      </button>
    </form>
  );
}

export function LoginPage() {
  if (router.path === '/' || router.path === '/login') router.rename('/portal');
  document.title = 'Sign in · hone';
  return (
    <main class="middle">
      <div class="card narrow">
        <div class="brand big">
          <Logo /> hone
        </div>
        <h1>Sign in to review</h1>
        <LoginForm />
        <p class="mute small">No account yet? Ask for an invitation: it comes as a link.</p>
      </div>
    </main>
  );
}
