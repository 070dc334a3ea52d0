/**
 * The body of a transaction: does the operations of a plan through `tx`, and checks each answer
 * against the state that the transactions before it leave behind.
 *
 * Invariant: an operation that fails has no effect, in the forest and in the model; so a body that
 * catches the error can go on.
 */

import type { Transaction, WritableTree } from '../../src/forest/index.ts';
import type { GrainId } from '../../src/index.ts';
import type { Entry } from './model/ledger.ts';
import { applied, bytesOf, type Effect, inRange, type State } from './model/model-state.ts';
import { keysMax, type Op, treeNames } from './model/plan.ts';
import { entriesDiffer, type Handle } from './observation.ts';
import { SimulationFailure, unexpected } from './world/failure.ts';
import type { Reached } from './world/reached.ts';

/** What a body throws by itself. */
export class BodyError extends Error {}

/** Where a body waits: for turns, a gate, or a read. */
export type Pause = Extract<Op, { do: 'wait' | 'gate' }> | AwaitedRead;

export interface AwaitedRead {
  readonly do: 'awaitedRead';
  /** Settles as the read does. */
  later(): Promise<void>;
  /** The same for a body that does not wait. */
  atOnce(): void;
}

type WaitingOp = Extract<Op, { do: 'wait' | 'gate' | 'getAsync' | 'rangeAsync' }>;

/** What a body needs of its life. */
export interface BodyWorld {
  readonly trees: readonly Handle[];
  versioned(tree: number): boolean;
  /** The state that the body runs on. */
  baseOf(entry: Entry, tx: Transaction): State;
  nextSeed(): number;
  /** Whether an operation may fail with this error now. */
  accepts(error: unknown): boolean;
  outsideWrite(tree: number, key: number): void;
  fail(failure: SimulationFailure): void;
  /** A value has been pushed under this id. */
  given(id: GrainId): void;
  readonly reached: Reached;
}

interface OwnIterator {
  readonly iterator: IterableIterator<[number, number]>;
  readonly rest: [number, number][];
}

export class Body {
  readonly #world: BodyWorld;
  readonly #entry: Entry;
  readonly #tx: Transaction;
  #state: State;
  readonly #effects: Effect[] = [];
  #iterators: OwnIterator[] = [];

  constructor(world: BodyWorld, entry: Entry, tx: Transaction) {
    this.#world = world;
    this.#entry = entry;
    this.#tx = tx;
    try {
      this.#state = world.baseOf(entry, tx);
    } catch (error) {
      this.#judge('a body that looks around', error);
      throw error;
    }
  }

  /** Yields where the body waits; what a read fails with is thrown into it. */
  *run(ops: readonly Op[], catches: boolean): Generator<Pause, void> {
    for (const op of ops) {
      this.#world.reached.kind('op', op.do);
      if (op.do === 'wait' || op.do === 'gate') {
        yield op;
        continue;
      }
      try {
        if (op.do === 'getAsync' || op.do === 'rangeAsync') yield this.#awaitedRead(op);
        else this.#perform(op);
      } catch (error) {
        this.#judge(`${op.do} in a body`, error);
        if (error instanceof BodyError || !catches) throw error;
        this.#world.reached.note('body went on after an error');
      }
    }
    this.#entry.effects = this.#effects;
  }

  /** An error that no operation may have now is a failure of the life. */
  #judge(what: string, error: unknown): void {
    if (error instanceof BodyError || this.#world.accepts(error)) return;
    if (error instanceof SimulationFailure) this.#world.fail(error);
    else this.#world.fail(unexpected(what, error));
  }

