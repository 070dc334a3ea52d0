/**
 * Chooses the place and the length of the next log segment.
 *
 * Invariant: a segment has pages of its own, at least `segmentPagesMin`; on a full disk at least
 * `segmentPagesShort`. It remembers nothing.
 */

import { segmentPagesMax, segmentPagesMin, segmentPagesShort } from '../../format/layout.ts';
import type { Extent, Space } from '../file/space.ts';

/** A segment's share of the file: two or three exist at a time. */
const segmentShare = 256;

/** Segments become twice as long as the one before, up to this length. */
const segmentPagesUsual = 32;

/**
 * A place for the segment after one of `before` pages: twice as long, or as long as the size of the
 * file asks; shorter on a full disk. A new segment takes two headers, each with a commit.
 */
export function placeForSegment(space: Space, keep: number, before: number): Extent {
  const longer = space.tight ? segmentPagesMin : Math.min(2 * before, segmentPagesUsual);
  const wanted = Math.max(longer, space.endPage / segmentShare);
  let pages = segmentPagesMin;
  while (pages * 2 <= wanted && pages < segmentPagesMax) pages *= 2;
  while (space.tight && pages > segmentPagesShort && !space.hasBacked(pages, keep)) pages /= 2;
  // During a compaction a short one that fits is better than a long one at the end of the file.
  const isCompacted = Number.isFinite(space.leftFrom);
  for (let fits = pages; isCompacted && fits >= segmentPagesMin; fits /= 2) {
    const page = space.takeBelow(fits, space.endPage);
    if (page !== undefined) return { page, pages: fits };
  }
  return { page: space.allocate(pages, keep), pages };
}

/** True if two extents share a page. */
export function overlap(one: Extent, other: Extent): boolean {
  return one.page < other.page + other.pages && other.page < one.page + one.pages;
}
