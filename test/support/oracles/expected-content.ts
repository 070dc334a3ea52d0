/**
 * What a store should hold after each batch, kept as plainly as can be: maps of bytes, one for each
 * batch, and a list of log entries. It knows nothing of how varve works.
 *
 * Invariant: the content of a batch does not change any more once a later batch has been added.
 */

import type { GrainId } from '../../../src/index.ts';

/** What one session asked for, in the order in which it did. */
export interface Work {
  readonly operations: (
    | { readonly operation: 'allocate'; readonly id: GrainId; readonly bytes: Uint8Array }
    | { readonly operation: 'archive'; readonly id: GrainId }
  )[];
  checkpointTo?: number;
  header?: GrainId | null;
  /** A value whose id nobody has been told. */
  unknown?: Uint8Array;
}

export interface ExpectedValue {
  readonly bytes: Uint8Array;
  /** The batch that archived it. */
  archivedIn: number | undefined;
}

export interface ExpectedEntry {
  readonly batch: number;
  /** Which attempt at the batch it was: the writer's clock ticks with each. */
  committedAt: number;
  header: GrainId | undefined;
  readonly changes: { readonly operation: 'allocate' | 'archive' | 'free'; readonly id: GrainId }[];
  /** How many of the changes each session made, in the order in which they were told of it. */
  readonly shares: number[];
}

export interface Content {
  readonly batch: number;
  checkpoint: number;
  header: GrainId | undefined;
  readonly values: Map<GrainId, ExpectedValue>;
  /** Of every batch, the checkpointed ones too. */
  readonly log: ExpectedEntry[];
}

const nothing: Content = { batch: 0, checkpoint: 0, header: undefined, values: new Map(), log: [] };

export class ExpectedContent {
  readonly #contents: Content[];
  /** The sessions of each batch. */
  readonly #works: Work[][] = [];

  constructor(contents: readonly Content[] = [nothing]) {
    this.#contents = [...contents];
  }

  get current(): Content {
    return this.#contents.at(-1) as Content;
  }

  at(batch: number): Content | undefined {
    return this.#contents[batch];
  }

  /** What the sessions of `batch` asked for, in order; only of those added here. */
  worksOf(batch: number): readonly Work[] {
    return this.#works[batch] ?? [];
  }

  /** The same up to `batch`, to be gone on with on its own. */
  upTo(batch: number): ExpectedContent {
    return new ExpectedContent(this.#contents.slice(0, batch + 1));
  }

  /** The store has made a batch of its own, which changes nothing that anyone sees. */
  addOwn(): void {
    this.#contents.push(next(this.current));
  }

  /** A session's work is part of `batch`: the current one, or the next. */
  add(batch: number, work: Work): void {
    if (batch === this.current.batch + 1) this.#contents.push(next(this.current));
    const content = this.current;
    if (batch !== content.batch) {
      throw new Error(`a session was told batch ${batch}, after batch ${content.batch}`);
    }
    const entry = content.log.at(-1);
    if (entry === undefined || entry.batch !== batch) return;
    this.#works[batch] = [...this.worksOf(batch), work];
    const before = entry.changes.length;
    for (const { operation, id, ...rest } of work.operations) {
      entry.changes.push({ operation, id });
      if ('bytes' in rest) content.values.set(id, { bytes: rest.bytes, archivedIn: undefined });
      else
        content.values.set(id, { ...(content.values.get(id) as ExpectedValue), archivedIn: batch });
    }
    if (work.header !== undefined) content.header = work.header ?? undefined;
    entry.header = content.header;
    this.#free(content, work.checkpointTo ?? 0, entry);
    entry.shares.push(entry.changes.length - before);
  }

  #free(content: Content, checkpointTo: number, entry: ExpectedEntry): void {
    for (let batch = content.checkpoint + 1; batch <= checkpointTo; batch++) {
      for (const { operation, id } of content.log[batch - 1]?.changes ?? []) {
        if (operation !== 'archive') continue;
        content.values.delete(id);
        entry.changes.push({ operation: 'free', id });
      }
    }
    content.checkpoint = Math.max(content.checkpoint, checkpointTo);
  }

  /** Notes the clock of a batch's entry, as read from the store. */
  stamp(batch: number, committedAt: number): void {
    const entry = this.current.log[batch - 1];
    if (entry !== undefined) entry.committedAt = committedAt;
  }
}

/** The content of the next batch before any session has added to it. */
function next(content: Content): Content {
  const batch = content.batch + 1;
  const entry = { batch, committedAt: 0, header: content.header, changes: [], shares: [] };
  return { ...content, batch, values: new Map(content.values), log: [...content.log, entry] };
}
