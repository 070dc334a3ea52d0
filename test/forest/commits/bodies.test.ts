/**
 * The bodies of transactions: what may not be asked of the forest within them, many that wait, and
 * long commits, which give the event loop its turns.
 *
 * Turns are counted with a clock of the test's own: a millisecond goes by at each look at it.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { codecs, Forest } from '../../../src/forest/index.ts';
import { WaitingBodies } from '../../../src/forest/transactions/waiting-bodies.ts';
import { code, endSound } from '../../support/fixtures/forest-checks.ts';
import { settled } from '../../support/fixtures/store-checks.ts';

const numbers = { key: codecs.u32, value: codecs.u32 };

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Runs something while each look at the clock takes a millisecond; counts the turns meanwhile. */
async function turnsDuring(run: () => Promise<unknown>): Promise<number> {
  let time = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => ++time);
  let turns = 0;
  let counting = true;
  const count = (): void => {
    turns += 1;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  await run();
  counting = false;
  return turns;
}

afterEach(() => vi.restoreAllMocks());

describe('a write of the same forest within a body', () => {
  it('is refused, before and after an await, awaited or not', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', numbers);
    const codes: unknown[] = [];
    const note = (error: { code?: unknown }): void => {
      codes.push(error.code);
    };
    const write = (): Promise<unknown>[] => [
      tree.put(1, 1),
      tree.delete(1),
      tree.update(1, () => 2),
      forest.transaction(() => undefined),
    ];
    const outer = forest.transaction(async (tx) => {
      tx.tree(tree).put(7, 7);
      for (const one of write()) await one.catch(note);
      await turn();
      for (const one of write()) await one.catch(note);
      void Promise.resolve().then(() => Promise.allSettled(write().map((one) => one.catch(note))));
      expect(() => forest.transactionSync(() => undefined)).toThrow(code('BUSY'));
      await turn();
    });
    // A write that is not refused waits for the body, which waits for it.
    await settled(outer);
    expect(codes).toEqual(Array.from({ length: 12 }, () => 'VARVE_BUSY'));
    expect([...tree.keys()]).toEqual([7]);
    await endSound(forest);
  });

  it('is accepted once the body has settled, and of another forest', async () => {
    const forest = await Forest.inMemory();
    const other = await Forest.inMemory();
    const tree = forest.tree('t', numbers);
    let later: Promise<unknown> | undefined;
    await forest.transaction(async () => {
      await turn();
      await other.tree('t', numbers).put(1, 1);
      await other.transaction(async () => {
        await turn();
        await expect(tree.put(5, 5)).rejects.toThrow(code('BUSY'));
      });
      later = (async () => {
        for (let turns = 0; turns < 5; turns++) await turn();
        await tree.put(2, 2);
      })();
    });
    await later;
    expect([...tree.keys()]).toEqual([2]);
    await endSound(forest);
    await endSound(other);
  });

  it('is accepted from elsewhere while the body awaits, and from listeners', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', numbers);
    const log = forest.tree('log', numbers);
    const written: Promise<unknown>[] = [];
    forest.onCommit(({ batch, trees }) => {
      if (trees.includes('t')) written.push(log.put(batch, 1));
    });
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const first = forest.transaction(async (tx) => {
      tx.tree(tree).put(1, 1);
      await gate;
    });
    const second = tree.put(2, 2);
    go();
    await Promise.all([first, second]);
    await Promise.all(written);
    expect([...tree.keys()]).toEqual([1, 2]);
    expect(log.count()).toBeGreaterThan(0);
    await endSound(forest);
  });
});

describe('transactionSync', () => {
  it('throws before its body runs while a commit of the store is only queued', async () => {
    const forest = await Forest.inMemory();
    const put = forest.store.put(new Uint8Array(5));
    expect(forest.store.committing).toBe(true);
    const body = vi.fn();
    expect(() => forest.transactionSync(body)).toThrow(code('BUSY'));
    expect(body).not.toHaveBeenCalled();
    await put;
    expect(forest.store.committing).toBe(false);
    await forest.close();
  });
});

