/**
 * The life of a forest over a simulated disk, through any number of openings, beside plain maps
 * that say what each of its transactions leaves behind.
 *
 * Invariant: every transaction leaves its number in the tree `marks`, so whatever state is found,
 * that number says which model the whole forest has to equal. `acknowledged` says, in order, which
 * transactions were told that they are durable, in which batch, and from which operation of the
 * disk on. It cuts no power and makes no faults; what it is told to tolerate it takes for granted.
 */

import { expect } from 'vitest';
import { isVarveError } from '../../../src/errors.ts';
import {
  codecs,
  Forest,
  type Snapshot,
  type Transaction,
  type Vault,
} from '../../../src/forest/index.ts';
import type { GrainId, VarveErrorCode } from '../../../src/index.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import type { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { openCompacting } from '../../support/fixtures/compacting-forest.ts';
import {
  applyToModel,
  type Change,
  copyModel,
  type Dialect,
  dialects,
  inRange,
  Model,
  type ModelTree,
  putsOf,
  trimPoint,
} from '../../support/oracles/forest-model.ts';
import { blobLength, type ForestChange, type ForestStep, type UnderWay } from './crash-steps.ts';
import { Uploads } from './crash-uploads.ts';

const settings = {
  nodeBytes: 512,
  nodeCacheBytes: 20_000,
  cacheBytes: 128 * 1024,
  settleBytes: 8192,
};
const blobOptions = { key: codecs.uint, value: codecs.u64 };

/** How the trees of a name are kept: its first three letters say it, so that forks agree. */
function dialectOf(name: string): Dialect {
  const at = ['fix', 'sum', 'log', 'rag', 'ver'].indexOf(name.slice(0, 3));
  return dialects[Math.max(0, at)] as Dialect;
}

/** What a body throws that is to come to nothing. */
class Thrown extends Error {}

/** Does the changes, in the forest and in the model. */
type Apply = (changes: readonly ForestChange[]) => void;

/** All that it gives; where a read fails it is let go of. */
function all<T>(iterator: IterableIterator<T>): T[] {
  try {
    return [...iterator];
  } finally {
    iterator.return?.();
  }
}

interface Acknowledged {
  readonly index: number;
  readonly batch: number;
  readonly operation: number;
}

export class ForestLife {
  readonly disk: SimulatedDisk;
  /** What each transaction leaves behind, if it is durable; 0: nothing yet. */
  readonly models: Map<number, Model>;
  readonly acknowledged: Acknowledged[] = [];
  /** Transactions that were refused, and why. */
  readonly refused: { readonly index: number; readonly error: unknown }[] = [];
  /** What the disk may make calls fail with. */
  tolerates: readonly VarveErrorCode[] = [];
  /** Bytes of changes that the next openings keep out of the nodes. */
  journalBytes: number | undefined;
  /** Everything is sealed by it. */
  vault: Vault | undefined;
  /** Its store has automatic compaction. */
  compacts = false;
  #count: number;
  #forest: Forest | undefined;
  readonly #snapshots: { readonly snapshot: Snapshot; readonly index: number }[] = [];

  readonly #uploads = new Uploads();

  constructor(disk: SimulatedDisk, before?: ForestLife) {
    this.disk = disk;
    this.journalBytes = before?.journalBytes;
    this.vault = before?.vault;
    this.compacts = before?.compacts ?? false;
    this.models = new Map(before?.models ?? [[0, new Model()]]);
    this.#count = before?.count ?? 0;
  }

  /** Transactions so far. */
  get count(): number {
    return this.#count;
  }

