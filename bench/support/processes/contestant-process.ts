/**
 * A contestant in a process of its own: the same program again, which serves one of its contestants
 * instead of asking its question (`contestant-server.ts`).
 *
 * Invariant: one request is under way at most. Only a process that was started here is ended, and
 * it is gone when `close` resolves or any method rejects.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { SliceEffort } from '../contestant.ts';
import type { Measurable, Slice } from '../open-contestant.ts';

/** Names a contestant to the process that serves it. */
export interface Served {
  readonly section: string;
  readonly contestant: string;
  readonly quick: boolean;
}

export type Request =
  | { readonly method: 'open'; readonly folder: string }
  | { readonly method: 'slice'; readonly effort: SliceEffort }
  | { readonly method: 'close' };

/** `failure` is a message; without one, `result` is that of the method. */
export interface Reply {
  readonly failure?: string;
  readonly result?: unknown;
}

/** The option of the command line that names the served contestant, as JSON. */
export const servedOption = '--served-contestant';

export class ContestantProcess implements Measurable {
  readonly #program: string;
  readonly #served: Served;
  #child: ChildProcess | undefined;

  /** `program` is the path of a module that calls `ask`. */
  constructor(program: string, served: Served) {
    this.#program = program;
    this.#served = served;
  }

  async open(folder: string): Promise<void> {
    const options = [servedOption, JSON.stringify(this.#served)];
    // JSON has no infinite slice, and would send every sample as text.
    this.#child = fork(this.#program, options, { serialization: 'advanced' });
    await this.#request({ method: 'open', folder });
  }

  async slice(effort: SliceEffort): Promise<Slice> {
    return (await this.#request({ method: 'slice', effort })) as Slice;
  }

  async close(): Promise<string | undefined> {
    const note = await this.#request({ method: 'close' });
    await this.#end();
    return note as string | undefined;
  }

  async #request(request: Request): Promise<unknown> {
    const child = this.#child;
    if (child === undefined) throw new Error('the process of the contestant has ended');
    const { failure, result } = await replyOf(child, request);
    if (failure === undefined) return result;
    await this.#end();
    throw new Error(failure);
  }

  async #end(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}

/** The reply to `request`, or a failure if the process ends without one. */
async function replyOf(child: ChildProcess, request: Request): Promise<Reply> {
  const settled = new AbortController();
  const { signal } = settled;
  try {
    const replied = once(child, 'message', { signal }).then(([reply]) => reply as Reply);
    const ended = once(child, 'exit', { signal }).then(
      ([code, killedBy]): Reply => ({
        failure: `its process ended with ${killedBy ?? `code ${code}`} during '${request.method}'`,
      }),
    );
    child.send(request, () => undefined);
    return await Promise.race([replied, ended]);
  } finally {
    settled.abort();
  }
}
