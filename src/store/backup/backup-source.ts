/**
 * The source of a copy: the store as of one batch, while its writer goes on.
 *
 * Invariant: from `begin` until `end`, the values that were live and not archived as of the batch
 * keep their bytes, or the source says that they may not. Marks are those of now; with `changes`
 * they show what was live as of the batch. Here is the source of a store that is open for writing:
 * a guard holds the values. `reader-source.ts` is that of one opened read-only.
 */

import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { holdLog } from '../readers/log-entries.ts';
import type { StoreCore } from '../state/core.ts';
import type { CheckpointGuard } from '../state/guards.ts';
import { ChangesSince } from './changes-since.ts';

/** One stratum as of the batch. */
export interface SourceStratum {
  readonly basin: number;
  readonly number: number;
  readonly grainExp: number;
  /** Index after the last grain that any of its maps ever had. */
  readonly endIndex: number;
  /** Values that are live and not archived, as the stratum counts them. */
  readonly values: number;
}

/** The batch that is copied. */
export interface SourceState {
  readonly batch: number;
  readonly embeddedHeader: bigint;
  /** The strata of each basin. */
  readonly basins: readonly (readonly SourceStratum[])[];
}

export interface BackupSource {
  readonly core: StoreCore;
  readonly changes: ChangesSince;
  /** Chooses the batch and holds it. Rejects with `VARVE_SNAPSHOT_GONE` if it cannot. */
  begin(operation: RunningOperation): Promise<SourceState>;
  /** False while marks and `changes` may disagree: wait for another turn. */
  readonly isReady: boolean;
  /** Mark pages that are read before one `confirm`. */
  readonly pagesAhead: number;
  /**
   * Makes `changes` have all changes that the marks read so far may hold; undefined if it has them.
   * Rejects with `VARVE_SNAPSHOT_GONE`.
   */
  confirm(): Promise<void> | undefined;
  /** The error to report for one of reading marks or values. */
  explained(error: unknown, what: 'marks' | 'value'): Promise<unknown>;
  /** Proves that all that was read is of the batch. Rejects with `VARVE_SNAPSHOT_GONE`. */
  prove(): Promise<void>;
  /** No more marks are read. */
  marksRead(): void;
  end(): void;
}

/** The strata that the core knows and a durable batch has made, with their present counts. */
export function stateOf({ atlas, published }: StoreCore): SourceState {
  const basins: SourceStratum[][] = [];
  for (const { durable, strata } of atlas.basins) {
    if (!durable) break;
    const ofBasin: SourceStratum[] = [];
    for (const stratum of strata) {
      if (!stratum.durable) break;
      const { basin, number, grainExp, durableEndIndex: endIndex } = stratum;
      const values = stratum.values - stratum.archivedValues;
      ofBasin.push({ basin, number, grainExp, endIndex, values });
    }
    basins.push(ofBasin);
  }
  const { currentBatch: batch, embeddedHeader } = published;
  return { batch, embeddedHeader, basins };
}

export class WriterSource implements BackupSource {
  readonly core: StoreCore;
  readonly changes = new ChangesSince();
  readonly pagesAhead = 1;
  #guard: CheckpointGuard | undefined;
  #unfollow: (() => void) | undefined;

  constructor(core: StoreCore) {
    this.core = core;
  }

  async begin(operation: RunningOperation): Promise<SourceState> {
    while (!this.isReady) await operation.turn();
    const { core } = this;
    this.#guard = holdLog(core, core.published.currentBatch);
    this.#unfollow = core.followers.follow((change, id) => this.changes.note(change, id));
    return stateOf(core);
  }

  /** While a batch is published in part, some of its marks have changed and others have not. */
  get isReady(): boolean {
    return !this.core.publishing;
  }

  confirm(): undefined {}

  async explained(error: unknown): Promise<unknown> {
    return error;
  }

  async prove(): Promise<void> {}

  marksRead(): void {
    this.#unfollow?.();
  }

  end(): void {
    this.#unfollow?.();
    this.#guard?.release();
  }
}