  get forest(): Forest {
    if (this.#forest === undefined) throw new Error('the forest is not open');
    return this.#forest;
  }

  /** A sync has failed: nothing can follow. */
  get poisoned(): boolean {
    return this.refused.some(({ error }) => isVarveError(error, 'VARVE_POISONED'));
  }

  async open(): Promise<void> {
    while (this.#forest === undefined) {
      try {
        const { disk: fileSystem, journalBytes, vault } = this;
        const options = { ...settings, journalBytes, vault, fileSystem };
        const open = this.compacts ? openCompacting : Forest.open;
        this.#forest = await open('forest', options);
      } catch (error) {
        this.#mayRefuse(error);
      }
    }
  }

  async close(): Promise<void> {
    for (const { snapshot } of this.#snapshots.splice(0)) snapshot.release();
    try {
      await this.#forest?.close();
    } catch (error) {
      this.#mayRefuse(error);
    }
    this.#forest = undefined;
  }

  #mayRefuse(error: unknown): void {
    if (!this.tolerates.some((code) => isVarveError(error, code))) throw error;
  }

  async run(steps: readonly ForestStep[]): Promise<void> {
    await this.open();
    for (const step of steps) {
      await this.step(step);
      if (this.poisoned) return;
      if (this.tolerates.length > 0) this.compare(this.lastAcknowledged);
    }
  }

  get lastAcknowledged(): number {
    return this.acknowledged.at(-1)?.index ?? 0;
  }

  async step(step: ForestStep): Promise<void> {
    if (!(await this.#pushing(() => this.#uploads.push(this.forest, step)))) return;
    switch (step.step) {
      case 'together':
        await Promise.all(step.parts.map((changes) => this.#write((apply) => apply(changes))));
        return;
      case 'sync':
        this.#writeSync(step.changes);
        return;
      case 'left upload':
        await this.#pushing(() => this.#uploads.leave(this.forest, step));
        return;
      case 'thrown':
        await this.#write((apply) => {
          apply(step.changes);
          throw new Thrown();
        });
        return;
      case 'under way':
        await this.#underWay(step);
        return;
      case 'snapshot':
        this.#snapshots.push({ snapshot: this.forest.snapshot(), index: this.lastAcknowledged });
        return;
      case 'release':
        for (const { snapshot, index } of this.#snapshots.splice(0)) {
          this.#reading(() => {
            for (const [name, tree] of this.models.get(index) ?? []) {
              if (name !== 'blobs') this.#compareRange(name, tree, snapshot);
            }
          });
          snapshot.release();
        }
        return;
      case 'reopen':
        await this.close();
        await this.open();
    }
  }

  async #underWay({ before, first, waits, rest, ends, after }: UnderWay): Promise<void> {
    const earlier = before.map((changes) => this.#write((apply) => apply(changes)));
    const mine = this.#write(async (apply) => {
      apply(first);
      if (waits) await Promise.allSettled(earlier);
      else await Promise.resolve();
      apply(rest);
      if (ends === 'throws') throw new Thrown();
    });
    const later = after.map((changes) => this.#write((apply) => apply(changes)));
    await Promise.all([...earlier, mine, ...later]);
  }

  /** False if the disk refused the pushes. */
  async #pushing(push: () => Promise<void>): Promise<boolean> {
    try {
      await push();
      return true;
    } catch (error) {
      this.#mayRefuse(error);
      this.refused.push({ index: this.#next(), error });
      return false;
    }
  }

  // ── transactions ──

  /** Resolves when the transaction is durable, refused where it may be, or thrown. */
  #write(body: (apply: Apply) => void | Promise<void>): Promise<void> {
    const index = this.#next();
    const done = this.forest.transaction((tx) => body(this.#begin(tx, index)));
    return done.then(
      () => this.#acknowledge(index),
      (error: unknown) => this.#refuse(index, error),
    );
  }

  #writeSync(changes: readonly ForestChange[]): void {
    const index = this.#next();
    try {
      this.forest.transactionSync((tx) => this.#begin(tx, index)(changes));
      this.#acknowledge(index);
    } catch (error) {
      this.#refuse(index, error);
    }
  }

  #next(): number {
    this.#count += 1;
    return this.#count;
  }

  #acknowledge(index: number): void {
    const snapshot = this.forest.snapshot();
    const { batch } = snapshot;
    snapshot.release();
    this.acknowledged.push({ index, batch, operation: this.disk.operations.length });
  }

