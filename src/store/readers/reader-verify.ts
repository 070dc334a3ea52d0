/**
 * Verification as its user asks for it. Of a store that was opened read-only: compares each finding
 * with the writer's changes.
 *
 * Invariant: it returns a finding only if the writer cannot have caused it. While the file is
 * unchanged since the reader opened, these are all findings. Later they are those about values that
 * the writer has neither freed nor allocated since; any other ends in `VARVE_SNAPSHOT_GONE`.
 */

import { partsOfGrainId } from '../../format/grain-id.ts';
import { checkFlag, checkNames, checkSignal } from '../../util/options.ts';
import type { Finding } from '../verify/finding.ts';
import { verifyStore } from '../verify/verify.ts';
import { ProvenReads } from './proven-reads.ts';
import type { ValueReads } from './value-reads.ts';

export interface VerifyOptions {
  /** Check every value's checksum too. */
  deep?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** `Store.verify` of a state. Throws `VARVE_INVALID_ARGUMENT`. */
export function findingsOf(
  state: ValueReads,
  options: VerifyOptions,
  quiet: () => boolean,
): AsyncIterable<Finding> {
  checkNames('Store.verify', options, { deep: true, signal: true });
  const deep = checkFlag('deep', options.deep, false);
  const signal = checkSignal(options.signal);
  const findings = verifyStore(state.core, { deep, signal, quiet });
  return state instanceof ProvenReads ? findingsBeside(state, findings) : findings;
}

async function* findingsBeside(
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
