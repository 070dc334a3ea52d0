/**
 * The log after a compaction has cut the file: a segment that takes records has been written, so that
 * records need no further blocks of the disk, and it is all there when the process ends.
 */

import { expect, it } from 'vitest';
import { pageBytes } from '../../../src/format/layout.ts';
import { patternOf } from '../../support/bytes.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { type CoreLab, openLab } from '../../support/fixtures/core-lab.ts';

/** The pages of a disk's file that were written, and that no later cut took away. */
class WrittenPages {
  readonly #pages = new Set<number>();

  follow(disk: SimulatedDisk): void {
    disk.faultOf = ({ kind, position, bytes }) => {
      const page = Math.floor(position / pageBytes);
      if (kind === 'write') {
        for (let at = page; at * pageBytes < position + bytes; at++) this.#pages.add(at);
      } else if (kind === 'truncate') {
        for (const one of this.#pages) if (one * pageBytes >= position) this.#pages.delete(one);
      }
      return undefined;
    };
  }

  /** Pages of the log's segments that are not written. */
  missingOf({ log }: CoreLab['core']): number[] {
    const isListed = log.next !== undefined && log.nextState !== 'filling';
    const segments = isListed ? [...log.segments, log.next] : log.segments;
    return segments.flatMap((segment) => {
      const { page = 0, pages = 0 } = segment ?? {};
      const all = Array.from({ length: pages }, (_, at) => page + at);
      return all.filter((one) => !this.#pages.has(one));
    });
  }
}

async function push(lab: CoreLab, length: number): Promise<void> {
  const session = lab.session();
  session.push(patternOf(length));
  await session.commit();
}

it('a segment that the first commit after a cut adds is written, though zeros were there', async () => {
  let added = 0;
  // Small commits fill half a lane of the log: after some number of them, it is the commit after the
  // compaction that adds a segment. The large value has the file filled far ahead before.
  for (let commits = 30; commits < 60; commits++) {
    const disk = new SimulatedDisk({ records: false });
    const written = new WrittenPages();
    written.follow(disk);
    const lab = await openLab({ fileSystem: disk, settleBytes: 2 ** 20 });
    await push(lab, 5_000_000);
    for (let at = 0; at < commits; at++) await push(lab, 20);
    await lab.compact();
    const isAdding = lab.core.log.wantsNext;
    await push(lab, 20);
    if (isAdding) {
      added += 1;
      expect(lab.core.log.next?.page).toBeGreaterThan(1000);
    }
    await push(lab, 20);
    expect(written.missingOf(lab.core)).toEqual([]);
    await lab.kill();
    const again = await openLab({ fileSystem: disk });
    expect(await again.findings()).toEqual([]);
    await again.close();
  }
  expect(added).toBeGreaterThan(0);
});