  #did(effect: Effect): void {
    this.#state = applied(this.#state, effect);
    this.#effects.push(effect);
  }

  #tree(index: number): WritableTree<number, number, number> {
    return this.#tx.tree(this.#world.trees[index] as Handle);
  }

  #awaitedRead(op: Extract<Op, { do: 'getAsync' | 'rangeAsync' }>): AwaitedRead {
    const model = this.#state.trees.get(op.tree);
    const expected =
      op.do === 'rangeAsync'
        ? inRange(model, op.range)
        : entryList(op.key, model?.entries.get(op.key));
    const check = (found: [number, number][]): void =>
      differs(`${op.do} in a body`, entriesDiffer('it', found, expected));
    return {
      do: 'awaitedRead',
      later: async () => {
        const tree = this.#tree(op.tree);
        if (op.do === 'rangeAsync') check(await listOf(tree.rangeAsync(op.range)));
        else check(entryList(op.key, await tree.getAsync(op.key)));
      },
      atOnce: () => {
        const tree = this.#tree(op.tree);
        if (op.do === 'rangeAsync') check([...tree.range(op.range)]);
        else check(entryList(op.key, tree.get(op.key)));
      },
    };
  }

  #perform(op: Exclude<Op, WaitingOp>): void {
    switch (op.do) {
      case 'throw':
        throw new BodyError('the body throws');
      case 'outside':
        this.#world.outsideWrite(op.tree, op.key);
        return;
      case 'fork':
        this.#fork(op.from, op.to);
        return;
      case 'drop':
        this.#tx.drop(treeNames[op.tree] as string);
        this.#did({ drop: true, tree: op.tree });
        return;
      case 'push':
        this.#push(op.length);
        return;
      case 'archive':
      case 'get':
        this.#pushedValue(op);
        return;
      case 'iterate':
      case 'resume':
      case 'read':
        this.#read(op);
        return;
      default:
        this.#change(op);
        return;
    }
  }

  #change(op: Extract<Op, { do: 'put' | 'puts' | 'delete' | 'deleteRange' | 'trim' }>): void {
    const { tree: index } = op;
    const tree = this.#tree(index);
    const model = this.#state.trees.get(index);
    switch (op.do) {
      case 'put':
        tree.put(op.key, op.value);
        this.#did({ put: [[op.key, op.value]], tree: index });
        return;
      case 'puts':
        this.#puts(op);
        return;
      case 'delete': {
        same('delete', tree.delete(op.key), model?.entries.has(op.key) === true);
        this.#did({ delete: [op.key], tree: index });
        return;
      }
      case 'deleteRange': {
        const gone = inRange(model, op.range).map(([key]) => key);
        same('deleteRange', tree.deleteRange(op.range), gone.length);
        gone.sort((one, other) => one - other);
        this.#did({ delete: gone, tree: index });
        return;
      }
      case 'trim': {
        if (model === undefined || !this.#world.versioned(index)) return;
        const through = Math.floor(model.last * op.share);
        tree.trimHistory(through);
        this.#did({ trim: through, tree: index });
        return;
      }
    }
  }

  #puts({ tree: index, key, step, count, value }: Extract<Op, { do: 'puts' }>): void {
    const tree = this.#tree(index);
    const done: [number, number][] = [];
    try {
      for (let at = 0; at < count; at++) {
        const entry: [number, number] = [(key + at * step) % keysMax, value + at];
        tree.put(...entry);
        done.push(entry);
      }
    } finally {
      this.#did({ put: done, tree: index });
    }
  }

  #fork(from: number, to: number): void {
    const exists = this.#state.trees.has(to);
    try {
      this.#tx.fork(treeNames[from] as string, treeNames[to] as string);
    } catch (error) {
      if (exists && (error as { code?: string }).code === 'VARVE_EXISTS') return;
      throw error;
    }
    if (exists) throw new SimulationFailure('a fork over a tree that exists is not refused');
    this.#did({ fork: from, tree: to });
  }

  #push(length: number): void {
    const value = { length, seed: this.#world.nextSeed() };
    const id = this.#tx.push(bytesOf(value));
    if (this.#state.pushed.has(id)) {
      throw new SimulationFailure('a pushed value has the id of another', String(id));
    }
    this.#world.given(id);
    this.#did({ push: id, value });
  }

  #pushedValue({ do: what, share }: Extract<Op, { do: 'archive' | 'get' }>): void {
    const all = [...this.#state.pushed];
    const [id, value] = all[Math.floor(share * all.length)] ?? [];
    if (id === undefined || value === undefined) return;
    if (what === 'archive') {
      this.#tx.archive(id);
      this.#did({ archive: id });
      return;
    }
    const { get } = this.#tx as { get?: (id: GrainId) => Uint8Array | undefined };
    if (get === undefined) return;
    const found = get.call(this.#tx, id);
    if (found !== undefined && Buffer.compare(found, bytesOf(value)) === 0) return;
    throw new SimulationFailure('tx.get does not give what was pushed', String(id));
  }

  #read(op: Extract<Op, { do: 'iterate' | 'resume' | 'read' }>): void {
    if (op.do === 'resume') {
      for (const { iterator, rest } of this.#iterators) {
        differs('an iterator in a body', entriesDiffer('the rest', [...iterator], rest));
      }
      this.#iterators = [];
      return;
    }
    const tree = this.#tree(op.tree);
    const expected = inRange(this.#state.trees.get(op.tree), op.range);
    if (op.do === 'read') {
      differs('a read in a body', entriesDiffer('range', [...tree.range(op.range)], expected));
      return;
    }
    const iterator = tree.range(op.range);
    const start: [number, number][] = [];
    for (let left = Math.min(op.take, expected.length); left > 0; left--) {
      start.push(iterator.next().value);
    }
    const rest = expected.splice(start.length);
    differs('an iterator in a body', entriesDiffer('the start', start, expected));
    this.#iterators.push({ iterator, rest });
  }
}

function entryList(key: number, value: number | undefined): [number, number][] {
  return value === undefined ? [] : [[key, value]];
}

async function listOf<T>(all: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const one of all) list.push(one);
  return list;
}

function same(what: string, found: unknown, expected: unknown): void {
  if (Object.is(found, expected)) return;
  throw new SimulationFailure(`${what} in a body`, `gives ${found}, expected ${expected}`);
}

function differs(what: string, difference: string | undefined): void {
  if (difference !== undefined) throw new SimulationFailure(`${what} is wrong`, difference);
}
