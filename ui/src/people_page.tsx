/* Who reviews: invite somebody, see the teams, put people in. For engineers. */
import { useEffect, useState } from 'preact/hooks';
import { Ago, Field, useAction, values } from './parts';
import { api } from './api';
import { session } from './session';

type User = Awaited<ReturnType<typeof api.users>>['users'][number];

interface Workteam {
  WorkteamName: string;
}

async function allTeams(): Promise<string[]> {
  const names: string[] = [];
  let token: string | undefined;
  do {
    const page: { Workteams?: Workteam[]; NextToken?: string } = await api.sagemaker('ListWorkteams', {
      MaxResults: 100,
      ...(token ? { NextToken: token } : {}),
    });
    names.push(...(page.Workteams ?? []).map((team) => team.WorkteamName));
    token = page.NextToken;
  } while (token);
  return names.sort();
}

function Invite(props: { teams: string[] }) {
  const [made, setMade] = useState<{ email: string; link: string; mailed: boolean } | null>(null);
  const [copied, setCopied] = useState(false);
  const invite = useAction(async (form: HTMLFormElement) => {
    const { email = '', team = '' } = values(form);
    const answer = await api.invite(email, team);
    setMade({ email, ...answer });
    setCopied(false);
    form.reset();
  });
  return (
    <section class="card" aria-labelledby="invite-title">
      <h2 id="invite-title">Invite a reviewer</h2>
      <form
        class="line"
        onSubmit={(event) => {
          event.preventDefault();
          void invite.run(event.currentTarget);
        }}
      >
        <Field label="E-mail" name="email" type="email" autocomplete="off" />
        <div class="field">
          <label for="invite-team">Team</label>
          {/* anew when the teams are known: the first of them is chosen then, not "none yet" */}
          <select id="invite-team" name="team" key={props.teams.join()}>
            {props.teams.map((team) => (
              <option key={team}>{team}</option>
            ))}
            <option value="">none yet</option>
          </select>
        </div>
        <button class="primary" disabled={invite.busy}>
          Invite
        </button>
      </form>
      <p class="error" role="alert">
        {invite.error}
      </p>
      {made && (
        <div class="made" role="status">
          <p>
            {made.mailed ? `The invitation was mailed to ${made.email}; ` : `Send this link to ${made.email}; `}
            it works once:
          </p>
          <div class="line">
            <input class="grow" readOnly value={made.link} aria-label="Invitation link" data-testid="invitation" />
            <button
              onClick={async () => {
                await navigator.clipboard.writeText(made.link);
                setCopied(true);
              }}
            >
              {copied ? 'Copied' : 'Copy'}
            </button>
          </div>
        </div>
      )}
    </section>
  );
}

function UserRow(props: { user: User; teams: string[]; reload: () => void }) {
  const { user, teams } = props;
  const act = useAction(async (what: () => Promise<unknown>) => {
    await what();
    props.reload();
  });
  const others = teams.filter((team) => !user.teams.includes(team));
  return (
    <tr class={user.disabled ? 'mute' : ''}>
      <th scope="row">
        {user.name}
        <small class="mute">{user.email}</small>
      </th>
      <td>{user.role}</td>
      <td>
        {user.teams.map((team) => (
          <button
            key={team}
            class="chip"
            aria-label={`Take ${user.name} out of ${team}`}
            onClick={() => void act.run(() => api.setMember(team, user.name, false))}
          >
            {team} ×
          </button>
        ))}
        {others.length > 0 && (
          <select
            aria-label={`Put ${user.name} into a team`}
            value=""
            onChange={(event) => {
              const team = event.currentTarget.value;
              event.currentTarget.value = '';
              if (team) void act.run(() => api.setMember(team, user.name, true));
            }}
          >
            <option value="">+ team</option>
            {others.map((team) => (
              <option key={team}>{team}</option>
            ))}
          </select>
        )}
        {act.error && <small class="error">{act.error}</small>}
      </td>
      <td class="mute">{user.seen ? <Ago ms={user.seen} /> : 'never'}</td>
      <td>
        {session.me?.role === 'admin' && user.name !== session.me.name && (
          <button onClick={() => void act.run(() => api.setDisabled(user.name, !user.disabled))}>
            {user.disabled ? 'Enable' : 'Disable'}
          </button>
        )}
      </td>
    </tr>
  );
}

export function PeoplePage() {
  const [users, setUsers] = useState<User[]>([]);
  const [teams, setTeams] = useState<string[]>([]);
  const load = useAction(async () => {
    const [found, names] = await Promise.all([api.users(), allTeams()]);
    setUsers(found.users);
    setTeams(names);
  });
  useEffect(() => {
    document.title = 'People · hone';
    void load.run();
  }, []);
  return (
    <section class="people">
      <div class="heading">
        <h1>People</h1>
      </div>
      <p class="error" role="alert">
        {load.error}
      </p>
      <Invite teams={teams} />
      <section class="card" aria-labelledby="users-title">
        <h2 id="users-title">Accounts</h2>
        <div class="scroll">
          <table class="grid">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Role</th>
                <th scope="col">Teams</th>
                <th scope="col">Seen</th>
                <th scope="col">
                  <span class="sr">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {users.map((user) => (
                <UserRow key={user.name} user={user} teams={teams} reload={() => void load.run()} />
              ))}
            </tbody>
          </table>
        </div>
      </section>
    </section>
  );
}
