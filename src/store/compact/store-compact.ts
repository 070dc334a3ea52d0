/**
 * `Store.compact`: its options and their check, one compaction at a time.
 *
 * The work is in `compaction.ts`.
 */

import { VarveError } from '../../errors.ts';
import { checkNames } from '../../util/options.ts';
import type { Committer } from '../commit/committer.ts';
import {
  checkOperation,
  type LongOperation,
  longOperationNames,
} from '../operations/long-operation.ts';
import type { Operations } from '../operations/operations.ts';
import type { StoreCore } from '../state/core.ts';
import { Compaction, type CompactReport } from './compaction.ts';

export class Compactor {
  readonly #operations: Operations;
  readonly #core: StoreCore;
  readonly #committer: Committer;
  #isRunning = false;

  constructor(operations: Operations, core: StoreCore, committer: Committer) {
    this.#operations = operations;
    this.#core = core;
    this.#committer = committer;
  }

  /** Rejects as `Store.compact`. */
  async compact(options: LongOperation): Promise<CompactReport> {
    const core = this.#core;
    checkNames('Store.compact', options, longOperationNames);
    const checked = checkOperation(options);
    core.checkWritable();
    if (this.#isRunning) {
      const { path } = core;
      throw new VarveError('VARVE_BUSY', `a compaction of '${path}' is running`, { path });
    }
    this.#isRunning = true;
    try {
      return await this.#operations.run(checked, async (operation) => {
        return await new Compaction(core, this.#committer, operation).run();
      });
    } finally {
      this.#isRunning = false;
    }
  }
}
