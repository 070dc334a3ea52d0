/**
 * The job queue of examples/ beside a map of its jobs: consumers that die or come late at each step,
 * restarts, power cuts, failing calls, and several consumers at once.
 */

import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Job, JobQueue } from '../../examples/job-queue.mjs';
import { codecs, Forest } from '../../src/forest/index.ts';
import type { FileSystem } from '../../src/index.ts';
import { endSound, expectNoLeak, findingsOf } from '../support/fixtures/forest-checks.ts';
import { compareWithModel, cutPower, failCalls, type Model, type Trial } from './trials.ts';

const leaseMs = 100;
const attemptsMax = 3;
const backoffMs = (attempts: number): number => 10 * attempts;

/**
 * A consumer's step at a time. The jobs that it holds are found by their ids and attempts, whether
 * they are still its own or not: a consumer may be dead, late or wrong.
 */
type Change = { readonly now: number } & (
  | { readonly do: 'add'; readonly payload: number; readonly delayMs: number }
  | { readonly do: 'take' }
  | { readonly do: 'finish' | 'retry' | 'extend'; readonly job: Held }
);
type Held = Pick<Job, 'id' | 'leaseEnd' | 'attempts'>;

interface Kept {
  readonly id: number;
  readonly runAt: number;
  readonly payload: unknown;
  readonly attempts: number;
  readonly error: string;
}

/** Every job that is not done, and the numbers of those whose effect was written. */
class PlainQueue implements Model<Change> {
  #jobs: Kept[] = [];
  readonly #failed: Omit<Kept, 'runAt'>[] = [];
  #lastId = 0;
  readonly #effects: number[] = [];

  apply(change: Change): unknown {
    const { now } = change;
    if (change.do === 'add') {
      const { payload, delayMs } = change;
      this.#lastId += 1;
      const id = this.#lastId;
      this.#put({ id, runAt: now + delayMs, payload, attempts: 0, error: '' });
      return id;
    }
    if (change.do === 'take') return this.#take(now);
    const { id, leaseEnd, attempts } = change.job;
    const held = this.#jobs.find((job) => job.id === id);
    const isHeld = held?.runAt === leaseEnd && held.attempts === attempts;
    if (!isHeld) return change.do === 'extend' ? undefined : false;
    this.#jobs = this.#jobs.filter((job) => job.id !== id);
    if (change.do === 'extend') {
      this.#put({ ...held, runAt: now + leaseMs });
      const { runAt: _, ...entry } = held;
      return { ...entry, leaseEnd: now + leaseMs };
    }
    if (change.do === 'finish') this.#effects.push(id);
    else if (attempts >= attemptsMax) this.#fail({ ...held, error: 'Error: no' });
    else this.#put({ ...held, runAt: now + backoffMs(attempts), error: 'Error: no' });
    return true;
  }

  #take(now: number): unknown {
    for (const job of [...this.#jobs]) {
      if (job.runAt > now) return undefined;
      this.#jobs.shift();
      if (job.attempts >= attemptsMax) {
        this.#fail(job);
        continue;
      }
      const { runAt: _, ...entry } = { ...job, attempts: job.attempts + 1 };
      this.#put({ ...entry, runAt: now + leaseMs });
      return { ...entry, leaseEnd: now + leaseMs };
    }
    return undefined;
  }

  #put(job: Kept): void {
    this.#jobs.push(job);
    this.#jobs.sort((one, other) => one.runAt - other.runAt || one.id - other.id);
  }

  #fail({ runAt: _, ...job }: Kept): void {
    this.#failed.push(job);
    this.#failed.sort((one, other) => one.id - other.id);
  }

  state(): unknown {
    const effects = this.#effects.toSorted((one, other) => one - other);
    return { waiting: this.#jobs.map(inOrder), failed: this.#failed.map(inOrder), effects };
  }
}

/** The same job has the same text. */
const inOrder = (job: Omit<Kept, 'runAt'> & { runAt?: number }): unknown[] => {
  return [job.id, job.runAt ?? 0, job.payload, job.attempts, job.error];
};

const settings = { nodeBytes: 512, settleBytes: 8192, cacheBytes: 128 * 1024 };
const effectsOf = (forest: Forest) =>
  forest.tree('effects', { key: codecs.uint, value: codecs.uint });

