/**
 * One map moves, and no settle follows before the process ends, or one is under way: each time what
 * the next process finds is what was committed.
 */

import { expect, it } from 'vitest';
import { slotPage } from '../../../src/format/document.ts';
import { sectorBytes, sectorsPerPage } from '../../../src/format/layout.ts';
import { GrainId } from '../../../src/index.ts';
import type { MapMove } from '../../../src/store/commit/commit-plan.ts';
import { Compaction } from '../../../src/store/compact/compaction.ts';
import { piecesOf } from '../../../src/store/compact/map-copy.ts';
import { extentsOf, type GrainRange, placeRanges } from '../../../src/store/compact/next-moves.ts';
import type { BasinState } from '../../../src/store/grains/basin-state.ts';
import type { GrainMap } from '../../../src/store/grains/grain-map.ts';
import type { Stratum } from '../../../src/store/grains/stratum.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { crashScale } from '../../support/crash-scale.ts';
import { damaged } from '../../support/disks/disk-damage.ts';
import type { DiskState } from '../../support/disks/disk-state.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { type CoreLab, type LabOptions, openLab } from '../../support/fixtures/core-lab.ts';
import { Random } from '../../support/random.ts';

/** A store on a disk of its own, and what it should have. */
class Moved {
  readonly disk = new SimulatedDisk({ records: false });
  readonly options: LabOptions;
  readonly values = new Map<GrainId, Uint8Array>();
  lab!: CoreLab;

  constructor(options: LabOptions) {
    this.options = options;
  }

  static async open(options: LabOptions): Promise<Moved> {
    const moved = new Moved(options);
    moved.lab = await openLab({ ...options, fileSystem: moved.disk });
    return moved;
  }

  async push(...lengths: readonly number[]): Promise<GrainId[]> {
    const session = this.lab.session();
    const ids: GrainId[] = [];
    for (const length of lengths) {
      const bytes = patternOf(length, this.values.size);
      const id = session.push(bytes);
      ids.push(id);
      this.values.set(id, bytes);
    }
    await session.commit();
    return ids;
  }

  async remove(ids: readonly GrainId[]): Promise<void> {
    const session = this.lab.session();
    for (const id of ids) {
      session.archive(id);
      this.values.delete(id);
    }
    await session.commit();
    const checkpoint = this.lab.session();
    checkpoint.checkpointTo(this.lab.core.published.currentBatch);
    await checkpoint.commit();
  }

  /** The map of a value. */
  homeOf(id: GrainId): { readonly stratum: Stratum; readonly map: GrainMap } {
    const { basin, stratum: number, index } = GrainId.parts(id);
    const stratum = this.lab.core.atlas.stratum(basin, number);
    const map = stratum?.mapWith(index);
    if (stratum === undefined || map === undefined) throw new Error('no map has this value');
    return { stratum, map };
  }

  /** Gives back the empty maps, and settles: their pages are free. */
  async giveBack(): Promise<void> {
    const { committer } = this.lab;
    await committer.commitOwn({ drops: true });
    await this.settle();
  }

  async settle(): Promise<void> {
    const { committer, core } = this.lab;
    while (!core.housekeeping.canSettle) await committer.commitOwn({});
    await committer.commitOwn({ settles: true });
    while (!core.housekeeping.canSettle) await committer.commitOwn({});
  }

  /** Copies the map of a value, whole or in ranges, to free pages: a batch may move it then. */
  async copy(id: GrainId, rangesOf?: (map: GrainMap) => readonly GrainRange[]): Promise<MapMove> {
    const { core, committer } = this.lab;
    const { stratum, map } = this.homeOf(id);
    expect(stratum.moves.keepStill(map)).toBe(true);
    const candidate = { stratum, map, endPage: core.space.endPage };
    const parts = placeRanges(core.space, candidate, rangesOf?.(map) ?? [map], 'before');
    if (parts === undefined) throw new Error('no pages are free');
    const loan = core.lent.lend(extentsOf(map, parts));
    const move = { stratum, map, parts, loan };
    for (const { offset, bytes } of piecesOf(core.values, move, 65_536)) {
      await core.writer.perform(core.writer.write({ offset, chunks: [bytes] }));
    }
    await committer.syncCopies();
    return move;
  }

