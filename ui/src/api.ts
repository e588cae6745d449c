/* hone's own calls (docs/api.md), as a page makes them: session cookie and CSRF token. */

export interface Me {
  name: string;
  email: string;
  role: 'reviewer' | 'engineer' | 'admin';
  worker: string;
  csrf: string;
  teams: string[];
}

export interface Task {
  id: number;
  loop: string;
  flow: string;
  team: string;
  title: string;
  description: string;
  state: string;
  created: number;
  accepted?: number | null;
  lease_until?: number | null;
  time_limit_s: number;
  expires?: number | null;
}

/** A task that this reviewer holds. */
export interface Held {
  task: Task;
  lease: string;
  frame: string;
}

/** What the server said no with; code 'offline' is ours: it could not be reached. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
  ) {
    super(message);
  }

  /** The same call may work later. */
  get passes(): boolean {
    return ['offline', 'unavailable', 'internal', 'too_many'].includes(this.code);
  }
}

let csrf = '';
let worker = '';
let onSignedOut: () => void = () => {};

/** Called whenever a call finds that the session has ended. */
export function whenSignedOut(act: () => void): void {
  onSignedOut = act;
}

async function refusal(reply: Response): Promise<Refusal> {
  let code = reply.status >= 500 ? 'internal' : 'invalid';
  let message = `the server answered ${reply.status}`;
  try {
    const body = await reply.json();
    code = body?.error?.code ?? code;
    message = body?.error?.message ?? body?.message ?? message;
  } catch {
    // not hone's own answer, a proxy's perhaps: the status says enough
  }
  return new Refusal(code, message, reply.status);
}

export interface CallOptions {
  headers?: Record<string, string>;
  /** Finish also when the page goes away. */
  keepalive?: boolean;
  /** A 401 is an answer, not the end of the session. */
  anonymous?: boolean;
  timeoutMs?: number;
}

export async function call<T>(
  method: string,
  path: string,
  body?: unknown,
  options: CallOptions = {},
): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json', ...options.headers };
  const token = csrf;
  if (method !== 'GET') {
    headers['X-Hone-CSRF'] = token;
    headers['Content-Type'] ??= 'application/json';
  }
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), options.timeoutMs ?? 20_000);
  let reply: Response;
  try {
    reply = await fetch(path, {
      method,
      headers,
      body: method === 'GET' ? undefined : JSON.stringify(body ?? {}),
      credentials: 'same-origin',
      cache: 'no-store',
      keepalive: options.keepalive,
      signal: stop.signal,
    });
  } catch {
    throw new Refusal('offline', 'the server cannot be reached', 0);
  } finally {
    clearTimeout(timer);
  }
  if (!reply.ok) {
    const error = await refusal(reply);
    if (options.anonymous) throw error;
    if (error.code === 'forbidden' && method !== 'GET' && (await renewed(token))) return call(method, path, body, options);
    if (error.code === 'unauthenticated') onSignedOut();
    throw error;
  }
  return (await reply.json()) as T;
}

/** Was it only our token that is old, because there was a login in another tab? By somebody else,
 * then we are signed out. */
async function renewed(refused: string): Promise<boolean> {
  const me = await call<Me>('GET', '/hone/me', undefined, anonymous).catch(() => null);
  if (!me || me.csrf === refused) return false;
  if (me.worker !== worker) {
    onSignedOut();
    throw new Refusal('unauthenticated', `this browser is now signed in as ${me.name}`, 401);
  }
  csrf = me.csrf;
  return true;
}

function signedIn(me: Me): Me {
  csrf = me.csrf;
  worker = me.worker;
  return me;
}

const anonymous = { anonymous: true };

export const api = {
  me: async () => signedIn(await call<Me>('GET', '/hone/me', undefined, anonymous)),
  login: async (name: string, password: string) =>
    signedIn(await call<Me>('POST', '/hone/login', { name, password }, anonymous)),
  logout: () => call('POST', '/hone/logout', {}, { keepalive: true }),
  invitation: (token: string) =>
    call<{ email: string; team?: string | null; role: string; expires: number }>(
      'GET',
      `/hone/invitations/${encodeURIComponent(token)}`,
      undefined,
      anonymous,
    ),
  accept: async (token: string, name: string, password: string) =>
    signedIn(
      await call<Me>('POST', `/hone/invitations/${encodeURIComponent(token)}`, { name, password }, anonymous),
    ),

  tasks: () => call<{ tasks: Task[]; leased: Task[] }>('GET', '/hone/tasks'),
  next: (flow?: string) => call<Held | { task: null }>('POST', '/hone/tasks/next', flow ? { flow } : {}),
  take: (id: number) => call<Held>('POST', `/hone/tasks/${id}/accept`),
  heartbeat: (id: number, lease: string) =>
    call<{ lease_until: number }>('POST', `/hone/tasks/${id}/heartbeat`, { lease }),
  release: (id: number, lease: string, keepalive = false) =>
    call('POST', `/hone/tasks/${id}/release`, { lease }, { keepalive }),
  decline: (id: number, lease: string) => call('POST', `/hone/tasks/${id}/decline`, { lease }),
  answer: (id: number, lease: string, answer: unknown, seconds: number) =>
    call<{ answered: number }>('POST', `/hone/tasks/${id}/answer`, { lease, answer, seconds }),

  users: () =>
    call<{
      users: { name: string; email: string; role: string; teams: string[]; seen?: number | null; disabled: boolean }[];
    }>('GET', '/hone/users'),
  invite: (email: string, team?: string) =>
    call<{ link: string; mailed: boolean }>('POST', '/hone/invitations', {
      email,
      role: 'reviewer',
      ...(team ? { team } : {}),
    }),
  setMember: (team: string, name: string, member: boolean) =>
    call('POST', `/hone/teams/${encodeURIComponent(team)}/members`, { name, member }),
  setDisabled: (name: string, disabled: boolean) =>
    call('POST', `/hone/users/${encodeURIComponent(name)}`, { disabled }),
  sagemaker: <T>(operation: string, body: unknown) =>
    call<T>('POST', '/', body, {
      headers: { 'X-Amz-Target': `SageMaker.${operation}`, 'Content-Type': 'application/x-amz-json-1.1' },
    }),
};
