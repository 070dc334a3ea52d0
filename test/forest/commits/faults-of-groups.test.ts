/**
 * Who hears of a commit that fails: the transactions in it, those that ended behind it, the one
 * under way that ran on its state; and who does not: those that begin after.
 *
 * Each test makes one fault on a simulated disk and ends with a forest that is sound, has nothing
 * left over and works, or, after a failed sync, with one that gives the durable state and with its
 * heir. The faults at every operation are in `faults.test.ts`.
 */

import { describe, expect, it } from 'vitest';
import { isVarveError } from '../../../src/errors.ts';
import { codecs, Forest, type Transaction } from '../../../src/forest/index.ts';
import type { GrainId } from '../../../src/index.ts';
import { patternOf } from '../../support/bytes.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { expectNoLeak, findingsOf } from '../../support/fixtures/forest-checks.ts';
import { check } from '../../support/fixtures/store-checks.ts';

const options = { nodeBytes: 512, nodeCacheBytes: 0, cacheBytes: 0 };

class Lab {
  readonly disk: SimulatedDisk;
  #forest: Forest | undefined;

  constructor(disk = new SimulatedDisk({ records: false })) {
    this.disk = disk;
  }

  get forest(): Forest {
    return this.#forest as Forest;
  }

  async open(): Promise<this> {
    this.#forest = await Forest.open('forest', { ...options, fileSystem: this.disk });
    return this;
  }

  tree(name = 'oak') {
    return this.forest.tree(name, { key: codecs.uint, value: codecs.bytes });
  }

  put(tx: Transaction, key: number, name = 'oak'): void {
    tx.tree(this.tree(name)).put(key, patternOf(key % 3 === 0 ? 1500 : 40, key));
  }

  keys(name = 'oak'): number[] {
    return [...this.tree(name).keys()];
  }

  /** Something to stand on. */
  async plant(): Promise<this> {
    await this.forest.transaction((tx) => {
      for (let key = 0; key < 60; key++) this.put(tx, key);
    });
    return this;
  }

  /** From now on the disk is full. */
  fill(): void {
    this.disk.faultOf = ({ kind }) => {
      return kind === 'datasync' ? undefined : { kind: 'error', code: 'ENOSPC', done: 'nothing' };
    };
  }

  /** What the promise rejects with; there is room on the disk again as soon as it does. */
  async refused(promise: Promise<unknown>): Promise<unknown> {
    const error = await errorOf(promise);
    this.disk.faultOf = undefined;
    expect(isVarveError(error, 'VARVE_IO')).toBe(true);
    return error;
  }

  async expectSoundAndWorking(keys: readonly number[]): Promise<void> {
    expect(this.keys()).toEqual(keys);
    expect(await findingsOf(this.forest)).toEqual([]);
    await this.forest.transaction((tx) => this.put(tx, 999));
    expect(this.keys()).toEqual([...keys, 999]);
    expect(await findingsOf(this.forest)).toEqual([]);
    await expectNoLeak(this.forest);
    await this.forest.close();
  }
}

const planted = Array.from({ length: 60 }, (_, key) => key);