  /** What a process finds if this one ends now. */
  async expectFound(state: DiskState = this.disk.state): Promise<Found> {
    const fileSystem = new SimulatedDisk({ state, records: false });
    const next = await openLab({ ...this.options, fileSystem });
    for (const [id, bytes] of this.values) {
      expectSameBytes(next.core.read(id) ?? new Uint8Array(), bytes);
    }
    const { healed } = next.core.recovery;
    // What was healed is damaged on the disk until a settle writes it.
    if (healed.length === 0) expect(await next.findings()).toEqual([]);
    await next.close();
    return { healed, state: fileSystem.state };
  }
}

interface Found {
  readonly healed: readonly string[];
  /** Of the disk, after the close. */
  readonly state: DiskState;
}

it('values that are written to a map that has moved are found where they are', async () => {
  const moved = await Moved.open({ settleBytes: 2 ** 20, limits: { carriedBytes: 0 } });
  const large = await moved.push(100_000, 100_001);
  const few = await moved.push(400, 401, 402);
  await moved.remove(large);
  await moved.giveBack();
  const move = await moved.copy(few[0] as GrainId);
  expect(await moved.lab.committer.commitOwn({ moves: [move] })).toBe(true);
  const [id] = await moved.push(403);
  expect(moved.homeOf(id as GrainId).map.page).toBe(move.parts[0]?.page);
  await moved.expectFound();
  await moved.lab.close();
});

it('a map moves only when a settle has written all of its structures', async () => {
  // Each map has a stratum of its own: a settle writes a page for each, 64 with each commit.
  const moved = await Moved.open({ settleBytes: 2 ** 20, limits: { grainsPerStratum: 16 } });
  const ids = await moved.push(...Array<number>(640).fill(100));
  await moved.remove(ids.slice(0, 40));
  await moved.giveBack();
  await moved.remove(ids.slice(40).filter((_, at) => at % 4 === 1));
  const { committer, core } = moved.lab;
  const move = await moved.copy(ids[40] as GrainId);
  await committer.commitOwn({ settles: true });
  let refusals = 0;
  while (!(await committer.commitOwn({ moves: [move] }))) {
    await moved.expectFound();
    refusals += 1;
    expect(refusals).toBeLessThan(10);
  }
  while (!core.housekeeping.canSettle) {
    await moved.expectFound();
    await moved.push(30);
  }
  await moved.expectFound();
  expect(refusals).toBeGreaterThan(0);
  await moved.lab.close();
});

/** The first sector of the basin that the root names. */
function basinSector(basin: BasinState | undefined): number {
  if (basin === undefined) throw new Error('the store has no basin');
  const { page, capacityPages, generation } = basin.name;
  return slotPage(page, capacityPages, generation) * sectorsPerPage;
}

it.each(['as it is', 'in parts'])(
  'a map that moves %s is where it was moved, though its basin is damaged',
  async (how) => {
    const moved = await Moved.open({ settleBytes: 2 ** 20, limits: { mapBytesMin: 2 ** 18 } });
    const large = await moved.push(300_000, 300_001);
    const many = await moved.push(...Array<number>(300).fill(400));
    await moved.remove([...large, ...many.slice(50, 250)]);
    await moved.giveBack();
    const move = await moved.copy(many[0] as GrainId, ({ firstIndex, grains }) => {
      if (how === 'as it is') return [{ firstIndex, grains }];
      const first = GrainId.parts(many[50] as GrainId).index;
      const second = GrainId.parts(many[250] as GrainId).index;
      return [
        { firstIndex, grains: first - firstIndex },
        { firstIndex: second, grains: firstIndex + grains - second },
      ];
    });
    const { committer, core } = moved.lab;
    expect(await committer.commitOwn({ moves: [move] })).toBe(true);
    await moved.settle();
    await moved.push(50);
    const sector = basinSector(core.atlas.basins[0]);
    const { healed, state } = await moved.expectFound(
      damaged(moved.disk.state, { kind: 'zeros', sector }),
    );
    expect(healed.join()).toContain(`a basin, at byte ${sector * sectorBytes}, was damaged`);
    expect((await moved.expectFound(state)).healed).toEqual([]);
    await moved.lab.close();
  },
);