  #refuse(index: number, error: unknown): void {
    if (error instanceof Thrown) return;
    this.#mayRefuse(error);
    this.refused.push({ index, error });
  }

  /** What the transaction stands on says its mark; from now on its own number is there. */
  #begin(tx: Transaction, index: number): Apply {
    const marks = tx.tree(this.tree('marks'));
    const model = copyModel(this.models.get(marks.get(0) ?? 0) as Model);
    this.models.set(index, model);
    marks.put(0, index);
    applyToModel(model, { do: 'put', tree: 'marks', key: 0, value: index });
    return (changes) => {
      for (const change of changes) {
        const answer = this.#change(tx, change, model);
        expect(answer).toEqual(this.#changeModel(model, change));
      }
    };
  }

  #changeModel(model: Model, change: ForestChange): unknown {
    if (change.do === 'blob' || change.do === 'upload')
      return applyToModel(model, { ...change, do: 'put' });
    if (change.do === 'unblob') return applyToModel(model, { ...change, do: 'delete' });
    return applyToModel(model, change);
  }

  #change(tx: Transaction, change: ForestChange, model: Model): unknown {
    if (change.do === 'blob' || change.do === 'upload' || change.do === 'unblob') {
      const blobs = tx.tree(this.blobs);
      const old = blobs.get(change.key);
      if (old !== undefined) tx.archive(old as GrainId);
      if (change.do === 'unblob') return blobs.delete(change.key);
      blobs.put(change.key, this.#pushed(tx, change));
      return undefined;
    }
    if (change.do === 'fork') {
      try {
        return tx.fork(change.tree, change.to);
      } catch (error) {
        if (!isVarveError(error, 'VARVE_EXISTS')) throw error;
        return error.code;
      }
    }
    return this.#changeTree(tx, change, model.get(change.tree));
  }

  #pushed(tx: Transaction, change: ForestChange & { do: 'blob' | 'upload' }): GrainId {
    if (change.do === 'blob') return tx.push(patternOf(blobLength(change.value), change.value));
    const { session, id } = this.#uploads.take(change);
    tx.adopt(session);
    return id;
  }

  #changeTree(tx: Transaction, change: Change, model: ModelTree | undefined): unknown {
    if (change.do === 'drop') return tx.drop(change.tree);
    const tree = tx.tree(this.tree(change.tree));
    if (change.do === 'put') return tree.put(change.key, change.value);
    if (change.do === 'delete') return tree.delete(change.key);
    if (change.do === 'deleteRange') return tree.deleteRange(change.range);
    if (change.do === 'trim') {
      return tree.trimHistory(trimPoint(model?.sequence ?? 0, change.share));
    }
    if (change.do === 'puts') for (const [key, value] of putsOf(change)) tree.put(key, value);
    return undefined;
  }

  // ── comparing ──

  tree(name: string) {
    return this.forest.tree(name, dialectOf(name).options);
  }

  get blobs() {
    return this.forest.tree('blobs', blobOptions);
  }

  /** The transaction whose state the forest is in. */
  get mark(): number {
    return this.tree('marks').get(0) ?? 0;
  }

  /** How many values of the user's own that state has. */
  get blobCount(): number {
    return this.models.get(this.mark)?.get('blobs')?.entries.size ?? 0;
  }

  /** Where a read is refused the same reads work the next time. */
  #reading(compare: () => void): void {
    try {
      compare();
    } catch (error) {
      this.#mayRefuse(error);
      compare();
    }
  }

  /** The forest is in the state that this transaction left, all of it. */
  compare(index: number): void {
    this.#reading(() => this.#compare(index));
  }

  #compare(index: number): void {
    const model = this.models.get(index) as Model;
    expect(this.mark).toBe(index);
    expect(this.forest.names().sort()).toEqual([...model.keys()].sort());
    for (const [name, tree] of model) {
      if (name === 'blobs') this.#compareBlobs(tree);
      else this.#compareTree(name, tree);
    }
  }

  #compareRange(name: string, model: ModelTree, of: Snapshot | undefined): void {
    const tree = this.tree(name);
    expect(all((of?.tree(tree) ?? tree).range())).toEqual(inRange(model, {}));
  }

  #compareTree(name: string, model: ModelTree): void {
    this.#compareRange(name, model, undefined);
    const tree = this.tree(name);
    const { versioned, options } = dialectOf(name);
    if (versioned) {
      expect(tree.lastSequence).toBe(model.sequence);
      expect(all(tree.changes())).toEqual(model.changes);
    }
    const { reducer } = options;
    if (reducer === undefined) return;
    const parts = [...model.entries].map(([key, value]) => reducer.map(key, value));
    expect(tree.reduce()).toBe(reducer.reduce(parts));
  }

  #compareBlobs({ entries }: ModelTree): void {
    const found = all(this.blobs.range());
    expect(found.map(([key]) => key)).toEqual([...entries.keys()].sort((a, b) => a - b));
    for (const [key, id] of found) {
      const seed = entries.get(key) as number;
      const bytes = this.forest.get(id as GrainId);
      expectSameBytes(bytes ?? new Uint8Array(0), patternOf(blobLength(seed), seed));
    }
  }
}