const trial: Trial<Change> = {
  model: () => new PlainQueue(),
  async open(fileSystem: FileSystem) {
    const forest = await Forest.open('jobs', { ...settings, fileSystem });
    const effects = effectsOf(forest);
    let now = 0;
    const queue = new JobQueue(forest, { leaseMs, attemptsMax, backoffMs, now: () => now });
    return {
      async run(change) {
        now = change.now;
        if (change.do === 'add') return await queue.add(change.payload, now + change.delayMs);
        if (change.do === 'take') return await queue.take();
        const job = { ...change.job, payload: 'not that of the entry', error: '' };
        if (change.do === 'extend') return await queue.extend(job);
        if (change.do === 'retry') return await queue.retry(job, new Error('no'));
        // Twice would be seen: a job has one effect.
        return await queue.finish(job, (tx) => {
          const done = tx.tree(effects);
          done.put(job.id, (done.get(job.id) ?? 0) + 1);
        });
      },
      state() {
        expect([...effects.values()].filter((times) => times !== 1)).toEqual([]);
        const failed = queue.failed().map(inOrder);
        return { waiting: queue.waiting().map(inOrder), failed, effects: [...effects.keys()] };
      },
      async check() {
        expect(await findingsOf(forest)).toEqual([]);
        await expectNoLeak(forest);
      },
      close: async () => await forest.close(),
    };
  },
};

/**
 * What consumers do is drawn beside a model: its answers to `take` are what they hold, and go on
 * holding after they have lost it. All steps of a group have one time.
 */
function drawn(groups: readonly { advanceMs: number; steps: readonly number[] }[]): Change[][] {
  const model = new PlainQueue();
  const held: Held[] = [];
  let now = 1000;
  return groups.map(({ advanceMs, steps }) => {
    now += advanceMs;
    return steps.map((number): Change => {
      const job = held[(number >> 3) % Math.max(1, held.length)];
      const kind = (['add', 'take', 'take', 'finish', 'finish', 'retry', 'extend', 'add'] as const)[
        number % 8
      ];
      const change: Change =
        kind === 'take'
          ? { now, do: 'take' }
          : kind === undefined || kind === 'add' || job === undefined
            ? { now, do: 'add', payload: number, delayMs: (number >> 3) % 3 === 0 ? 50 : 0 }
            : { now, do: kind, job };
      const result = model.apply(change) as Job | undefined;
      if ((kind === 'take' || kind === 'extend') && typeof result === 'object') held.push(result);
      return change;
    });
  });
}

const groups = fc
  .array(
    fc.record({
      advanceMs: fc.constantFrom(0, 1, 10, 60, 150),
      steps: fc.array(fc.nat(1000), { minLength: 1, maxLength: 6 }),
    }),
    { minLength: 1, maxLength: 15 },
  )
  .map(drawn);

/** Two jobs; consumers that die, fail, come late and finish. */
const job = (id: number, leaseEnd: number, attempts: number): Held => ({ id, leaseEnd, attempts });
const history: Change[][] = [
  [
    { now: 0, do: 'add', payload: 1, delayMs: 0 },
    { now: 0, do: 'add', payload: 2, delayMs: 0 },
    { now: 0, do: 'take' },
    { now: 0, do: 'take' },
    { now: 0, do: 'take' },
  ],
  [
    { now: 10, do: 'retry', job: job(2, 100, 1) },
    { now: 10, do: 'extend', job: job(1, 100, 1) },
  ],
  [{ now: 20, do: 'take' }],
  [
    { now: 110, do: 'take' },
    { now: 110, do: 'finish', job: job(1, 110, 1) },
    { now: 110, do: 'finish', job: job(1, 210, 2) },
  ],
  [{ now: 120, do: 'finish', job: job(2, 120, 2) }],
  [{ now: 400, do: 'take' }],
];

describe('examples/job-queue.mjs', () => {
  it('has the jobs that a plain queue has, whatever its consumers do', async () => {
    const property = fc.asyncProperty(groups, fc.nat(3), async (changes, every) => {
      await compareWithModel(trial, changes, (number) => every > 0 && number % every === 0);
    });
    await fc.assert(property, { numRuns: 80 });
  });

  it('loses no job and repeats no effect when the power is cut at any step', async () => {
    const bounds = { singles: 1, randoms: 1 };
    expect(await cutPower(trial, history, { bounds, stride: 1 })).toBeGreaterThan(40);
  });

  it('gives a job to nobody but its holder, also if it is due again when the first lease ended', async () => {
    const forest = await Forest.inMemory();
    let now = 0;
    const queue = new JobQueue(forest, { leaseMs, backoffMs: () => 0, now: () => now });
    await queue.add(1);
    const first = (await queue.take()) as Job;
    now = first.leaseEnd;
    const second = (await queue.take()) as Job;
    expect(await queue.retry(second, 'no')).toBe(true);
    expect(queue.waiting()).toMatchObject([{ id: 1, runAt: first.leaseEnd }]);
    expect(await queue.finish(first)).toBe(false);
    expect(await queue.retry(first, 'no')).toBe(false);
    expect(await queue.extend(first)).toBe(undefined);
    expect(queue.waiting()).toMatchObject([{ id: 1, attempts: 2 }]);
    await endSound(forest);
  });

  it.each([
    { kind: 'error', code: 'ENOSPC', done: 'nothing' } as const,
    { kind: 'error', code: 'EIO' } as const,
    { kind: 'sync', cache: 'dropped' } as const,
  ])('keeps what it has when a call of the disk fails: %o', async (fault) => {
    expect(await failCalls(trial, history, fault)).toBeGreaterThan(10);
  });
});

