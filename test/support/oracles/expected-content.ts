/**
 * The contract of a store as the plainest thing that it can be: maps of bytes, one for each batch, a
 * list of log entries, and how each commit ends. It knows nothing of how varve works.
 *
 * Invariant: the content of a batch does not change any more once a later batch has been added.
 * `commit` judges sessions by the contract; `add` takes over what a store has said of one.
 */

import type { GrainId, VarveErrorCode } from '../../../src/index.ts';

/** What one session asked for, in the order in which it did. */
export interface Work {
  operations: (
    | { readonly operation: 'allocate'; readonly id: GrainId; readonly bytes: Uint8Array }
    | { readonly operation: 'archive'; readonly id: GrainId }
  )[];
  checkpointTo?: number;
  header?: GrainId | null;
  /** A value whose id nobody has been told. */
  unknown?: Uint8Array;
}

/** How a commit ends: the batch, or the code that it rejects with. */
export type Outcome = number | VarveErrorCode;

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
  /** Batches that the store has made for itself. */
  readonly #own = new Set<number>();
  /** The batches that guards hold. */
  readonly guards: number[] = [];

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
    this.#own.add(this.current.batch);
  }

  /** Takes away the store's own batches after `batch`; the times of them, the last one first. */
  #takeOwn(batch: number): number[] {
    const times: number[] = [];
    while (this.current.batch > batch && this.#own.delete(this.current.batch)) {
      times.push(this.current.log.at(-1)?.committedAt ?? 0);
      this.#contents.pop();
    }
    return times;
  }

  /** Why a session cannot archive the value, undefined if it can; `all`: every open session. */
  archiveError(id: GrainId, own: Work, all: Iterable<Work>): VarveErrorCode | undefined {
    if (asksFor(own, 'allocate', id)) return undefined;
    const value = this.current.values.get(id);
    if (value === undefined) return 'VARVE_NOT_FOUND';
    const isArchived =
      value.archivedIn !== undefined || [...all].some((work) => asksFor(work, 'archive', id));
    return isArchived ? 'VARVE_ALREADY_ARCHIVED' : undefined;
  }

  /** Commits sessions at once, in this order. */
  commit(works: readonly Work[]): Outcome[] {
    const batch = this.current.batch + 1;
    let reached = this.current.checkpoint;
    const outcomes = works.map((work) => {
      const target = Math.max(reached, this.#heldTo(work));
      const outcome = this.#outcome(work, target);
      if (outcome === batch) reached = target;
      return outcome;
    });
    for (const [at, work] of works.entries()) {
      if (outcomes[at] === batch) this.add(batch, { ...work, checkpointTo: this.#heldTo(work) });
    }
    return outcomes;
  }

  /** How far the session moves the checkpoint: no guard lets it pass. */
  #heldTo({ checkpointTo = 0 }: Work): number {
    return Math.min(checkpointTo, ...this.guards);
  }

  /** `reached`: the checkpoint after this session and those before it. */
  #outcome(work: Work, reached: number): Outcome {
    const { batch, checkpoint, values } = this.current;
    const { header } = work;
    if (header && !asksFor(work, 'allocate', header)) {
      const value = values.get(header);
      if (value === undefined || (value.archivedIn ?? reached + 1) <= reached) {
        return 'VARVE_NOT_FOUND';
      }
    }
    const isNothing = work.operations.length === 0 && header === undefined;
    return isNothing && this.#heldTo(work) <= checkpoint ? batch : batch + 1;
  }

  /**
   * A session's work is part of `batch`: the current one, the next, or the last one before batches of
   * the store's own.
   */
  add(batch: number, work: Work): void {
    const own = this.#takeOwn(batch);
    this.#add(batch, work);
    for (const time of own.reverse()) {
      this.addOwn();
      this.stamp(this.current.batch, time);
    }
  }

  #add(batch: number, work: Work): void {
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

function asksFor({ operations }: Work, asked: 'allocate' | 'archive', id: GrainId): boolean {
  return operations.some(({ operation, id: one }) => operation === asked && one === id);
}

/** The content of the next batch before any session has added to it. */
function next(content: Content): Content {
  const batch = content.batch + 1;
  const entry = { batch, committedAt: 0, header: content.header, changes: [], shares: [] };
  return { ...content, batch, values: new Map(content.values), log: [...content.log, entry] };
}
