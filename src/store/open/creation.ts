/**
 * Makes a new store: zeros, then one copy of the file header, then the other.
 *
 * Invariant: the file holds only zeros until the first header, so that a creation cut short is
 * recognised and made anew. Each header is one sector: it is there or not. The second is written
 * when the first is durable. There is no root yet: the header's name of it says so.
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

/** Bytes of a new store; a longer file of zeros is no creation cut short. */
export const newStoreBytes = newStorePages * pageBytes;

/** Writes a new store over an empty file or one of zeros. */
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