describe('consumers', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('do each job once, several at a time, and are woken by the commit that adds one', async () => {
    const forest = await Forest.inMemory();
    const queue = new JobQueue(forest);
    const effects = effectsOf(forest);
    const done = new AbortController();
    let working = 0;
    let workingMax = 0;
    const consumers = [1, 2, 3].map(() =>
      queue.consume(async ({ id }) => {
        working += 1;
        workingMax = Math.max(workingMax, working);
        // One commit of another: the others have begun by then.
        await effects.put(id + 1000, 0);
        working -= 1;
        return (tx) => tx.tree(effects).put(id, (tx.tree(effects).get(id) ?? 0) + 1);
      }, done.signal),
    );
    forest.onCommit(() => {
      if (effects.count({ lt: 1000 }) === 40) done.abort();
    });
    for (let at = 0; at < 10; at += 1) await queue.add(at);
    await Promise.all(Array.from({ length: 30 }, (_, at) => queue.add(at)));
    await Promise.all(consumers);
    expect([...effects.range({ lt: 1000 })]).toEqual(
      Array.from({ length: 40 }, (_, at) => [at + 1, 1]),
    );
    expect(workingMax).toBeGreaterThan(1);
    expect(queue.waiting()).toEqual([]);
    await endSound(forest);
  });

  it('wait until a job is due, take it again after its lease, and put it aside in the end', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const forest = await Forest.inMemory();
    const queue = new JobQueue(forest, { leaseMs, attemptsMax, backoffMs });
    const done = new AbortController();
    const start = Date.now();
    const attempts: [number, number][] = [];
    await queue.add('always fails', start + 500);
    const dead = await queue.add('its first consumer dies', start);
    expect(await queue.take()).toMatchObject({ id: dead });
    const consuming = queue.consume(async ({ id, payload }) => {
      attempts.push([id, Date.now() - start]);
      if (payload === 'always fails') throw new Error('no');
    }, done.signal);
    forest.onCommit(() => {
      if (queue.failed().length === 1) done.abort();
    });
    // Each turn lets the consumer's commits through, and then the next timer.
    for (let turn = 0; turn < 1000 && !done.signal.aborted; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      await vi.advanceTimersToNextTimerAsync();
    }
    await consuming;
    expect(attempts).toEqual([
      [2, 100],
      [1, 500],
      [1, 510],
      [1, 530],
    ]);
    expect(queue.failed()).toEqual([
      { id: 1, payload: 'always fails', attempts: 3, error: 'Error: no' },
    ]);
    expect(queue.waiting()).toEqual([]);
    await endSound(forest);
  });

  it('end when the signal aborts, while they wait and after the job that they work on', async () => {
    const forest = await Forest.inMemory();
    const queue = new JobQueue(forest);
    const done = new AbortController();
    const waiting = queue.consume(async () => undefined, done.signal);
    done.abort();
    await waiting;
    const later = new AbortController();
    await queue.add(1);
    await queue.add(2);
    await queue.consume(async () => later.abort(), later.signal);
    expect(queue.waiting().map(({ id }) => id)).toEqual([2]);
    await endSound(forest);
  });

  it('add a job with the rest of a transaction, or not at all', async () => {
    const forest = await Forest.inMemory();
    const queue = new JobQueue(forest);
    const failing = forest.transaction((tx) => {
      queue.addIn(tx, 1);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(queue.waiting()).toEqual([]);
    await forest.transaction((tx) => queue.addIn(tx, 2, 0));
    expect(queue.waiting()).toMatchObject([{ id: 1, payload: 2 }]);
    await endSound(forest);
  });
});
