/**
 * What a store should hold that a process wrote which was killed: everything that it said was
 * acknowledged, and of what it was about to commit each session whole or not at all, in order.
 *
 * Invariant: what an opening after a kill has decided stays decided, whichever process opens next.
 */

import type { GrainId, Store } from '../../src/index.ts';
import { compareStore } from '../support/oracles/compare-store.ts';
import { ExpectedContent, type Work } from '../support/oracles/expected-content.ts';
import { valueBytes } from './seeded.mjs';

/** What a writer is to do, by numbers and decimal GrainIds. */
export interface Orders {
  readonly seed: number;
  readonly settleBytes: number;
  /** How many times it is to commit something before it waits for its end. */
  readonly groups: number;
  /** Whether it closes the store then. */
  readonly closes: boolean;
  /** Values that it may archive. */
  readonly live: readonly string[];
  /** Number of the first value that it pushes. */
  readonly firstNumber: number;
}

/** What a session of the writer is about to commit. */
export interface Announced {
  readonly number: number;
  /** In order: values that it pushed, with their number and length, and that it archived. */
  readonly operations: {
    readonly id: string;
    readonly number?: number;
    readonly length?: number;
  }[];
  checkpointTo?: number;
  header?: string | null;
  /** Length of a value put by `Store.put`, which names no id before it has been acknowledged. */
  put?: number;
}

/** One line of a writer. */
export type Told =
  | { readonly step: 'opening' | 'idle' }
  | { readonly step: 'open'; readonly batch: number }
  | { readonly work: Announced }
  | { readonly done: number; readonly batch: number; readonly id?: string }
  | { readonly error: string };

function workOf(announced: Announced): Work {
  const { operations, checkpointTo, header, put, number } = announced;
  const work: Work = { operations: [] };
  for (const { id: text, number: value, length = 0 } of operations) {
    const id = idOf(text);
    if (value === undefined) work.operations.push({ operation: 'archive', id });
    else work.operations.push({ operation: 'allocate', id, bytes: valueBytes(value, length) });
  }
  if (checkpointTo !== undefined) work.checkpointTo = checkpointTo;
  if (header !== undefined) work.header = header === null ? null : idOf(header);
  if (put !== undefined) work.unknown = valueBytes(number, put);
  return work;
}

function idOf(text: string): GrainId {
  return BigInt(text) as GrainId;
}

export class WrittenStore {
  readonly expected = new ExpectedContent();
  /** Sessions whose commit was acknowledged; found whole although it was not; and not found. */
  readonly counts = { acknowledged: 0, survived: 0, absent: 0 };
  readonly #pending = new Map<number, Work>();
  #nextNumber = 1;

  /** Number for the next value. */
  get nextNumber(): number {
    return this.#nextNumber;
  }

  /** Values that nobody has archived and that are not the embedded header. */
  get live(): string[] {
    const { values, header } = this.expected.current;
    const live: string[] = [];
    for (const [id, { archivedIn }] of values) {
      if (archivedIn === undefined && id !== header) live.push(`${id}`);
    }
    return live;
  }

  /** Takes in a line of the writer. Throws what the writer failed with. */
  hear(told: Told): void {
    if ('error' in told) throw new Error(`the writer failed: ${told.error}`);
    if ('work' in told) {
      const { number, operations } = told.work;
      this.#pending.set(number, workOf(told.work));
      const used = operations.map((one) => one.number ?? 0);
      this.#nextNumber = Math.max(this.#nextNumber, number + 1, ...used.map((one) => one + 1));
    } else if ('done' in told) this.#acknowledge(told.done, told.batch, told.id);
    else if (told.step === 'open' && told.batch !== this.expected.current.batch) {
      const { batch } = this.expected.current;
      throw new Error(`a process opened the store at batch ${told.batch}, it was at ${batch}`);
    }
  }

  #acknowledge(number: number, batch: number, id: string | undefined): void {
    const work = this.#pending.get(number);
    if (work === undefined) throw new Error(`session ${number} was not announced`);
    this.#pending.delete(number);
    if (id !== undefined) name(work, idOf(id));
    this.expected.add(batch, work);
    this.counts.acknowledged += 1;
  }

  /** Decides about the sessions that were under way, and holds the store against all of it. */
  async check(store: Store, deep: boolean): Promise<void> {
    await this.#decide(store);
    await compareStore(store, this.expected.current, deep);
  }

  async #decide(store: Store): Promise<void> {
    const works = [...this.#pending.values()];
    this.#pending.clear();
    if (works.length === 0) return;
    const from = this.expected.current.batch;
    // Of the batch acknowledged last, not every session may have been told.
    const after = Math.max(from - 1, store.checkpoint);
    for await (const { batch, changes } of store.commitLog({ after })) {
      const allocated = new Set<GrainId>();
      for (const { operation, id } of changes) if (operation === 'allocate') allocated.add(id);
      // First come those that waited longest.
      while (works[0] !== undefined && isIn(works[0], allocated, batch > from)) {
        this.expected.add(batch, works[0]);
        this.counts.survived += 1;
        works.shift();
      }
    }
    this.counts.absent += works.length;
  }
}

/** Whether a batch that allocated these is that of the session. */
function isIn(work: Work, allocated: ReadonlySet<GrainId>, isNew: boolean): boolean {
  if (work.unknown !== undefined) {
    // It was put alone.
    const [id] = allocated;
    if (!isNew || id === undefined) return false;
    name(work, id);
    return true;
  }
  const [first] = work.operations;
  return first !== undefined && allocated.has(first.id);
}

/** The id of a value that was put is known. */
function name(work: Work, id: GrainId): void {
  if (work.unknown === undefined) return;
  work.operations.push({ operation: 'allocate', id, bytes: work.unknown });
  delete work.unknown;
}
