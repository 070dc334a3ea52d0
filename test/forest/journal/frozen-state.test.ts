/**
 * Earlier states that commits write bit by bit: what each commit writes, and what is there after a
 * crash, a failure, a fork or a close in the middle.
 *
 * Invariant: here a crash is a store that is closed under an open forest. Power cuts are in
 * `crash/every-cut.test.ts`.
 */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { codecs, Forest, type ForestOptions, type Tree } from '../../../src/forest/index.ts';
import {
  decodeForestRoot,
  decodeSealedRoot,
  type ForestRoot,
} from '../../../src/forest/journal/forest-root.ts';
import { type GrainId, Session, Store, type StoreOptions } from '../../../src/index.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { code, endSound, expectNoLeak, findingsOf } from '../../support/fixtures/forest-checks.ts';
import { numbers, planted } from '../../support/fixtures/planted-forest.ts';

afterEach(() => vi.restoreAllMocks());

type Numbers = Tree<number, number, undefined>;

function rootAt({ store }: Forest, id: GrainId): ForestRoot {
  const sealed = decodeSealedRoot(store.get(id) as Uint8Array);
  return decodeForestRoot(sealed?.body as Uint8Array);
}

function newestRoot(forest: Forest): ForestRoot {
  return rootAt(forest, forest.store.embeddedHeader as GrainId);
}

/** The number of nodes that were written of a state whose other nodes were not. */
function writtenOf(forest: Forest): number {
  let root = newestRoot(forest);
  let count = root.written.length;
  for (let { listed } = root; listed > 0; listed--) {
    root = rootAt(forest, root.earlier?.id as GrainId);
    count += root.written.length;
  }
  return count;
}

const count = 2000;
/** More than a generation has. */
const putsMax = 1000;
const settings: ForestOptions = { journalBytes: 3000 };

/** Puts entries all over the tree, one a commit. */
class Putter {
  readonly model = new Map<number, number>();
  #turn = 0;

