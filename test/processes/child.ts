/**
 * A process of the tests: a script that is told what to do by lines on its stdin and answers by
 * lines on its stdout. This Node runs it, unless a command is given.
 *
 * Invariant: what it has written is read to the end however it ended, and it ends with the test at
 * the latest: when its stdin does. Nothing here waits for time to pass.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type Command, node } from './runtimes.ts';

export class Child {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<unknown[]>;

  constructor(script: string | Command, ...args: readonly string[]) {
    const [program, ...first] = typeof script === 'string' ? [...node, script] : script;
    const child = spawn(program, [...first, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.#exited = once(child, 'exit');
    // A process that is killed may not read what it was told last.
    child.stdin.on('error', () => undefined);
  }

  /** The next line; undefined at the end. */
  async line(): Promise<string | undefined> {
    const next = await this.#lines.next();
    return next.done === true ? undefined : next.value;
  }

  tell(line: string): void {
    this.#process.stdin?.write(`${line}\n`);
  }

  /** Sends SIGKILL. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }

  /** The signal that ended it, or undefined where it ended by itself. */
  async ended(): Promise<string | undefined> {
    const [, signal] = await this.#exited;
    return typeof signal === 'string' ? signal : undefined;
  }

  /** Lets it end by itself. */
  async leave(): Promise<void> {
    this.#process.stdin?.end();
    await this.#exited;
  }
}
