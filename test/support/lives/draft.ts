/**
 * One session of a life, and what it asked for.
 *
 * Invariant: what the session has taken is in `work`, in the order in which it took it.
 */

import { isVarveError } from '../../../src/errors.ts';
import type { GrainId, Session } from '../../../src/index.ts';
import { inChunks } from '../bytes.ts';
import type { Work } from '../oracles/expected-content.ts';
import type { Asked } from './answers.ts';

/** The life that a draft belongs to, as far as it needs it. */
export interface DraftLife {
  readonly disk: { readonly operations: readonly unknown[] };
  readonly acknowledged: { readonly batch: number; readonly operation: number }[];
  readonly isStamping: boolean;
  bytes(length: number): Uint8Array;
  claim(id: GrainId): void;
  ask(work: Work): Asked;
  settled(work: Work, commit: (work: Work) => Promise<number>): Promise<number | undefined>;
  accept(batch: number, work: Work): number;
  refused(work: Work, error: unknown): void;
  /** A push in several turns has rejected: its session goes on without the value, or this throws. */
  pushRefused(error: unknown): void;
  givenUp(work: Work): void;
}

export class Draft {
  readonly #life: DraftLife;
  readonly #session: Session;
  readonly work: Work = { operations: [] };

  constructor(life: DraftLife, session: Session) {
    this.#life = life;
    this.#session = session;
  }

  push(length: number): GrainId {
    return this.pushBytes(this.#life.bytes(length));
  }

  pushBytes(bytes: Uint8Array): GrainId {
    const id = this.#session.push(bytes);
    this.work.operations.push({ operation: 'allocate', id, bytes });
    return id;
  }

  pushStream(length: number, chunk = 200_000): Promise<void> {
    const bytes = this.#life.bytes(length);
    return this.#pushed(bytes, this.#session.pushStream(inChunks(bytes, chunk), { length }));
  }

  pushAsync(length: number): Promise<void> {
    const bytes = this.#life.bytes(length);
    return this.#pushed(bytes, this.#session.pushAsync(bytes));
  }

  #pushed(bytes: Uint8Array, pushing: Promise<GrainId>): Promise<void> {
    const pushed = this.#enter(bytes, pushing);
    // A history that ends before it waits for this has heard of it from a commit.
    pushed.catch(() => undefined);
    return pushed;
  }

  async #enter(bytes: Uint8Array, pushing: Promise<GrainId>): Promise<void> {
    try {
      this.work.operations.push({ operation: 'allocate', id: await pushing, bytes });
    } catch (error) {
      this.#life.pushRefused(error);
    }
  }

  /** Takes over all work of another draft, which ends. */
  adopt(other: Draft): void {
    this.#session.adopt(other.#session);
    const { operations, ...rest } = other.work;
    this.work.operations.push(...operations);
    Object.assign(this.work, rest);
  }

  archive(...ids: GrainId[]): void {
    for (const id of ids) {
      this.#session.archive(id);
      this.#life.claim(id);
      this.work.operations.push({ operation: 'archive', id });
    }
  }

  checkpointTo(batch: number): void {
    this.#session.checkpointTo(batch);
    this.work.checkpointTo = batch;
  }

  setHeader(id: GrainId | null): void {
    this.#session.setEmbeddedHeader(id);
    this.work.header = id;
  }

  commit(): Promise<number | undefined> {
    const settled = this.#life.settled(this.work, () => this.#session.commit());
    // A history that ends before it waits for this has heard of it from another commit.
    settled.catch(() => undefined);
    return settled;
  }

  abandon(): void {
    this.#session.abandon();
    this.#life.givenUp(this.work);
  }

  /** As `commit`, on the calling thread, unless another commit is under way. */
  commitSync(): Promise<number | undefined> | undefined {
    if (this.#life.isStamping) return this.commit();
    const asked = this.#life.ask(this.work);
    try {
      const batch = this.#session.commitSync();
      asked.until = this.#life.disk.operations.length;
      // The batch before was durable when this commit began, even if its sessions hear of it later.
      this.#life.acknowledged.push({ batch: batch - 1, operation: asked.from });
      this.#life.accept(batch, this.work);
      return undefined;
    } catch (error) {
      asked.until = this.#life.disk.operations.length;
      if (isVarveError(error, 'VARVE_BUSY')) return this.commit();
      this.#life.refused(this.work, error);
      return undefined;
    }
  }
}
