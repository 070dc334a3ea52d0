/**
 * Iterators over the entries of a tree between two positions.
 *
 * Invariants:
 * - An iterator reads the root that it was made with. It keeps its hold until its end, its
 *   `return()` or, if it is forgotten, its collection.
 * - It throws once the state that it reads has ended: a released snapshot, an ended transaction, a
 *   closed forest.
 * - An asynchronous one gives the event loop a turn at least every 10 ms, wherever its nodes are.
 */

import { assert } from '../../util/assert.ts';
import { Breather } from '../../util/breather.ts';
import type { Leaf } from '../nodes/node.ts';
import { readPathToPosition, TreeCursor, type TreeSource } from '../trees/tree-search.ts';
import type { Positions } from './range.ts';

/** Keeps a state readable until it is released. */
export interface Hold {
  /** Throws if the state cannot be read any more. */
  check(): void;
  release(): void;
}

/** The tree to read, and the direction. */
export interface TreeRange extends TreeSource {
  readonly reverse: boolean;
}

const forgotten = new FinalizationRegistry<Hold>((hold) => hold.release());

const end: IteratorReturnResult<undefined> = { done: true, value: undefined };

abstract class EntryIterator {
  readonly #range: TreeRange;
  readonly #hold: Hold;
  #cursor: TreeCursor | undefined;
  #positions: Positions = { from: 0, to: 0 };
  #left = 0;

  constructor(range: TreeRange, hold: Hold) {
    this.#range = range;
    this.#hold = hold;
    forgotten.register(this, hold, this);
  }

  protected begin(positions: Positions): void {
    this.#positions = positions;
    this.#left = positions.to - positions.from;
    assert(this.#left >= 0, 'positions of a range rise');
  }

  /** Goes to the next entry; undefined at the end. */
  protected step(): TreeCursor | undefined {
    if (this.#left === 0) return undefined;
    this.#hold.check();
    const { reverse } = this.#range;
    if (this.#cursor === undefined) {
      const positions = this.#positions;
      this.#cursor = new TreeCursor(this.#range, reverse ? positions.to - 1 : positions.from);
    } else if (reverse) this.#cursor.backward();
    else this.#cursor.forward();
    this.#left -= 1;
    return this.#cursor;
  }

  /** Throws if the state cannot be read any more. */
  protected check(): void {
    this.#hold.check();
  }

  /** Reads the nodes that the next step needs, without blocking. */
  protected async ready(): Promise<void> {
    const { reverse } = this.#range;
    const cursor = this.#cursor;
    const positions = this.#positions;
    if (this.#left === 0) return;
    const within =
      cursor !== undefined &&
      (reverse ? cursor.index > 0 : cursor.index + 1 < cursor.leaf.entries.count);
    if (within) return;
    const at = reverse ? positions.from + this.#left - 1 : positions.to - this.#left;
    assert(at >= positions.from && at < positions.to, 'the next entry is in the range');
    await readPathToPosition(this.#range, at);
  }

  protected finish(): IteratorReturnResult<undefined> {
    this.#left = 0;
    this.#cursor = undefined;
    forgotten.unregister(this);
    this.#hold.release();
    return end;
  }
}

export class Entries<T> extends EntryIterator implements IterableIterator<T> {
  readonly #give: (leaf: Leaf, index: number) => T;

  constructor(
    range: TreeRange,
    positions: Positions,
    hold: Hold,
    give: (leaf: Leaf, index: number) => T,
  ) {
    super(range, hold);
    this.begin(positions);
    this.#give = give;
  }

  next(): IteratorResult<T, undefined> {
    try {
      const at = this.step();
      if (at === undefined) return this.finish();
      return { done: false, value: this.#give(at.leaf, at.index) };
    } catch (error) {
      // The loop does not call `return` then: without this the hold would stay until the
      // collection.
      this.finish();
      throw error;
    }
  }

  return(): IteratorResult<T, undefined> {
    return this.finish();
  }

  [Symbol.iterator](): this {
    return this;
  }
}

export class AsyncEntries<T> extends EntryIterator implements AsyncIterableIterator<T> {
  readonly #give: (leaf: Leaf, index: number) => Promise<T>;
  readonly #breather = new Breather();
  #find: (() => Promise<Positions>) | undefined;
  /** Calls of `next` run one after the other, also if the caller does not await them. */
  #turn: Promise<unknown> = Promise.resolve();

  /** `find` finds the range; it is called once, before the first entry. */
  constructor(
    range: TreeRange,
    find: () => Promise<Positions>,
    hold: Hold,
    give: (leaf: Leaf, index: number) => Promise<T>,
  ) {
    super(range, hold);
    this.#find = find;
    this.#give = give;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const result = this.#turn.then(() => this.#next());
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #next(): Promise<IteratorResult<T, undefined>> {
    const find = this.#find;
    this.#find = undefined;
    try {
      if (find !== undefined) this.begin(await find());
      // If all nodes are in memory, nothing else gives the event loop a turn.
      if (this.#breather.due) await this.#breather.turn();
      await this.ready();
      const at = this.step();
      if (at === undefined) return this.finish();
      const value = await this.#give(at.leaf, at.index);
      this.check();
      return { done: false, value };
    } catch (error) {
      this.finish();
      // If the state has ended, that is the cause of the error: throw it instead.
      this.check();
      throw error;
    }
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    await this.#turn;
    this.#find = undefined;
    return this.finish();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
