/**
 * Gives the event loop turns during long work.
 *
 * Invariant: a loop that checks `due` at each step, and awaits `turn()` if it is true, holds the
 * thread for about 5 ms plus one step: less than the 10 ms that an asynchronous call may take. A
 * check is cheap: the clock is read only as often as the steps so far require. It knows nothing of
 * signals and closed stores: the caller checks these after each turn.
 *
 * Work that a writer extends in the turns could last for ever. `Breather.chasing()` therefore holds
 * the thread for 1/256 of the time since it began, if that is longer: 10 ms after 2.5 s.
 *
 *     const breather = new Breather();
 *     for (const step of steps) {
 *       work(step);
 *       if (breather.due) await breather.turn();
 *     }
 */

/** Milliseconds of work between two turns. */
const workMsMax = 5;
/** Readings of the clock within that time, if the steps take about the same time. */
const readsOfClock = 8;
/** Steps without a reading of the clock, at most, however short they are. */
const stepsMax = 64;
/** The part of the time since it began for which a chasing breather holds the thread. */
const chasingShare = 1 / 256;

export class Breather {
  readonly #clock: () => number;
  /** When the last turn ended. */
  #since: number;
  /** Time of the last reading of the clock, and the steps from it to the next one. */
  #readAt: number;
  #steps = 1;
  #stepsLeft = 1;
  readonly #share: number;
  readonly #began: number;

  /**
   * `clock` returns milliseconds from any start; tests pass their own. `share`: the part of the
   * time since it began that the next stretch of work may take, if that is longer than usual.
   */
  constructor(clock: () => number = now, share = 0) {
    this.#clock = clock;
    this.#share = share;
    this.#since = clock();
    this.#began = this.#since;
    this.#readAt = this.#since;
  }

  /** For work that a writer may extend in each turn: it ends, however much is added. */
  static chasing(): Breather {
    return new Breather(now, chasingShare);
  }

  /** True if a turn is due. Requires: called once in each step of the work. */
  get due(): boolean {
    this.#stepsLeft -= 1;
    if (this.#stepsLeft > 0) return false;
    const time = this.#clock();
    const perStep = (time - this.#readAt) / this.#steps;
    const alike = Math.floor(workMsMax / readsOfClock / Math.max(perStep, Number.EPSILON));
    // Long steps may follow short ones: read the clock less often gradually, more often at once.
    this.#steps = Math.max(1, Math.min(alike, this.#steps * 2, stepsMax));
    this.#stepsLeft = this.#steps;
    this.#readAt = time;
    const workMs = Math.max(workMsMax, (this.#since - this.#began) * this.#share);
    return time - this.#since >= workMs;
  }

  /** Resolves after other work of the event loop has run. */
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
 * A turn of the event loop: by `setImmediate`, otherwise by a message, since browsers delay timers.
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