it('a compaction that stops when its batch is durable leaves the maps where they have moved', async () => {
  const moved = await Moved.open({ settleBytes: 2 ** 20 });
  const large = await moved.push(100_000, 100_001);
  await moved.push(...Array<number>(100).fill(400));
  await moved.remove(large);
  const { committer, core } = moved.lab;
  const steps = new Compaction(core, 65_536, 0).steps();
  const stop = new Error('enough');
  let moves = 0;
  for (let step = steps.next(true); step.done !== true && moves === 0; ) {
    const one = step.value;
    let answer = true;
    if (one.do === 'write') {
      const { offset, bytes } = one.piece;
      await core.writer.perform(core.writer.write({ offset, chunks: [bytes] }));
    } else if (one.do === 'sync') await committer.syncCopies();
    else if (one.do === 'batch') {
      answer = await committer.commitOwn(one.batch);
      moves += one.batch.moves?.length ?? 0;
    }
    if (moves === 0) step = steps.next(answer);
  }
  expect(moves).toBeGreaterThan(0);
  expect(() => steps.throw(stop)).toThrow(stop);
  expect(await moved.lab.findings()).toEqual([]);
  await moved.push(30_000);
  await moved.expectFound();
  expect(await moved.lab.findings()).toEqual([]);
  await moved.lab.close();
});

/** One step of a made-up history: a map moves, or something that may come before or after that. */
async function randomStep(moved: Moved, random: Random): Promise<void> {
  const { committer, core } = moved.lab;
  const ids = [...moved.values.keys()];
  const one = ids[random.below(ids.length)] as GrainId;
  const kind = random.below(10);
  if (kind < 3) {
    const isNarrow = moved.options.limits?.grainsPerStratum !== undefined;
    const lengths = isNarrow ? [30, 100] : [30, 400, 3000, 40_000];
    const length = lengths[random.below(lengths.length)] as number;
    await moved.push(...Array<number>(1 + random.below(4)).fill(length));
  } else if (kind === 3) await moved.remove(ids.filter(() => random.chance(0.2)));
  else if (kind === 4) await moved.giveBack();
  else if (kind < 7) await committer.commitOwn({ settles: random.chance(0.5) });
  else {
    const { stratum, map } = moved.homeOf(one);
    const pages = map.extents.reduce((sum, extent) => sum + extent.pages, 0);
    const page = core.space.takeBelow(pages, map.page);
    if (page === undefined) return;
    core.space.free(page, pages);
    if (!map.durable) return;
    const move = await moved.copy(one);
    for (let turn = 0; !(await committer.commitOwn({ moves: [move] })); turn++) {
      expect(turn).toBeLessThan(20);
    }
    expect(stratum.mapWith(map.firstIndex)?.page).toBe(move.parts[0]?.page);
  }
}

it.each(Array.from({ length: 10 * crashScale }, (_, at) => at + 1))(
  'a process that ends after any step of made-up moves leaves everything, seed %i',
  async (seed) => {
    const random = new Random(seed);
    const settleBytes = [1024, 8192, 2 ** 20][random.below(3)] as number;
    const carriedBytes = [0, 512][random.below(2)] as number;
    const grainsPerStratum = random.chance(0.5) ? { grainsPerStratum: 16 } : {};
    const limits = { carriedBytes, mapBytesMin: 16_384, ...grainsPerStratum };
    const moved = await Moved.open({ settleBytes, limits });
    await moved.push(...Array<number>(120).fill(100));
    for (let step = 0; step < 30; step++) {
      await randomStep(moved, random);
      await moved.expectFound();
    }
    expect(await moved.lab.findings()).toEqual([]);
    await moved.lab.close();
  },
);
