/**
 * What verification reports, and how its parts report it.
 *
 * A check that meets damage goes on with the next check: the damage is a finding. Any other error,
 * the disk's above all, ends the verification.
 */

import { isVarveError } from '../../errors.ts';
import type { GrainId } from '../../format/grain-id.ts';

/** One inconsistency. */
export interface Finding {
  readonly message: string;
  /** Byte offset in the file, where there is one. */
  readonly offset: number | undefined;
  readonly grainId: GrainId | undefined;
}

/** Reports one inconsistency. */
export type Report = (message: string, offset?: number, grainId?: GrainId) => void;

/** Damage that stops a check is a finding of it; any other error is not. */
export function guarded(report: Report, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
    report(error.message, error.offset, error.grainId as GrainId | undefined);
  }
}
