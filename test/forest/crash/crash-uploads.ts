/**
 * The uploads of a forest's life: values that sessions stream before the transactions that adopt
 * them, and those that none adopts.
 *
 * Invariant: a session that is left open is held, so that no collection abandons it. What the disk
 * refuses is for the life to judge.
 */

import type { Forest, ForestSession } from '../../../src/forest/index.ts';
import type { GrainId } from '../../../src/index.ts';
import { inChunks, patternOf } from '../../support/bytes.ts';
import { blobLength, type ForestChange, type ForestStep } from './crash-steps.ts';

/** A value that a transaction will adopt. */
interface Upload {
  readonly session: ForestSession;
  readonly id: GrainId;
}

/** All changes of a step. */
function changesOf(step: ForestStep): readonly ForestChange[] {
  if (step.step === 'together') return step.parts.flat();
  if (step.step === 'sync' || step.step === 'thrown') return step.changes;
  if (step.step !== 'under way') return [];
  return [...step.before.flat(), ...step.first, ...step.rest, ...step.after.flat()];
}

async function uploaded(forest: Forest, value: number): Promise<Upload> {
  const data = patternOf(blobLength(value), value);
  const session = forest.session();
  const id = await session.pushStream(inChunks(data, 1000), { length: data.length });
  return { session, id };
}

export class Uploads {
  readonly #waiting = new Map<ForestChange, Upload[]>();
  readonly #left: ForestSession[] = [];

  /** Streams what the transactions of a step will adopt. Rejects as the pushes. */
  async push(forest: Forest, step: ForestStep): Promise<void> {
    this.#waiting.clear();
    for (const change of changesOf(step)) {
      if (change.do !== 'upload') continue;
      const waiting = this.#waiting.get(change) ?? [];
      waiting.push(await uploaded(forest, change.value));
      this.#waiting.set(change, waiting);
    }
  }

  take(change: ForestChange): Upload {
    const upload = this.#waiting.get(change)?.shift();
    if (upload === undefined) throw new Error('it was streamed before the transaction');
    return upload;
  }

  /** Streams a value that nobody adopts, and leaves its session open or abandons it. */
  async leave(
    forest: Forest,
    { value, isOpen }: { readonly value: number; readonly isOpen: boolean },
  ): Promise<void> {
    const { session } = await uploaded(forest, value);
    if (isOpen) this.#left.push(session);
    else session.abandon();
  }
}