  async put(tree: Numbers): Promise<void> {
    this.#turn += 1;
    const key = ((this.#turn * 619) % count) * 10;
    await tree.put(key, this.#turn);
    this.model.set(key, this.#turn);
  }

  /** Puts while `goesOn` says so: not many times, if commits write states bit by bit. */
  async putWhile(tree: Numbers, goesOn: () => boolean): Promise<void> {
    for (let puts = 0; goesOn(); puts++) {
      expect(puts, 'puts that change nothing').toBeLessThan(putsMax);
      await this.put(tree);
    }
  }

  /** Puts until a commit has written some nodes of an earlier state, and not all. */
  async untilMidway(forest: Forest, tree: Numbers, least = 10): Promise<void> {
    await this.put(tree);
    await this.putWhile(tree, () => writtenOf(forest) < least);
  }

  check(forest: Forest, name = 't'): void {
    const tree = forest.tree(name, numbers);
    expect(tree.count()).toBe(count);
    for (const [key, value] of tree.range()) expect(value).toBe(this.model.get(key) ?? key / 10);
  }
}

async function midway(options: ForestOptions & StoreOptions = {}) {
  const bed = await planted(count, { ...settings, ...options });
  const putter = new Putter();
  await putter.untilMidway(bed.forest, bed.tree);
  return { ...bed, putter };
}

describe('commits that write an earlier state', () => {
  it('push a few nodes each, and never many', async () => {
    const { forest, tree } = await planted(count, settings);
    const putter = new Putter();
    const pushes = vi.spyOn(Session.prototype, 'push');
    const each: number[] = [];
    const bytes: number[] = [];
    while (each.length < 600) {
      pushes.mockClear();
      await putter.put(tree);
      each.push(pushes.mock.calls.length);
      bytes.push(forest.statistics().journalBytes);
    }
    // Nearly every put replaces another leaf: each is written, with the branches above.
    const all = each.reduce((sum, one) => sum + one, 0);
    expect(all).toBeGreaterThan(600 * 1.3);
    expect(Math.max(...each)).toBeLessThan(12);
    // Nodes are written eight at a time: most commits push their root only.
    expect(each.filter((pushed) => pushed === 1).length).toBeGreaterThan(600 * 0.7);
    expect(Math.max(...bytes)).toBeLessThanOrEqual(3000);
    putter.check(forest);
    await endSound(forest);
  });

  it('are followed by one that names it and drops the roots before it', async () => {
    const { forest, tree, putter, crash } = await midway();
    const { catalog, depth } = newestRoot(forest);
    const roots: ForestRoot[] = [];
    await putter.putWhile(tree, () => {
      const root = newestRoot(forest);
      if (root.catalog.ref?.id !== catalog.ref?.id) return false;
      roots.push(root);
      return true;
    });
    const last = roots.at(-1) as ForestRoot;
    const named = newestRoot(forest);
    expect(last.depth).toBeGreaterThanOrEqual(depth);
    // The changes since that state was frozen are still logged: one root a change.
    expect(named.depth).toBeGreaterThan(5);
    expect(named.depth).toBeLessThan(last.depth - 5);
    expect(named.listed).toBe(0);
    expect(named.written).toEqual([]);
    await putter.untilMidway(forest, tree);
    const again = await crash();
    putter.check(again);
    // The first commit archives the nodes of a state that was not written whole.
    await putter.put(again.tree('t', numbers));
    await endSound(again);
  });
});

describe('in the middle of an earlier state', () => {
  it('a crash loses nothing, and the nodes that were written are archived', async () => {
    const { forest, putter, crash } = await midway();
    const written = writtenOf(forest);
    expect(await findingsOf(forest)).toEqual([]);
    const again = await crash();
    putter.check(again);
    expect(await findingsOf(again)).toEqual([]);
    const { archivedValues } = again.store.statistics();
    await again.tree('t', numbers).put(1, 1);
    expect(again.store.statistics().archivedValues - archivedValues).toBeGreaterThanOrEqual(
      written,
    );
    // Its nodes are archived once.
    expect(newestRoot(again).listed).toBe(0);
    await again.tree('t', numbers).delete(1);
    await endSound(again);
  });

  it('a crash is survived again and again', async () => {
    const { tree: _, putter, crash, fileSystem } = await midway();
    let forest = await crash();
    for (let round = 0; round < 5; round++) {
      await putter.untilMidway(forest, forest.tree('t', numbers), 1 + round);
      await forest.store.close();
      forest = await Forest.open('a.varve', { fileSystem, nodeBytes: 1000, ...settings });
      putter.check(forest);
      expect(await findingsOf(forest)).toEqual([]);
    }
    await putter.put(forest.tree('t', numbers));
    await endSound(forest);
  });

  it('a crash loses nothing while replaced nodes are archived', async () => {
    const { forest, tree, putter, crash } = await midway();
    // Roots that name a state list what it replaces; those after it list the rest.
    const listed: number[] = [];
    const { catalog } = newestRoot(forest);
    await putter.putWhile(tree, () => newestRoot(forest).catalog.ref?.id === catalog.ref?.id);
    while (newestRoot(forest).pending.length > 0) {
      listed.push(newestRoot(forest).pending.length);
      if (listed.length === 2) break;
      await putter.put(tree);
    }
    expect(listed).toHaveLength(2);
    expect(listed[0]).toBeGreaterThan(listed[1] as number);
    expect(await findingsOf(forest)).toEqual([]);
    await expectNoLeak(forest);
    const again = await crash();
    putter.check(again);
    await putter.put(again.tree('t', numbers));
    await endSound(again);
  });

  it('closing writes the rest', async () => {
    const { forest, putter, fileSystem } = await midway();
    await forest.close();
    const again = await Forest.open('a.varve', { fileSystem });
    expect(again.statistics().journalBytes).toBe(0);
    putter.check(again);
    await endSound(again);
  });

  it('a fork stores the rest, and both trees go on', async () => {
    const { forest, tree, putter, crash } = await midway();
    const then = new Map(putter.model);
    await forest.transaction((tx) => tx.fork('t', 'u'));
    expect(newestRoot(forest).depth).toBe(0);
    await putter.untilMidway(forest, tree);
    const again = await crash();
    putter.check(again);
    for (const [key, value] of again.tree('u', numbers).range()) {
      expect(value).toBe(then.get(key) ?? key / 10);
    }
    await putter.put(again.tree('t', numbers));
    await endSound(again);
  });

  it.each([0, 1, 40])('a fork that fails changes nothing, %i commits later', async (later) => {
    const { forest, tree, putter, crash } = await midway();
    const stop = new Error('stop');
    const fork = forest.transaction(async (tx) => {
      tx.tree(tree).put(5, 5);
      tx.fork('t', 'u');
      throw stop;
    });
    await expect(fork).rejects.toBe(stop);
    expect(await findingsOf(forest)).toEqual([]);
    for (let at = 0; at < later; at++) await putter.put(tree);
    expect(await findingsOf(forest)).toEqual([]);
    const again = await crash();
    putter.check(again);
    await putter.put(again.tree('t', numbers));
    await endSound(again);
  });

  it('a fork that waits and fails beside commits changes nothing', async () => {
    const { forest, tree, putter, crash } = await midway();
    const stop = new Error('stop');
    const beside = [putter.put(tree)];
    const fork = forest.transaction(async (tx) => {
      tx.fork('t', 'u');
      await beside[0];
      throw stop;
    });
    await expect(fork).rejects.toBe(stop);
    await Promise.all(beside);
    expect(await findingsOf(forest)).toEqual([]);
    for (let at = 0; at < 10; at++) await putter.put(tree);
    const again = await crash();
    putter.check(again);
    await putter.put(again.tree('t', numbers));
    await endSound(again);
  });

  it('a snapshot keeps its state until it is released', async () => {
    const { forest, tree, putter } = await midway();
    const then = new Map(putter.model);
    const snapshot = forest.snapshot();
    for (let at = 0; at < 300; at++) await putter.put(tree);
    for (const [key, value] of snapshot.tree(tree).range()) {
      expect(value).toBe(then.get(key) ?? key / 10);
    }
    snapshot.release();
    putter.check(forest);
    await endSound(forest);
  });

  it('a commit that fails is made up for by the next ones', async () => {
    const fileSystem = new SimulatedDisk({ records: false });
    const { forest, tree, putter } = await midway({ fileSystem });
    for (let round = 0; round < 30; round++) {
      fileSystem.faultOf = ({ kind }) => {
        return kind === 'datasync' ? undefined : { kind: 'error', code: 'ENOSPC', done: 'nothing' };
      };
      await expect(tree.put(0, 1)).rejects.toMatchObject({ code: 'VARVE_IO' });
      fileSystem.faultOf = undefined;
      await putter.put(tree);
    }
    putter.check(forest);
    await endSound(forest);
  });
});

describe('an earlier state', () => {
  it('keeps long values that later commits replace until it is replaced itself', async () => {
    const forest = await Forest.inMemory({ nodeBytes: 512, journalBytes: 1500 });
    const tree = forest.tree('long', { key: codecs.uint, value: codecs.bytes, versioned: true });
    const bytesOf = (at: number): Uint8Array => new Uint8Array(at % 3 === 0 ? 1500 : 20).fill(at);
    await forest.transaction((tx) => {
      for (let key = 0; key < 200; key++) tx.tree(tree).put(key, bytesOf(key));
    });
    const snapshots = [];
    for (let at = 0; at < 300; at++) {
      await tree.put((at * 61) % 200, bytesOf(at));
      if (at % 50 === 20) snapshots.push({ snapshot: forest.snapshot(), at });
    }
    expect(tree.lastSequence).toBe(500);
    for (const { snapshot, at } of snapshots) {
      expect(snapshot.tree(tree).get((at * 61) % 200)).toEqual(bytesOf(at));
      snapshot.release();
    }
    expect([...tree.changes({ after: 200 })].map(({ value }) => value)).toEqual(
      Array.from({ length: 300 }, (_, at) => bytesOf(at)),
    );
    await endSound(forest);
  });

  it('is written beside trees whose nodes are damaged, whose changes stay logged', async () => {
    const { forest, fileSystem } = await planted(count, settings);
    const other = forest.tree('other', numbers);
    await other.put(1, 1);
    await other.put(1, 2);
    await forest.store.close();
    const get = Store.prototype.get;
    vi.spyOn(Store.prototype, 'get').mockImplementation(function (this: Store, id) {
      const bytes = get.call(this, id);
      // The only leaf of the tree `other` is lost.
      return bytes?.length === 24 && bytes[0] === 0 ? undefined : bytes;
    });
    const options = { fileSystem, nodeBytes: 1000, ...settings };
    const hurt = await Forest.open('a.varve', options);
    expect(() => hurt.tree('other', numbers).get(1)).toThrow(code('CORRUPT'));
    const putter = new Putter();
    for (let at = 0; at < 400; at++) await putter.put(hurt.tree('t', numbers));
    await hurt.store.close();
    vi.restoreAllMocks();
    const healed = await Forest.open('a.varve', options);
    expect(healed.tree('other', numbers).get(1)).toBe(2);
    putter.check(healed);
    await putter.put(healed.tree('t', numbers));
    await endSound(healed);
  });
});
