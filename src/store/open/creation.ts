/**
 * Making a new store: zeros, then one copy of the file header, then the other.
 *
 * Invariant: until the first header the file holds only zeros, so a creation that was cut short is
 * told from any other file and made anew; each header is one sector, so it is there or it is not,
 * and the second is written when the first is durable. There is no root yet: its name says so.
 */

import { noDocument } from '../../format/document.ts';
import {
  firstSegmentPage,
  newStorePages,
  pageBytes,
  saltBytes,
  segmentPagesMin,
} from '../../format/layout.ts';
import { datasync, type Steps } from '../file/effects.ts';
import { laneRange } from '../log/commit-log.ts';
import { type HeaderContent, HeaderCopies } from '../settle/header-copies.ts';

/** Bytes of a new store, and so of the longest file of zeros that counts as one cut short. */
export const newStoreBytes = newStorePages * pageBytes;

/** Writes a new store over a file that holds nothing. */
export function* createStore(): Steps<void> {
  const salt = globalThis.crypto.getRandomValues(new Uint8Array(saltBytes));
  const segment = { page: firstSegmentPage, pages: segmentPagesMin };
  const content: HeaderContent = {
    settled: {
      base: 0,
      checkpoint: 0,
      embeddedHeader: 0n,
      root: noDocument,
      retainedLogBytes: 0,
      laneSectors: [laneRange(segment, 0).from, laneRange(segment, 1).from],
    },
    segments: [segment],
    epoch: 1,
    clean: false,
  };
  yield { kind: 'write', offset: 0, chunks: [new Uint8Array(newStoreBytes)] };
  yield datasync;
  for (const write of new HeaderCopies(salt, content, [0, 0]).planBoth(0)) {
    yield { kind: 'write', ...write };
    yield datasync;
  }
}
