/**
 * The contract as the plainest thing that it can be: maps in memory that change when a batch is
 * made. The test beside it holds a real store against it through random histories.
 *
 * It says what is visible and what is refused; it knows nothing of bytes on a disk.
 */

import type { GrainId, VarveErrorCode } from '../../src/index.ts';

/** What one session has asked for. */
export class PlainSession {
  readonly pushed = new Map<GrainId, Uint8Array>();
  readonly archived = new Set<GrainId>();
  header: GrainId | null | undefined;
  checkpointTo = 0;

  get onlyCheckpoints(): boolean {
    return this.pushed.size === 0 && this.archived.size === 0 && this.header === undefined;
  }

  get isEmpty(): boolean {
    return this.onlyCheckpoints && this.checkpointTo === 0;
  }
}

/** How a commit ends: the batch, or the code that it rejects with. */
export type Outcome = number | VarveErrorCode;

export interface PlainEntry {
  readonly batch: number;
  readonly embeddedHeader: GrainId | undefined;
  readonly changes: readonly string[];
}

export class PlainStore {
  readonly values = new Map<GrainId, Uint8Array>();
  /** The batch that archived each value. */
  readonly archivedBy = new Map<GrainId, number>();
  readonly guards: number[] = [];
  readonly log: PlainEntry[] = [];
  currentBatch = 0;
  checkpoint = 0;
  header: GrainId | undefined;

  /** Why the value cannot be archived, undefined where it can. */
  archiveError(
    id: GrainId,
    own: PlainSession,
    all: Iterable<PlainSession>,
  ): VarveErrorCode | undefined {
    if (own.pushed.has(id)) return undefined;
    if (!this.values.has(id)) return 'VARVE_NOT_FOUND';
    if (this.archivedBy.has(id)) return 'VARVE_ALREADY_ARCHIVED';
    for (const session of all) if (session.archived.has(id)) return 'VARVE_ALREADY_ARCHIVED';
    return undefined;
  }

  /** Commits sessions at once, in this order. */
  commit(sessions: readonly PlainSession[]): Outcome[] {
    const before = this.currentBatch;
    let reached = this.checkpoint;
    const outcomes = sessions.map((session) => {
      const target = Math.max(reached, Math.min(session.checkpointTo, ...this.guards));
      const outcome = this.#outcome(session, target);
      if (outcome === before + 1) reached = target;
      return outcome;
    });
    const taking = sessions.filter((_, n) => outcomes[n] === before + 1);
    if (taking.length === 0) return outcomes;
    this.currentBatch += 1;
    const changes: string[] = [];
    const oldest = Math.min(...this.guards);
    for (const session of taking) {
      this.#apply(session, changes);
      this.#free(Math.min(session.checkpointTo, oldest), changes);
    }
    this.log.push({ batch: this.currentBatch, embeddedHeader: this.header, changes });
    return outcomes;
  }

  /** A full disk makes the store give back what is empty, in a batch that changes nothing. */
  ownBatch(): void {
    this.currentBatch += 1;
    this.log.push({ batch: this.currentBatch, embeddedHeader: this.header, changes: [] });
  }

  /** `reached`: what this session and those before it free. */
  #outcome(session: PlainSession, reached: number): Outcome {
    const { header } = session;
    if (session.isEmpty) return this.currentBatch;
    if (header && !session.pushed.has(header) && !this.values.has(header)) {
      return 'VARVE_NOT_FOUND';
    }
    const archivedBy = header ? this.archivedBy.get(header) : undefined;
    if (archivedBy !== undefined && archivedBy <= reached) return 'VARVE_NOT_FOUND';
    const target = Math.min(session.checkpointTo, ...this.guards);
    if (session.onlyCheckpoints && target <= this.checkpoint) return this.currentBatch;
    return this.currentBatch + 1;
  }

  #apply(session: PlainSession, changes: string[]): void {
    for (const [id, bytes] of session.pushed) {
      this.values.set(id, bytes);
      changes.push(`allocate ${id}`);
    }
    for (const id of session.archived) {
      this.archivedBy.set(id, this.currentBatch);
      changes.push(`archive ${id}`);
    }
    if (session.header !== undefined) this.header = session.header ?? undefined;
  }

  #free(target: number, changes: string[]): void {
    if (target <= this.checkpoint) return;
    for (const [id, batch] of [...this.archivedBy]) {
      if (batch > target) continue;
      this.archivedBy.delete(id);
      this.values.delete(id);
      changes.push(`free ${id}`);
    }
    this.checkpoint = target;
  }
}