/** What a promise rejects with, as soon as it does. */
async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('a commit whose write fails', () => {
  it('rejects all of its transactions with one error; later ones use the state before it', async () => {
    const lab = await (await new Lab().open()).plant();
    lab.fill();
    const { forest } = lab;
    const errors = await Promise.all(
      [100, 101, 102].map((key) => lab.refused(forest.transaction((tx) => lab.put(tx, key)))),
    );
    expect(new Set(errors).size).toBe(1);
    await lab.expectSoundAndWorking(planted);
  });

  it('rejects transactions that ended after it with the same error', async () => {
    const lab = await (await new Lab().open()).plant();
    lab.fill();
    const { forest } = lab;
    const first = lab.refused(forest.transaction((tx) => lab.put(tx, 100)));
    await Promise.resolve();
    const behind = errorOf(
      forest.transaction((tx) => {
        expect(tx.tree(lab.tree()).has(100)).toBe(true);
        lab.put(tx, 101);
      }),
    );
    const error = await first;
    expect(await behind).toBe(error);
    await lab.expectSoundAndWorking(planted);
  });

  it('rejects a transaction on its state that has pushed and forked, whatever it does', async () => {
    const lab = await (await new Lab().open()).plant();
    lab.fill();
    const { forest } = lab;
    const seen: unknown[] = [];
    const first = lab.refused(forest.transaction((tx) => lab.put(tx, 100)));
    const underWay = errorOf(
      forest.transaction(async (tx) => {
        tx.push(patternOf(3000));
        tx.fork('oak', 'elm');
        lab.put(tx, 3, 'elm');
        await first;
        for (const change of [
          () => tx.push(patternOf(30)),
          () => lab.put(tx, 5),
          () => tx.fork('oak', 'ash'),
          () => tx.tree(lab.tree()).has(100),
        ]) {
          try {
            change();
            seen.push('nothing was thrown');
          } catch (error) {
            seen.push(error);
          }
        }
      }),
    );
    const after = forest.transaction((tx) => tx.tree(lab.tree()).has(100));
    const error = await first;
    expect(await underWay).toBe(error);
    expect(seen).toEqual([error, error, error, error]);
    expect(await after).toBe(false);
    expect(forest.names()).toEqual(['oak']);
    await lab.expectSoundAndWorking(planted);
  });

  it('releases the values archived in it: the next commit may archive them', async () => {
    const lab = await (await new Lab().open()).plant();
    const { forest } = lab;
    const id = await forest.transaction((tx) => tx.push(patternOf(700)));
    lab.fill();
    const archive = (): Promise<void> => {
      return forest.transaction((tx) => {
        lab.put(tx, 100);
        tx.archive(id);
      });
    };
    await lab.refused(archive());
    expect(forest.store.get(id)).toEqual(patternOf(700));
    await archive();
    await lab.expectSoundAndWorking([...planted, 100]);
  });

  it('throws from transactionSync, and the next one works', async () => {
    const lab = await (await new Lab().open()).plant();
    lab.fill();
    const { forest } = lab;
    let pushed: GrainId | undefined;
    check.throws('VARVE_IO', () =>
      forest.transactionSync((tx) => {
        pushed = tx.push(patternOf(70));
        lab.put(tx, 100);
      }),
    );
    lab.disk.faultOf = undefined;
    expect(forest.store.has(pushed as GrainId)).toBe(false);
    forest.transactionSync((tx) => lab.put(tx, 101));
    await lab.expectSoundAndWorking([...planted, 101]);
  });
});

describe('a commit whose sync fails', () => {
  it('rejects all transactions on its state; reads and snapshots give the durable state', async () => {
    const lab = await (await new Lab().open()).plant();
    const { forest } = lab;
    const snapshot = forest.snapshot();
    lab.disk.faultOf = ({ kind }) =>
      kind === 'datasync' ? { kind: 'sync', cache: 'dropped' } : undefined;
    const first = errorOf(forest.transaction((tx) => lab.put(tx, 100)));
    const second = errorOf(forest.transaction((tx) => lab.put(tx, 101)));
    const underWay = errorOf(
      forest.transaction(async (tx) => {
        tx.push(patternOf(50));
        await first;
        lab.put(tx, 102);
      }),
    );
    const error = await first;
    expect(isVarveError(error, 'VARVE_POISONED')).toBe(true);
    expect([await second, await underWay]).toEqual([error, error]);
    const operations = lab.disk.operations.length;
    await check.rejects('VARVE_POISONED', () => forest.transaction((tx) => lab.put(tx, 103)));
    check.throws('VARVE_POISONED', () => forest.transactionSync((tx) => lab.put(tx, 104)));
    expect(lab.keys()).toEqual(planted);
    expect([...snapshot.tree(lab.tree()).keys()]).toEqual(planted);
    snapshot.release();
    await forest.close().catch(() => undefined);
    // Nothing may be written after a failed sync.
    expect(lab.disk.operations.length).toBe(operations);
    const heir = await new Lab(new SimulatedDisk({ state: lab.disk.state })).open();
    const [kept] = [planted, [...planted, 100, 101]].filter(
      ({ length }) => length === heir.keys().length,
    );
    await heir.expectSoundAndWorking(kept ?? []);
  });
});

