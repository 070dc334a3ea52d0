/**
 * The findings of verification, and how its parts report them.
 *
 * Rule: damage that stops a check is a finding, and the next check runs. Any other error, above all
 * of the disk, ends the verification.
 */

import { isVarveError } from '../../errors.ts';
import type { GrainId } from '../../format/grain-id.ts';

/** One inconsistency. */
export interface Finding {
  readonly message: string;
  /** Byte offset in the file, if known. */
  readonly offset: number | undefined;
  readonly grainId: GrainId | undefined;
}

/** Reports one inconsistency. */
export type Report = (message: string, offset?: number, grainId?: GrainId) => unknown;

/** Collects what is reported to it. */
export function collector(): { readonly findings: Finding[]; readonly report: Report } {
  const findings: Finding[] = [];
  return {
    findings,
    report: (message, offset, grainId) => findings.push({ message, offset, grainId }),
  };
}

/** Runs a check: damage becomes a finding, any other error is thrown. */
export function guarded(report: Report, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
    report(error.message, error.offset, error.grainId as GrainId | undefined);
  }
}
