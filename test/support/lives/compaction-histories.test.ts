/** The histories of compactions move what their names say. */

import { expect, it, vi } from 'vitest';
import { takingTurns, ticking } from '../crash-scale.ts';
import { SimulatedDisk } from '../disks/simulated-disk.ts';
import { compareStore } from '../oracles/compare-store.ts';
import { compactions } from './compaction-histories.ts';
import { Life } from './life.ts';

ticking(vi);
takingTurns(vi);

class Watched extends Life {
  readonly reports: (Awaited<ReturnType<Life['compact']>> & object)[] = [];

  override async compact() {
    const report = await super.compact();
    if (report !== undefined) this.reports.push(report);
    return report;
  }
}

it.each(compactions.map((history) => [history.name, history] as const))(
  '%s: bytes move, the file gets shorter, and nothing is lost',
  async (_, history) => {
    const life = new Watched(new SimulatedDisk({ records: false }), history.settings);
    await history.run(life);
    expect(life.reports.some(({ movedBytes }) => movedBytes > 0)).toBe(true);
    await compareStore(life.store, life.expected.current);
    await life.reopen();
    await compareStore(life.store, life.expected.current);
  },
);