describe('a node that a commit in flight has stored', () => {
  /** Calls `act` in each microtask until the promise has settled. */
  async function untilSettled(promise: Promise<unknown>, act: () => void): Promise<void> {
    let isSettled = false;
    const settled = (): void => {
      isSettled = true;
    };
    promise.then(settled, settled);
    for (let hop = 0; !isSettled && hop < 1000; hop++) {
      act();
      await undefined;
    }
    expect(isSettled).toBe(true);
  }

  it.each([
    ['write', 'VARVE_IO'],
    ['datasync', 'VARVE_POISONED'],
  ] as const)(
    'is not reported as damage to transactions that miss it after a failed %s',
    async (failing, code) => {
      const lab = await (await new Lab().open()).plant();
      const { forest } = lab;
      lab.disk.faultOf = ({ kind }) => {
        if (kind !== failing) return undefined;
        return kind === 'write' ? { kind: 'error', code: 'EIO' } : { kind: 'sync', cache: 'kept' };
      };
      const first = errorOf(forest.transaction((tx) => lab.put(tx, 99)));
      const seen = new Set<unknown>();
      const ended: Promise<unknown>[] = [];
      await untilSettled(first, () => {
        const body = (tx: Transaction): void => {
          try {
            tx.tree(lab.tree()).get(99);
          } catch (error) {
            seen.add((error as { code: string }).code);
          }
        };
        ended.push(errorOf(forest.transaction(body)));
      });
      await Promise.all(ended);
      expect(isVarveError(await first, code)).toBe(true);
      expect([...seen]).toEqual([code]);
    },
  );

  it('is read without blocking, also if it becomes durable during the read', async () => {
    const lab = await (await new Lab().open()).plant();
    const { forest } = lab;
    const first = forest.transaction((tx) => lab.put(tx, 99));
    const reads = await forest.transaction(async (tx) => {
      const found: Promise<Uint8Array | undefined>[] = [];
      await untilSettled(first, () => found.push(tx.tree(lab.tree()).getAsync(99)));
      return await Promise.all(found);
    });
    for (const value of reads) expect(value).toEqual(patternOf(1500, 99));
    await lab.expectSoundAndWorking([...planted, 99]);
  });
});

describe('a read that fails', () => {
  it('releases an iterator: the state that it held is freed', async () => {
    const lab = await (await new Lab().open()).plant();
    const { disk } = lab;
    await lab.forest.close();
    await lab.open();
    const entries = lab.tree().range();
    const later = lab.tree().rangeAsync();
    disk.readFaultOf = () => ({ kind: 'error', code: 'EIO' });
    check.throws('VARVE_IO', () => entries.next());
    await check.rejects('VARVE_IO', () => later.next());
    disk.readFaultOf = undefined;
    await lab.forest.transaction((tx) => tx.tree(lab.tree()).deleteRange({ gte: 1 }));
    await lab.expectSoundAndWorking([0]);
  });

  it('by a call of changes leaves no state held', async () => {
    const lab = await (await new Lab().open()).plant();
    const { forest, disk } = lab;
    const log = forest.tree('log', { key: codecs.uint, versioned: true });
    for (const key of [1, 2]) await log.put(key, patternOf(700, key));
    await forest.close();
    await lab.open();
    const again = lab.forest.tree('log', { key: codecs.uint, versioned: true });
    expect(again.lastSequence).toBe(2);
    disk.readFaultOf = () => ({ kind: 'error', code: 'EIO' });
    check.throws('VARVE_IO', () => again.changes());
    disk.readFaultOf = undefined;
    await lab.forest.transaction((tx) => tx.drop('log'));
    await lab.expectSoundAndWorking(planted);
  });

  it('breaks a transaction, also if its body catches the error and continues', async () => {
    const lab = await (await new Lab().open()).plant();
    const { forest, disk } = lab;
    await forest.close();
    await lab.open();
    let failing: unknown;
    const tree = lab.tree();
    const error = await errorOf(
      lab.forest.transaction((tx) => {
        lab.put(tx, 0);
        disk.readFaultOf = () => ({ kind: 'error', code: 'EIO' });
        failing = check.throws('VARVE_IO', () => tx.tree(tree).put(50, patternOf(9)));
        disk.readFaultOf = undefined;
        check.throws('VARVE_IO', () => lab.put(tx, 100));
      }),
    );
    expect(error).toBe(failing);
    await lab.expectSoundAndWorking(planted);
  });
});
