/**
 * Verification of a store that was opened read-only: holds each finding against what its writer has
 * done meanwhile.
 *
 * Invariant: a finding is given only if the writer cannot have caused it. While the file is as it
 * was when the reader opened, that is every one. Later it is what concerns a value that the writer
 * has neither freed nor allocated since; any other finding ends in `VARVE_SNAPSHOT_GONE`.
 */

import { partsOfGrainId } from '../../format/grain-id.ts';
import type { Finding } from '../verify/finding.ts';
import type { ProvenReads } from './proven-reads.ts';

export async function* findingsBeside(
  state: ProvenReads,
  findings: AsyncIterable<Finding>,
): AsyncGenerator<Finding, void, undefined> {
  for await (const finding of findings) {
    if (!(await state.hasMovedOn())) yield finding;
    else {
      const id = finding.grainId === undefined ? undefined : partsOfGrainId(finding.grainId);
      if (id === undefined || !state.isComplete) throw state.gone();
      if (!state.hasChanged(id)) yield finding;
    }
  }
}
