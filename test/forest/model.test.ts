/**
 * A forest against plain maps: any transactions over several trees, forks, drops, snapshots and
 * iterators held across changes, and reopenings.
 *
 * Invariant: after each step every tree answers as the model does, in every form of range; at the
 * end `verify` finds nothing, and once everything has been freed the store holds what the trees
 * reach and nothing else.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Forest, type Snapshot, type Transaction, type Tree } from '../../src/forest/index.ts';
import { memoryFileSystem } from '../../src/index.ts';
import { code, expectNoLeak, findingsOf } from '../support/fixtures/forest-checks.ts';
import {
  applyToModel,
  type Change,
  changesAfter,
  copyModel,
  type Dialect,
  dialects,
  inRange,
  journals,
  Model,
  putsOf,
  type Step,
  stepArbitrary,
  trimPoint,
} from '../support/oracles/forest-model.ts';

type NumberTree = Tree<number, number, number>;

class Life {
  readonly #dialect: Dialect;
  readonly #journalBytes: number | undefined;
  readonly #fileSystem = memoryFileSystem();
  #forest: Forest | undefined;
  #model = new Model();
  #snapshots: { snapshot: Snapshot; model: Model }[] = [];
  #iterators: { iterator: IterableIterator<[number, number]>; rest: [number, number][] }[] = [];

  constructor(dialect: Dialect, journalBytes: number | undefined) {
    this.#dialect = dialect;
    this.#journalBytes = journalBytes;
  }

  get forest(): Forest {
    return this.#forest as Forest;
  }

  async open(): Promise<void> {
    const settings = { nodeBytes: 512, nodeCacheBytes: 20_000, journalBytes: this.#journalBytes };
    this.#forest = await Forest.open('a.varve', { ...settings, fileSystem: this.#fileSystem });
  }

  tree(name: string): NumberTree {
    return this.forest.tree(name, this.#dialect.options);
  }

  #change(tx: Transaction, change: Change): unknown {
    if (change.do === 'fork') {
      try {
        tx.fork(change.tree, change.to);
        return undefined;
      } catch (error) {
        return (error as { code: string }).code;
      }
    }
    if (change.do === 'drop') return tx.drop(change.tree);
    const tree = tx.tree(this.tree(change.tree));
    if (change.do === 'put') return tree.put(change.key, change.value);
    if (change.do === 'delete') return tree.delete(change.key);
    if (change.do === 'deleteRange') return tree.deleteRange(change.range);
    if (change.do === 'trim') {
      if (!this.#dialect.versioned) return undefined;
      const { sequence } = this.#model.get(change.tree) ?? { sequence: 0 };
      return tree.trimHistory(trimPoint(sequence, change.share));
    }
    for (const [key, value] of putsOf(change)) tree.put(key, value);
    return undefined;
  }

  /** All changes, in the forest and in the model, and the same answers. */
  #changeAll(tx: Transaction, changes: readonly Change[]): void {
    for (const change of changes) {
      const told = this.#change(tx, change);
      expect(told).toEqual(applyToModel(this.#model, change));
    }
    for (const { tree } of changes) {
      const entries = [...tx.tree(this.tree(tree)).range()];
      expect(entries).toEqual(inRange(this.#model.get(tree), {}));
    }
  }

  async #transaction(changes: readonly Change[], ends: 'well' | 'throws' | 'later'): Promise<void> {
    const before = copyModel(this.#model);
    const error = new Error('the body throws');
    const body = (tx: Transaction): void => {
      this.#changeAll(tx, changes);
      if (ends === 'throws') throw error;
    };
    const later = async (tx: Transaction): Promise<void> => {
      await Promise.resolve();
      body(tx);
      await Promise.resolve();
    };
    const done = this.forest.transaction<void>(ends === 'later' ? later : body);
    if (ends !== 'throws') await done;
    else {
      await expect(done).rejects.toBe(error);
      this.#model = before;
    }
  }

  async step(step: Step): Promise<void> {
    if (step.step === 'transaction') await this.#transaction(step.changes, step.ends);
    else if (step.step === 'together') {
      await Promise.all(step.parts.map((changes) => this.#transaction(changes, 'well')));
    } else if (step.step === 'snapshot') {
      this.#snapshots.push({ snapshot: this.forest.snapshot(), model: copyModel(this.#model) });
    } else if (step.step === 'release') {
      for (const { snapshot } of this.#snapshots.splice(step.which, 1)) snapshot.release();
    } else if (step.step === 'iterate') {
      const iterator = this.tree(step.tree).range(step.range);
      const rest = inRange(this.#model.get(step.tree), step.range);
      const first = iterator.next();
      expect(first.done === true ? undefined : first.value).toEqual(rest.shift());
      this.#iterators.push({ iterator, rest });
    } else await this.#reopen(step.closes);
    await this.compare(step);
  }

  async #reopen(closes: boolean): Promise<void> {
    for (const { iterator } of this.#iterators) iterator.return?.();
    for (const { snapshot } of this.#snapshots) snapshot.release();
    this.#iterators = [];
    this.#snapshots = [];
    if (closes) await this.forest.close();
    else await this.forest.store.close();
    await this.open();
  }

  async compare(step: Step): Promise<void> {
    expect(this.forest.names().sort()).toEqual([...this.#model.keys()].sort());
    for (const name of ['oak', 'elm', 'ash']) this.#compareTree(name);
    for (const { snapshot, model } of this.#snapshots) {
      for (const name of model.keys()) {
        const tree = snapshot.tree(this.tree(name));
        expect([...tree.range()]).toEqual(inRange(model.get(name), {}));
      }
    }
    if (step.step !== 'iterate') return;
    const range = { ...step.range };
    const expected = inRange(this.#model.get(step.tree), range);
    const tree = this.tree(step.tree);
    expect([...tree.keys(range)]).toEqual(expected.map(([key]) => key));
    expect([...tree.values(range)]).toEqual(expected.map(([, value]) => value));
    const got: [number, number][] = [];
    for await (const entry of tree.rangeAsync(range)) got.push(entry);
    expect(got).toEqual(expected);
    const whole = inRange(this.#model.get(step.tree), { ...range, limit: undefined });
    expect(tree.count(range)).toBe(whole.length);
    const { reducer } = this.#dialect.options;
    if (reducer !== undefined) {
      const parts = whole.map(([key, value]) => reducer.map(key, value));
      expect(tree.reduce(range)).toBe(reducer.reduce(parts));
    }
  }

  #compareTree(name: string): void {
    const model = this.#model.get(name);
    const tree = this.tree(name);
    const entries = inRange(model, {});
    expect([...tree.range()]).toEqual(entries);
    expect([...tree.range({ reverse: true })]).toEqual(entries.reverse());
    entries.reverse();
    expect(tree.first()).toEqual(entries[0]);
    expect(tree.last()).toEqual(entries.at(-1));
    for (const [key, value] of entries.slice(0, 3)) expect(tree.get(key)).toBe(value);
    expect(tree.has(99_999 % 65_000)).toBe(false);
    if (!this.#dialect.versioned) return;
    const sequence = model?.sequence ?? this.#model.left.get(name) ?? 0;
    const kept = { changes: model?.changes ?? [], sequence };
    expect(tree.lastSequence).toBe(sequence);
    expect([...tree.changes()]).toEqual(kept.changes);
    const oldest = kept.changes[0]?.sequence ?? sequence + 1;
    for (const after of [Math.floor(sequence / 2), oldest - 2, oldest - 1, sequence + 1]) {
      const expected = changesAfter(kept, Math.max(0, after));
      const read = () => [...tree.changes({ after: Math.max(0, after), limit: 5 })];
      if (typeof expected !== 'string') expect(read()).toEqual(expected.slice(0, 5));
      else expect(read).toThrow(code(expected.slice('VARVE_'.length)));
    }
  }

  async end(): Promise<void> {
    for (const { iterator, rest } of this.#iterators) expect([...iterator]).toEqual(rest);
    expect(await findingsOf(this.forest)).toEqual([]);
    for (const { snapshot } of this.#snapshots) snapshot.release();
    await expectNoLeak(this.forest);
    await this.forest.close();
  }
}

const lives = fc.tuple(fc.array(stepArbitrary(), { maxLength: 14 }), fc.constantFrom(...journals));

describe.each(dialects)('a forest of trees: $name', (dialect) => {
  it('answers as plain maps do, after any operations', async () => {
    await fc.assert(
      fc.asyncProperty(lives, async ([steps, journalBytes]) => {
        const life = new Life(dialect, journalBytes);
        await life.open();
        for (const step of steps) await life.step(step);
        await life.end();
      }),
      { numRuns: Number(process.env['VARVE_FOREST_RUNS'] ?? 60) },
    );
  }, 120_000);
});
