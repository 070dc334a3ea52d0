/**
 * A contestant that is open in this process, measured slice by slice.
 *
 * Invariant: a sample is the time of one `run`, never an average of several. A peer's own threads
 * are idle when its slice ends, so that they take nothing from the next contestant. Prints nothing.
 */

import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Contestant, Running, SliceEffort } from './contestant.ts';

/** Samples of one slice. Plain data: one process sends it to another. */
export interface Slice {
  /** Milliseconds of each `run`. */
  readonly times: readonly number[];
  /** Operations in a second. */
  readonly rate: number;
}

/** A contestant that can be measured, in whichever process. Each method rejects if it fails. */
export interface Measurable {
  /** Sets it up in an empty folder. */
  open(folder: string): Promise<void>;
  slice(effort: SliceEffort): Promise<Slice>;
  /** Resolves to the line for below the table, if the contestant has one. */
  close(): Promise<string | undefined>;
}

export class OpenContestant implements Measurable {
  readonly #contestant: Contestant;
  #running: Running | undefined;
  #first = true;

  constructor(contestant: Contestant) {
    this.#contestant = contestant;
  }

  async open(folder: string): Promise<void> {
    this.#running = await this.#contestant.open(folder);
  }

  async slice(effort: SliceEffort): Promise<Slice> {
    const { clients = 1, kind } = this.#contestant;
    const running = this.#running;
    if (running === undefined) throw new Error('the contestant is not open');
    const slice = await (clients === 1
      ? this.#alone(running, effort)
      : sideBySide(running, effort, clients));
    this.#first = false;
    await setImmediate();
    if (kind === 'peer') await quiet();
    return slice;
  }

  async close(): Promise<string | undefined> {
    const note = this.#running?.note?.();
    await this.#running?.close?.();
    return note;
  }

  async #alone(running: Running, effort: SliceEffort): Promise<Slice> {
    const { operations = 1 } = this.#contestant;
    const { warmUp, samplesMax = Number.POSITIVE_INFINITY } = effort;
    const runs = effort.warmUpRuns ?? (warmUp > 0 || this.#first ? 1 : 0);
    const warm = performance.now() + warmUp;
    for (let done = 0; done < runs || performance.now() < warm; done++) await once(running);
    const times: number[] = [];
    let total = 0;
    const until = performance.now() + effort.slice;
    do {
      const time = await once(running);
      times.push(time);
      total += time;
    } while (performance.now() < until && times.length < samplesMax);
    return { times, rate: (times.length * operations * 1e3) / total };
  }
}

/** Milliseconds of one `run`. */
function once(running: Running): number | Promise<number> {
  const prepared = running.before?.();
  if (prepared instanceof Promise) return prepared.then(() => timed(running));
  return timed(running);
}

function timed(running: Running): number | Promise<number> {
  const from = performance.now();
  const result = running.run(0);
  if (result instanceof Promise) return result.then(() => performance.now() - from);
  return performance.now() - from;
}

/**
 * Clients that warm up and go on. A run counts for the rate if it ends within the slice; it gives
 * a sample if it also began there.
 */
async function sideBySide(running: Running, effort: SliceEffort, clients: number): Promise<Slice> {
  const { warmUp, warmUpRuns = 0, samplesMax = Number.POSITIVE_INFINITY } = effort;
  let warmUpsLeft = warmUpRuns;
  await inLoops(running, clients, { begins: () => warmUpsLeft-- > 0, ended: () => undefined });
  const from = performance.now() + warmUp;
  const until = from + effort.slice;
  const times: number[] = [];
  let begun = 0;
  let count = 0;
  let last = from;
  await inLoops(running, clients, {
    begins(now) {
      if (now >= from) begun += 1;
      return now < until && begun <= samplesMax;
    },
    ended(began, now) {
      if (now < from || now >= until) return;
      count += 1;
      last = now;
      if (began >= from) times.push(now - began);
    },
  });
  const end = begun > samplesMax ? last : until;
  return { times, rate: (count * 1e3) / (end - from) };
}

interface Loops {
  /** Asked before each run: whether there is another one. */
  begins(now: number): boolean;
  ended(began: number, now: number): void;
}

async function inLoops(running: Running, clients: number, loops: Loops): Promise<void> {
  const loop = async (client: number): Promise<void> => {
    for (;;) {
      const began = performance.now();
      if (!loops.begins(began)) return;
      await running.run(client);
      loops.ended(began, performance.now());
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, client) => loop(client)));
}

/** Milliseconds: how often it looks, how much work in that time counts as idle, how long at most. */
const quietLook = 20;
const quietBusy = 2;
const quietMax = 5_000;

/** Waits until a peer's own threads have nothing left to do: trees of runs are merged by them. */
async function quiet(): Promise<void> {
  const until = performance.now() + quietMax;
  let before = process.cpuUsage();
  for (let idle = 0; idle < 2 && performance.now() < until; ) {
    await setTimeout(quietLook);
    const { user, system } = process.cpuUsage(before);
    idle = user + system < quietBusy * 1e3 ? idle + 1 : 0;
    before = process.cpuUsage();
  }
}
