/* Where the tests' tasks come from: the program, or its double. */
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

export async function backend(): Promise<Backend> {
  return double();
}
