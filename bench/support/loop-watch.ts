/**
 * How long the event loop is blocked: the gaps between turns of a loop of `setImmediate`, and what
 * of each was garbage collection; beside it Node's own histogram of late timers.
 *
 * Invariant: a gap is the time from the end of one turn of the watch to the begin of the next, so
 * all that ran between is in it. Collections are told only when they are over: they are matched
 * with the gaps in the end.
 */

import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn, setTimeout } from 'node:timers/promises';

/** Milliseconds. */
export interface Block {
  readonly length: number;
  /** Of it, garbage collection. */
  readonly collecting: number;
}

interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** Shorter gaps are not kept: nobody waits for them. */
const shortest = 0.2;

function overlap(one: Stretch, other: Stretch): number {
  return Math.max(0, Math.min(one.to, other.to) - Math.max(one.from, other.from));
}

export class LoopWatch {
  readonly #collections: Stretch[] = [];
  readonly #gaps: (Stretch & { readonly operation: number })[] = [];
  /** The latest timer of each operation, milliseconds. */
  readonly #delays: number[] = [];
  readonly #observer: PerformanceObserver;
  #watching = true;
  /** Operations so far; gaps count for the last of them while it runs. */
  #operations = 0;
  #operating = false;

  constructor() {
    this.#observer = new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) {
        this.#collections.push({ from: startTime, to: startTime + duration });
      }
    });
    this.#observer.observe({ entryTypes: ['gc'] });
    this.#watch(performance.now());
  }

  #watch(before: number): void {
    setImmediate(() => {
      const now = performance.now();
      if (this.#operating && now - before >= shortest) {
        this.#gaps.push({ from: before, to: now, operation: this.#operations });
      }
      if (this.#watching) this.#watch(performance.now());
    });
  }

  /** One operation: what is blocked from its begin to the turn after its end counts. */
  async operate(run: () => Promise<unknown>): Promise<void> {
    // The second turn has the time of day anew: timers would count what was before as late.
    await nextTurn();
    await nextTurn();
    this.#operations += 1;
    this.#operating = true;
    // A new one each time: one that is stopped would count the time that it was.
    const delays = monitorEventLoopDelay({ resolution: 1 });
    delays.enable();
    await run();
    await nextTurn();
    await nextTurn();
    delays.disable();
    this.#delays.push(delays.max / 1e6);
    this.#operating = false;
  }

  /** Of each operation the longest block, and the longest between two turns of a timer. */
  async end(): Promise<{ longest: Block[]; timers: readonly number[] }> {
    // A turn or two more, so that the last collections are told.
    await setTimeout(5);
    this.#watching = false;
    await setTimeout(5);
    this.#observer.disconnect();
    const longest = Array.from({ length: this.#operations }, (): Block => noBlock);
    for (const gap of this.#gaps) {
      const at = gap.operation - 1;
      const length = gap.to - gap.from;
      const before = longest[at];
      if (before === undefined || before.length >= length) continue;
      const collecting = this.#collections.reduce((sum, one) => sum + overlap(gap, one), 0);
      longest[at] = { length, collecting };
    }
    return { longest, timers: this.#delays };
  }
}

const noBlock: Block = { length: 0, collecting: 0 };