describe('many bodies that wait', () => {
  it('are taken once each, in their order', () => {
    const waiting = new WaitingBodies<number>();
    const taken: number[] = [];
    let added = 0;
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < 200; i++) waiting.add(added++);
      for (let i = 0; i < 150 + round; i++) {
        const one = waiting.take();
        if (one !== undefined) taken.push(one);
      }
      expect(waiting.length).toBe(added - taken.length);
    }
    for (let one = waiting.take(); one !== undefined; one = waiting.take()) taken.push(one);
    expect(taken).toEqual(Array.from({ length: added }, (_, i) => i));
    expect(waiting.take()).toBe(undefined);
  });

  it('give others their turns, and keep their order', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', numbers);
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const first = forest.transaction(() => gate);
    const puts = Array.from({ length: 5000 }, (_, i) => tree.put(i % 10, i));
    const turns = await turnsDuring(async () => {
      go();
      await first;
      // It comes while others rest: behind all of them all the same.
      await turn();
      puts.push(tree.put(3, 77));
      await Promise.all(puts);
    });
    // The clock is looked at once in 64 bodies at least: 78 ms of work and more.
    expect(turns).toBeGreaterThan(10);
    expect(tree.get(3)).toBe(77);
    expect(tree.get(9)).toBe(4999);
    await endSound(forest);
  });
});

describe('many bodies of any kind', () => {
  const kinds: readonly (readonly [string, (forest: Forest) => unknown])[] = [
    ['that await', async () => await undefined],
    [
      'that throw',
      () => {
        throw new Error('no');
      },
    ],
    ['that reject', async () => await Promise.reject(new Error('no'))],
  ];

  it.each(kinds)('%s give others their turns', async (_, body) => {
    const forest = await Forest.inMemory();
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const first = forest.transaction(() => gate);
    const queued = Array.from({ length: 3000 }, () => forest.transaction(() => body(forest)));
    const settled = Promise.allSettled(queued);
    const turns = await turnsDuring(async () => {
      go();
      await first;
      await settled;
    });
    expect(turns).toBeGreaterThan(6);
    await endSound(forest);
  });

  it('run in the context of their caller', async () => {
    const forest = await Forest.inMemory();
    const other = await Forest.inMemory();
    const tree = other.tree('t', numbers);
    const requests = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const ask = (name: string): Promise<void> =>
      requests.run(name, () =>
        forest.transaction(async () => {
          await turn();
          seen.push(requests.getStore());
          // Nothing of the other forest is under way in this context.
          await tree.put(1, 1);
        }),
      );
    const nested = other.transaction(async () => {
      await forest.transaction(async () => await turn());
    });
    await Promise.all([nested, ask('one'), ask('two'), ask('three')]);
    expect(seen).toEqual(['one', 'two', 'three']);
    await endSound(forest);
    await endSound(other);
  });

  it('cannot close their forest', async () => {
    const forest = await Forest.inMemory();
    await forest.transaction(async () => {
      await turn();
      await expect(forest.close()).rejects.toThrow(code('BUSY'));
    });
    await forest.tree('t', numbers).put(1, 1);
    await endSound(forest);
  });
});

describe('a commit of many nodes', () => {
  const many = 20_000;

  async function large() {
    const forest = await Forest.inMemory({ nodeBytes: 512 });
    const tree = forest.tree('t', numbers);
    const load = forest.transaction((tx) => {
      for (let i = 0; i < many; i++) tx.tree(tree).put(i, i);
    });
    return { forest, tree, load };
  }

  it('gives others their turns', async () => {
    const { forest, load } = await large();
    const turns = await turnsDuring(() => load);
    expect(turns).toBeGreaterThan(3);
    await endSound(forest);
  });

  it('that are dropped gives others their turns', async () => {
    const { forest, load } = await large();
    await load;
    const turns = await turnsDuring(() => forest.transaction((tx) => tx.drop('t')));
    expect(turns).toBeGreaterThan(3);
    await endSound(forest);
  });

  it('is prepared completely when a body forks a tree that it stores', async () => {
    let time = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => ++time);
    const { forest, tree, load } = await large();
    // The commit has begun when this body runs, and has more steps to go.
    await Promise.resolve();
    await Promise.resolve();
    const fork = forest.transaction((tx) => {
      tx.fork('t', 'f');
      tx.tree(tree).put(1, 100);
    });
    await Promise.all([load, fork]);
    const copy = forest.tree('f', numbers);
    expect([copy.count(), copy.get(1), tree.get(1)]).toEqual([many, 1, 100]);
    await endSound(forest);
  });
});
