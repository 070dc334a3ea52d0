/**
 * The long operations of one store or forest that are running.
 *
 * Invariant: an operation runs between `run` and the settling of its promise. `stopAll` stops each
 * with the same error, and resolves when all have settled. Later ones do not begin: none uses the
 * store after that. It decides nothing about the work of an operation.
 */

import { onAbort } from '../abort-listeners.ts';
import type { CheckedOperation } from './long-operation.ts';
import { type Clock, RunningOperation, systemClock } from './running-operation.ts';

export class Operations {
  /** Each with its end. */
  readonly #running = new Map<RunningOperation, Promise<void>>();
  readonly #clock: Clock;
  #stopped: { readonly error: Error } | undefined;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /**
   * Runs `work`, unless the signal has aborted. Rejects as it does, and with the reason of a stop;
   * after `stopAll` it rejects at once.
   */
  async run<Result>(
    options: CheckedOperation,
    work: (operation: RunningOperation) => Promise<Result>,
  ): Promise<Result> {
    const { signal } = options;
    if (this.#stopped !== undefined) throw this.#stopped.error;
    signal?.throwIfAborted();
    const operation = new RunningOperation(options, this.#clock);
    const forget = signal && onAbort(signal, () => operation.stop(signal.reason));
    let end = (): void => undefined;
    // Known before it begins: its first piece of work may call code that closes the store.
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#running.set(operation, ended);
    try {
      return await work(operation);
    } finally {
      this.#running.delete(operation);
      forget?.();
      end();
    }
  }

  /** Stops all with this error, for good, and waits until they have cleaned up. */
  async stopAll(error: Error): Promise<void> {
    this.#stopped = { error };
    for (const operation of this.#running.keys()) operation.stop(error);
    await Promise.all(this.#running.values());
  }
}
