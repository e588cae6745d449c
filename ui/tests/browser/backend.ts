/* Where the tests' tasks come from: the program, or its double. */
import { randomUUID } from 'node:crypto';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { signIn } from './browser';
// @ts-expect-error plain JavaScript, so that it can be served by hand
import { Fake } from './fake.mjs';

export interface Backend {
  url: string;
  /** Bring a page to the list. */
  signIn(page: Page): Promise<void>;
  /** Start a loop; the id of its task. */
  add(text: string, template: string): Promise<number>;
  /** What was answered. */
  answer(task: number): Promise<unknown>;
  /** No task is open any more. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

async function double(): Promise<Backend> {
  const fake = await new Fake().start();
  return {
    url: fake.url,
    signIn: (page) => signIn(page, fake.url),
    add: async (text, template) => fake.add(text, { template }),
    answer: async (task) => fake.answers.get(task)?.answer ?? null,
    clear: async () => fake.tasks.clear(),
    stop: () => fake.stop(),
  };
}

/** `hone serve` in a folder of its own, with a team and one reviewer in it. */
export class Program implements Backend {
  url = '';
  private folder = mkdtempSync(join(tmpdir(), 'hone-pages-'));
  private process!: ChildProcess;
  private bearer = '';
  private team = '';
  private cookie = '';
  private loops = new Map<number, string>();
  private flows = new Map<string, string>();

  async start(): Promise<this> {
    const args = ['serve', '--data', this.folder, '--listen', '127.0.0.1:0'];
    this.process = spawn(process.env.HONE_BIN!, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    await new Promise<void>((ready, failed) => {
      let said = '';
      this.process.stdout!.on('data', (chunk) => (said += chunk).includes('ready\n') && ready());
      this.process.on('exit', (status) => failed(new Error(`hone serve ended with ${status}: ${said}`)));
    });
    const found = Object.fromEntries(
      readFileSync(join(this.folder, 'credentials'), 'utf8').split('\n').map((line) => line.split(/\s*=\s*/)),
    );
    this.url = found.endpoint_url;
    this.bearer = `Bearer hone_${found.aws_access_key_id}_${found.aws_secret_access_key}`;
    const made = await this.sagemaker('CreateWorkteam', {
      WorkteamName: 'crew', Description: 'reviewers',
      MemberDefinitions: [{ OidcMemberDefinition: { Groups: ['crew'] } }],
    });
    this.team = made.WorkteamArn;
    return this;
  }

  /** The link of an invitation to the team. */
  async invite(email: string): Promise<string> {
    return (await this.call('POST', '/hone/invitations', { email, role: 'reviewer', team: 'crew' })).link;
  }

  async signIn(page: Page): Promise<void> {
    if (!this.cookie) await this.spy();
    if (!this.flows.has('ann')) {
      const token = (await this.invite('ann@example.org')).split('/').pop();
      await this.call('POST', `/hone/invitations/${token}`, { name: 'ann', password: 'password' });
      this.flows.set('ann', '');
    }
    await signIn(page, this.url);
  }

  /** A second reviewer, who only looks: what tasks there are. */
  private async spy(): Promise<void> {
    const token = (await this.invite('spy@example.org')).split('/').pop();
    const reply = await fetch(`${this.url}/hone/invitations/${token}`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: 'spy', password: 'password' }),
    });
    this.cookie = reply.headers.get('set-cookie')!.split(';')[0]!;
  }

  async add(text: string, template: string): Promise<number> {
    if (!this.cookie) await this.spy();
    const loop = await this.startLoop(text, template);
    const reply = await fetch(`${this.url}/hone/tasks`, { headers: { Cookie: this.cookie } });
    const { tasks } = (await reply.json()) as { tasks: { id: number; loop: string }[] };
    const task = tasks.find((one) => one.loop === loop);
    if (!task) throw new Error(`loop ${loop} has no task`);
    this.loops.set(task.id, loop);
    return task.id;
  }

  /** Only the loop; its name. */
  async startLoop(text: string, template: string): Promise<string> {
    const flow = this.flows.get(template) ?? (await this.makeFlow(template));
    const name = `loop-${randomUUID()}`;
    await this.call('POST', '/human-loops', {
      HumanLoopName: name, FlowDefinitionArn: flow,
      HumanLoopInput: { InputContent: JSON.stringify({ taskObject: text }) },
    });
    return name;
  }

  private async makeFlow(template: string): Promise<string> {
    const name = `flow-${this.flows.size + 1}`;
    const ui = await this.sagemaker('CreateHumanTaskUi', { HumanTaskUiName: name, UiTemplate: { Content: template } });
    const flow = await this.sagemaker('CreateFlowDefinition', {
      FlowDefinitionName: name, RoleArn: 'arn:aws:iam::000000000000:role/hone',
      HumanLoopConfig: {
        WorkteamArn: this.team, HumanTaskUiArn: ui.HumanTaskUiArn, TaskCount: 1,
        TaskTitle: 'Classify the text', TaskDescription: 'Read the instructions',
      },
      OutputConfig: { S3OutputPath: 's3://hone-data/reviews' },
    });
    this.flows.set(template, flow.FlowDefinitionArn);
    return flow.FlowDefinitionArn;
  }

  async answer(task: number): Promise<unknown> {
    return (await this.output(this.loops.get(task)!))?.humanAnswers[0].answerContent ?? null;
  }

  /** The loop's output.json, null while there is none. */
  async output(loop: string): Promise<any> {
    const found = await this.call('GET', `/human-loops/${loop}`);
    const uri: string | undefined = found.HumanLoopOutput?.OutputS3Uri;
    return found.HumanLoopStatus === 'Completed' && uri ? this.call('GET', `/${uri.slice('s3://'.length)}`) : null;
  }

  async clear(): Promise<void> {
    for (const loop of this.loops.values()) await this.call('POST', '/human-loops/stop', { HumanLoopName: loop }).catch(() => {});
    this.loops.clear();
  }

  private sagemaker(operation: string, body: unknown): Promise<any> {
    return this.call('POST', '/', body, {
      'X-Amz-Target': `SageMaker.${operation}`, 'Content-Type': 'application/x-amz-json-1.1',
    });
  }

  private async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<any> {
    const reply = await fetch(this.url + path, {
      method, headers: { Authorization: this.bearer, 'Content-Type': 'application/json', ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${method} ${path} ${headers['X-Amz-Target'] ?? ''}: ${reply.status} ${text}`);
    return text ? JSON.parse(text) : {};
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.process.on('exit', done));
    this.process.kill('SIGTERM');
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function backend(): Promise<Backend> {
  return process.env.HONE_BIN ? new Program().start() : double();
}
