/**
 * Making a new store: zeros, an empty root, the first segment of the commit log, then the headers.
 *
 * Invariant: until the last step the file has no header, so a creation that was cut short is a
 * file of zeros and little else that opening makes anew; each header is one sector, so it is there
 * or it is not.
 */

import { sealDocument, slotPage } from '../format/document.ts';
import {
  firstSegmentPage,
  kindRoot,
  newStorePages,
  pageBytes,
  saltBytes,
  segmentPagesMin,
} from '../format/layout.ts';
import { encodeRoot } from '../format/root.ts';
import { laneRange } from './commit-log.ts';
import { datasync, type Steps } from './effects.ts';
import { type HeaderContent, HeaderCopies } from './header-copies.ts';

/** Bytes of a new store, and so of the longest file of zeros that counts as one cut short. */
export const newStoreBytes = newStorePages * pageBytes;

/** Writes a new store over a file that holds nothing. */
export function* createStore(): Steps<void> {
  const salt = globalThis.crypto.getRandomValues(new Uint8Array(saltBytes));
  const segment = { page: firstSegmentPage, pages: segmentPagesMin };
  const rootPage = firstSegmentPage + segmentPagesMin;
  const bytes = encodeRoot({ basins: [], segments: [], bodies: [] });
  const place = { kind: kindRoot, page: rootPage, capacityPages: 1, generation: 1, stamp: 0 };
  const root = sealDocument(bytes, place, salt);
  yield { kind: 'write', offset: 0, chunks: [new Uint8Array(newStoreBytes)] };
  yield { kind: 'write', offset: slotPage(rootPage, 1, 1) * pageBytes, chunks: [bytes] };
  yield datasync;
  const content: HeaderContent = {
    settled: {
      base: 0,
      checkpoint: 0,
      embeddedHeader: 0n,
      root,
      retainedLogBytes: 0,
      laneSectors: [laneRange(segment, 0).from, laneRange(segment, 1).from],
    },
    segments: [segment],
    epoch: 1,
    clean: false,
  };
  for (const write of new HeaderCopies(salt, content, [0, 0]).planBoth(0)) {
    yield { kind: 'write', ...write };
  }
  yield datasync;
}
