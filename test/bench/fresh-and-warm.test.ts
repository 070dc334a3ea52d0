/**
 * The order in which processes of contestants start, run and end, with contestants that only keep a
 * record of their calls.
 *
 * No process is started here: `contestant-process.test.ts` does that.
 */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Contestant, SliceEffort } from '../../bench/support/contestant.ts';
import { makeDiskFolder, removeFolder } from '../../bench/support/disk-folder.ts';
import type { Measurable, Slice } from '../../bench/support/open-contestant.ts';
import {
  freshText,
  measureFresh,
  measureWarm,
  warmText,
} from '../../bench/support/processes/fresh-and-warm.ts';

const names = ['a', 'b', 'c'];
const contestants = names.map(
  (name): Contestant => ({ name, kind: 'varve', open: () => ({ run: () => undefined }) }),
);

let folder: string;
let calls: string[];
let starts: number;

beforeEach(() => {
  folder = makeDiskFolder('varve-bench-test-').path;
  calls = [];
  starts = 0;
});

afterEach(() => removeFolder(folder));

/** A process that is none. It takes its folder for itself, and fails at `failing`. */
class Recorded implements Measurable {
  readonly #name: string;
  readonly #failing: string;
  readonly #time: number;

  constructor(name: string, failing = '') {
    this.#name = name;
    this.#failing = failing;
    starts += 1;
    this.#time = starts;
  }

  async open(own: string): Promise<void> {
    this.#record('open');
    expect(readdirSync(own)).toEqual([]);
    writeFileSync(join(own, 'file'), 'taken');
  }

  async slice({ warmUpRuns = 0, samplesMax = 0 }: SliceEffort): Promise<Slice> {
    this.#record(`${warmUpRuns}+${samplesMax}`);
    return { times: [this.#time], rate: 1 };
  }

  async close(): Promise<string | undefined> {
    this.#record('close');
    return undefined;
  }

  #record(what: string): void {
    calls.push(`${this.#name} ${what}`);
    if (this.#failing === what) throw new Error(`${what} failed`);
  }
}

const place = (failing?: { name: string; at: string }) => ({
  folder,
  start: ({ name }: Contestant) => new Recorded(name, name === failing?.name ? failing.at : ''),
});

describe('fresh', () => {
  const effort = { processes: 3, runs: 1_000 };

  it('starts a process for each contestant in each round, which makes its first runs', async () => {
    const measured = await measureFresh(contestants, effort, place());
    expect(starts).toBe(9);
    for (const name of names) {
      const life = [`${name} open`, `${name} 0+1000`, `${name} close`];
      expect(calls.filter((call) => call.startsWith(name))).toEqual([...life, ...life, ...life]);
    }
    for (let at = 0; at < calls.length; at += 3) {
      // No process begins before the last one has ended.
      const [name] = (calls[at] as string).split(' ');
      expect(calls[at + 2]).toBe(`${name} close`);
    }
    expect(measured.map(({ time }) => time.samples)).toEqual([3, 3, 3]);
    expect(existsSync(join(folder, 'fresh'))).toBe(false);
  });

  it('lets all contestants take part in each round, in orders that differ', async () => {
    await measureFresh(contestants, { ...effort, processes: 8 }, place());
    const begun = calls.filter((call) => call.endsWith('open')).map((call) => call[0] as string);
    const rounds = Array.from({ length: 8 }, (_, at) => begun.slice(at * 3, at * 3 + 3));
    for (const round of rounds) expect(round.toSorted()).toEqual(names);
    expect(new Set(rounds.map((round) => round.join(''))).size).toBeGreaterThan(1);
  });

  it('goes on without a contestant that failed', async () => {
    const measured = await measureFresh(contestants, effort, place({ name: 'b', at: '0+1000' }));
    expect(calls.filter((call) => call.startsWith('b'))).toEqual(['b open', 'b 0+1000']);
    expect(measured.map(({ failure }) => failure)).toEqual([undefined, '0+1000 failed', undefined]);
    expect(measured.map(({ time }) => time.samples)).toEqual([3, 0, 3]);
  });
});

describe('warm', () => {
  const effort = { processes: 2, runsBefore: 5_000, rounds: 2, slice: 0, warmUp: 0, samplesMax: 7 };

  it('opens all, warms up each, then has slices in turn', async () => {
    const measured = await measureWarm(contestants, effort, place());
    expect(starts).toBe(6);
    const life = calls.slice(0, calls.length / 2);
    expect(life.slice(0, 3)).toEqual(['a open', 'b open', 'c open']);
    expect(life.slice(3, 6)).toEqual(['a 4999+1', 'b 4999+1', 'c 4999+1']);
    expect(life.slice(6, 9).toSorted()).toEqual(['a 0+7', 'b 0+7', 'c 0+7']);
    expect(life.slice(9, 12).toSorted()).toEqual(['a 0+7', 'b 0+7', 'c 0+7']);
    expect(life.slice(12)).toEqual(['a close', 'b close', 'c close']);
    // The slice that warmed up is no sample.
    expect(measured.map(({ time }) => time.samples)).toEqual([4, 4, 4]);
    expect(existsSync(join(folder, 'warm'))).toBe(false);
  });

  it('goes on without a contestant that failed', async () => {
    const measured = await measureWarm(contestants, effort, place({ name: 'a', at: 'open' }));
    expect(calls.filter((call) => call.startsWith('a'))).toEqual(['a open']);
    expect(measured.map(({ time }) => time.samples)).toEqual([0, 4, 4]);
  });
});

describe('the line above a table', () => {
  it('says how many operations of how many processes there are', () => {
    expect(freshText({ processes: 5, runs: 300 })).toBe(
      'The first 300 of a process; 5 processes for each contestant.',
    );
    expect(freshText({ processes: 1, runs: 1 }, 1_000)).toBe(
      'The first 1,000 of a process; 1 process for each contestant.' +
        ' An average in us is the time of all 1,000 in ms.',
    );
    const effort = { processes: 1, runsBefore: 20, rounds: 1, slice: 0, warmUp: 0 };
    expect(warmText(effort, 1_000)).toBe(
      'After the first 20,000 of a process; 1 process for each contestant.',
    );
  });
});
