/**
 * Verification of a store that was opened read-only: compares each finding with the writer's
 * changes.
 *
 * Invariant: it returns a finding only if the writer cannot have caused it. While the file is
 * unchanged since the reader opened, these are all findings. Later they are those about values that
 * the writer has neither freed nor allocated since; any other ends in `VARVE_SNAPSHOT_GONE`.
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
      if (id === undefined || !state.isComplete || state.hasMoves) throw state.gone();
      if (!state.hasChanged(id)) yield finding;
    }
  }
}
