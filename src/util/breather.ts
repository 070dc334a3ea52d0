/**
 * Gives the event loop a turn in the midst of long work.
 *
 * Invariant: a loop that asks `due` with each step, and awaits `turn()` when it is, holds the
 * thread for about 5 ms at a time, plus one step: below the 10 ms that an asynchronous call may
 * take. Asking costs next to nothing: the clock is read only as often as the steps so far make
 * necessary. It knows nothing of signals or of a store that is closed meanwhile: the caller looks
 * at those after each turn.
 *
 *     const breather = new Breather();
 *     for (const step of steps) {
 *       work(step);
 *       if (breather.due) await breather.turn();
 *     }
 */

/** Milliseconds of work between two turns. */
const workMsMax = 5;
/** The clock is read at least so often within that time, as far as the steps are alike. */
const readsOfClock = 8;
/** Steps that go by without a look at the clock at most, however short they are. */
const stepsMax = 64;

export class Breather {
  readonly #clock: () => number;
  /** When the last turn ended. */
  #since: number;
  /** When the clock was read last, and the steps between that reading and the next one. */
  #readAt: number;
  #steps = 1;
  #stepsLeft = 1;

  /** `clock` gives milliseconds from any beginning; tests put their own here. */
  constructor(clock: () => number = now) {
    this.#clock = clock;
    this.#since = clock();
    this.#readAt = this.#since;
  }

  /** Whether it is time for a turn. To be asked once with each step of the work. */
  get due(): boolean {
    this.#stepsLeft -= 1;
    if (this.#stepsLeft > 0) return false;
    const time = this.#clock();
    const perStep = (time - this.#readAt) / this.#steps;
    const alike = Math.floor(workMsMax / readsOfClock / Math.max(perStep, Number.EPSILON));
    // Short steps may be followed by long ones, so it becomes careless slowly, and careful at once.
    this.#steps = Math.max(1, Math.min(alike, this.#steps * 2, stepsMax));
    this.#stepsLeft = this.#steps;
    this.#readAt = time;
    return time - this.#since >= workMsMax;
  }

  /** Resolves when whatever else waits for the event loop has had its turn. */
  async turn(): Promise<void> {
    await nextTurn();
    this.#since = this.#clock();
    this.#readAt = this.#since;
    this.#stepsLeft = this.#steps;
  }
}

function now(): number {
  return performance.now();
}

interface Scheduling {
  readonly setImmediate?: (resume: () => void) => unknown;
  readonly MessageChannel?: new () => {
    readonly port1: { onmessage: (() => void) | null; close(): void };
    readonly port2: { postMessage(message: unknown): void };
  };
}

/**
 * A turn of the event loop: by `setImmediate`, or else by a message, since browsers put off timers.
 */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { setImmediate, MessageChannel } = globalThis as unknown as Scheduling;
    if (setImmediate !== undefined) {
      setImmediate(resolve);
      return;
    }
    if (MessageChannel === undefined) {
      setTimeout(resolve, 0);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = (): void => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
