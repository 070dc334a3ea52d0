/** The file header of logs that tests put together record by record. */

import { noDocument } from '../../../src/format/document.ts';
import type { FileHeader } from '../../../src/format/file-header.ts';
import type { Extent } from '../../../src/store/file/space.ts';
import { laneRange } from '../../../src/store/log/commit-log.ts';

export const salt = new Uint8Array([9, 8, 7, 6, 5, 4, 3, 2]);

/** Batch 10 is the base; the log goes on at the beginning of `first`, and then in `others`. */
export function headerOfLog(first: Extent, ...others: readonly Extent[]): FileHeader {
  return {
    salt,
    generation: 3,
    epoch: 4,
    clean: false,
    base: 10,
    confirmed: 10,
    checkpoint: 0,
    embeddedHeader: 0n,
    root: noDocument,
    retainedLogBytes: 0,
    laneSectors: [laneRange(first, 0).from, laneRange(first, 1).from],
    segments: [first, ...others],
  };
}
