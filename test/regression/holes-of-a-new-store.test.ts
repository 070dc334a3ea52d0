/**
 * A store whose first process was killed before its first commit, after open sessions had made the
 * file longer.
 *
 * Its file header is that of a new store, and the next opening took all pages of the file for
 * written. Those between the written values are holes. Values there would have stayed in the log,
 * and on a disk that is full by then no settle could end.
 */

import { expect, it } from 'vitest';
import { pageBytes } from '../../src/format/layout.ts';
import { Store } from '../../src/index.ts';
import { openCore } from '../../src/store/open/opening.ts';
import { checkOptions } from '../../src/store/open/store-options.ts';
import { patternOf } from '../support/bytes.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { SmallDisk } from '../support/disks/small-disk.ts';

it('pages that only a length change has made do not count as written', async () => {
  const room = new SmallDisk(Number.POSITIVE_INFINITY, 'sparse');
  const faultOf = room.faultOf.bind(room);
  const killed = new SimulatedDisk({ records: false, faultOf });
  const first = await Store.open('store', { fileSystem: killed });
  first.session().push(patternOf(900_000));
  first.session().push(patternOf(1_500_000));
  expect(killed.length).toBeGreaterThan(room.writtenPages * pageBytes);

  const fileSystem = new SimulatedDisk({ state: killed.state, records: false, faultOf });
  const { core } = await openCore(checkOptions('store', { fileSystem }));
  let known = 0;
  for (let page = 0; page < killed.length / pageBytes; page++) {
    if (!core.writer.known.has(page, page + 1)) continue;
    known += 1;
    expect(room.hasWritten(page), `page ${page}`).toBe(true);
  }
  expect(known).toBeLessThanOrEqual(room.writtenPages);
  await core.reader.file.close();
});
