/**
 * One long operation while it runs: its stop, its progress, its share of the disk and of the event
 * loop. The operation calls these methods between its pieces of work.
 *
 * Invariants:
 * - Once it is stopped, by the signal or by the store's closing, each method rejects or throws with
 *   the reason; a wait for bandwidth ends at once.
 * - `onProgress` is called before the first piece of work and then at most every 100 ms.
 * - A loop that awaits `breathe` at each step holds the event loop for less than 10 ms.
 *
 * It does no work of its own, and undoes nothing: the operation cleans up when it gets the reason.
 */

import { Breather } from '../breather.ts';
import type { CheckedOperation, Progress } from './long-operation.ts';

/** The time, and waiting; tests pass their own. */
export interface Clock {
  /** Milliseconds from any start. */
  now(): number;
  /** Calls `resume` after `ms` milliseconds. The returned function cancels that. */
  after(ms: number, resume: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, resume) => {
    const timer = setTimeout(resume, ms);
    return () => clearTimeout(timer);
  },
};

const progressMsMin = 100;
/** The longest wait of one timer: longer ones would fire at once. */
const waitMsMax = 2 ** 30;

export class RunningOperation {
  readonly #options: CheckedOperation;
  readonly #clock: Clock;
  readonly #breather: Breather;
  /** When progress may be reported again. */
  #reportAt = Number.NEGATIVE_INFINITY;
  /** When the bandwidth that was used so far has been paid for. */
  #paidAt = Number.NEGATIVE_INFINITY;
  #stopped: { readonly reason: unknown } | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(options: CheckedOperation, clock: Clock = systemClock) {
    this.#options = options;
    this.#clock = clock;
    this.#breather = new Breather(() => clock.now());
  }

  /** The most bytes that one piece of work should move: about an eighth of a second's. */
  pieceBytes(bounds: { readonly min: number; readonly max: number }): number {
    const share = Math.floor(this.#options.bytesPerSecond / 8);
    return Math.max(bounds.min, Math.min(share, bounds.max));
  }

  /** Stops it with this reason; the first one counts. */
  stop(reason: unknown): void {
    this.#stopped ??= { reason };
    for (const resume of [...this.#waiting]) resume();
  }

  /** Throws the reason if it is stopped. */
  check(): void {
    if (this.#stopped !== undefined) throw this.#stopped.reason;
  }

  /** Reports progress if that is due. Throws the reason if it is stopped, the caller's error. */
  report(progress: Progress): void {
    this.check();
    const { onProgress } = this.#options;
    if (onProgress === undefined) return;
    const now = this.#clock.now();
    if (now < this.#reportAt) return;
    this.#reportAt = now + progressMsMin;
    onProgress(progress);
  }

  /** Gives the event loop a turn if one is due. Rejects with the reason if it is stopped. */
  async breathe(): Promise<void> {
    this.check();
    if (!this.#breather.due) return;
    await this.#breather.turn();
    this.check();
  }

  /** True if a turn is due: then await `breathe`, or `turn`. */
  get isTurnDue(): boolean {
    return this.#breather.due;
  }

  /** Gives the event loop a turn. Rejects with the reason if it is stopped. */
  async turn(): Promise<void> {
    await this.#breather.turn();
    this.check();
  }

  /**
   * Waits until `bytes` more may be read or written. The first piece is free; each piece is paid
   * for before the next. Rejects with the reason if it is stopped.
   */
  async spend(bytes: number): Promise<void> {
    this.check();
    const { bytesPerSecond } = this.#options;
    if (bytesPerSecond === Number.POSITIVE_INFINITY) return;
    const from = Math.max(this.#clock.now(), this.#paidAt);
    this.#paidAt = from + (bytes / bytesPerSecond) * 1000;
    for (let left = from - this.#clock.now(); left > 0; left = from - this.#clock.now()) {
      await this.#wait(Math.min(left, waitMsMax));
      this.check();
    }
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const resume = (): void => {
        cancel();
        this.#waiting.delete(resume);
        resolve();
      };
      const cancel = this.#clock.after(ms, resume);
      this.#waiting.add(resume);
    });
  }
}
