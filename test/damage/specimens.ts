/**
 * The stores that are damaged: small, but with one of everything. A map with a head, strata of
 * several grain sizes, values archived, freed and in grains used before, an embedded header, a
 * retained log; the larger ones have a record with a body of its own, and a value in several places.
 *
 * Invariant: a specimen is the same each time (clock and salt are not random), and `expected` is
 * what was acknowledged to the life that made it. Damages nothing.
 */

import { vi } from 'vitest';
import type { GrainId } from '../../src/index.ts';
import { powerCut } from '../support/disks/disk-state.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { headedLimits } from '../support/fixtures/core-lab.ts';
import type { Draft } from '../support/lives/draft.ts';
import { Life } from '../support/lives/life.ts';
import type { LifeSettings } from '../support/lives/life-settings.ts';
import type { ExpectedContent } from '../support/oracles/expected-content.ts';

export interface Specimen {
  readonly name: string;
  /** Damaged in place, and made good again, by the tests. */
  readonly bytes: Uint8Array;
  readonly closed: boolean;
  readonly expected: ExpectedContent;
  /** Every id that was ever given out. */
  readonly ids: readonly GrainId[];
  /** What was done to the disk. */
  readonly disk: SimulatedDisk;
}

const kibibyte = 1024;
const longLengths: readonly number[] = [600_001, 100_002, 70_003];
/** Makes a map of more than one mark page. */
const headed: LifeSettings = { limits: headedLimits };
const settling: LifeSettings = { settleBytes: 3 * kibibyte };

/** The records carry small values, or all values are in their grains when a commit returns. */
function carryingOrNot(settings: LifeSettings, carrying: boolean): LifeSettings {
  return carrying ? settings : { ...settings, limits: { ...settings.limits, carriedBytes: 0 } };
}

function lengths(count: number, length: number): number[] {
  return Array.from({ length: count }, (_, at) => length + (at % 4) * 23);
}

/** Clock and salt as they would be, but the same each time. */
async function repeatably<T>(make: () => Promise<T>): Promise<T> {
  let tick = 1_000_000_000_000;
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => ++tick);
  const random = vi.spyOn(globalThis.crypto, 'getRandomValues').mockImplementation((array) => {
    if (array instanceof Uint8Array) for (const at of array.keys()) array[at] = 0xa0 + 7 * at;
    return array;
  });
  try {
    return await make();
  } finally {
    clock.mockRestore();
    random.mockRestore();
  }
}

/** Values of two strata go and come: each of their structures is written by the next settle. */
function touch(life: Life, draft: Draft, round: number): void {
  draft.archive(...life.live.slice(0, 2), ...oldestLong(life));
  for (const length of lengths(3, 30 + round)) draft.push(length);
  draft.push(9000 + round);
}

/** The oldest value that is long, but has no map to itself. */
function oldestLong(life: Life): GrainId[] {
  const { values } = life.expected.current;
  const isLong = (id: GrainId): boolean => {
    const length = values.get(id)?.bytes.length ?? 0;
    return length > 8000 && length < 20_000;
  };
  return life.live.filter(isLong).slice(0, 1);
}

/** From nothing to a store that has been settled many times, with nothing to be healed from. */
async function youth(
  disk: SimulatedDisk,
  { carrying = false, compacted = false }: SpecimenKind,
): Promise<Life> {
  const first = new Life(disk, carryingOrNot(headed, carrying));
  await first.open();
  await first.push(...lengths(10, 40));
  await first.close();
  const life = new Life(disk, carryingOrNot(settling, carrying), first.expected);
  await life.open();
  // Before most maps of the file, and behind the documents, which stay.
  if (compacted) await life.push(...longLengths);
  await life.push(9000, 2000, ...lengths(4, 40));
  for (let round = 0; round < 3; round++) {
    await life.commit((draft) => touch(life, draft, round));
    await life.checkpoint();
  }
  return life;
}

async function severalPlaces(life: Life): Promise<void> {
  for (let at = 0; at < 4; at++) await life.push(66_000 + at);
  await life.commit((draft) => {
    const own = life.live.slice(-4);
    draft.archive(own[0] as GrainId, own[2] as GrainId);
  });
  await life.checkpoint();
  // The places are free when a settle that began after the drop is done.
  for (let at = 0; at < 8; at++) await life.push(40 + at);
  await life.push(100_000);
}

/** One in several sectors, and one that has a body of its own, of few values that stay. */
async function longRecords(life: Life): Promise<void> {
  const many = Array.from({ length: 560 }, (_, at) => 10 + (at % 3));
  await life.push(...many);
  await life.commit((draft) => {
    const ids = life.live.slice(-many.length);
    draft.archive(...ids.filter((_, at) => at % 7 === 0).reverse());
    for (let start = 1; start < 7; start++)
      draft.archive(...ids.filter((_, at) => at % 7 === start));
  });
  const { batch } = life.expected.current;
  await life.commit((draft) => {
    draft.checkpointTo(batch);
    for (const length of many.slice(0, 210)) draft.push(length);
  });
}

/** Settles, and so closes, so often that every structure has a twin that the log since goes with. */
async function middleAge(life: Life, large: boolean): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await life.commit((draft) => {
      touch(life, draft, 10 + round);
      // To a map that the last days leave alone.
      if (large) draft.push(34_000 + round);
      if (round === 1) draft.setHeader(draft.push(200));
    });
    await life.push(50, 51);
    await life.reopen();
  }
}

/** A lane of the first segment has 64 sectors: what follows the close ends it and begins another. */
async function rolledOver(life: Life, carrying: boolean): Promise<Life> {
  while (life.expected.current.batch < 118) await life.push(25);
  await life.close();
  const seldom = carryingOrNot({ settleBytes: 1024 * kibibyte }, carrying);
  const last = new Life(life.disk, seldom, life.expected);
  await last.open();
  for (let at = 0; at < 10; at++) await last.push(30 + at, 60);
  return last;
}

/** The last batches: archive, free, reuse, a new header; of the very last one several values. */
async function lastDays(life: Life, { large = false, checkpoint = false }: SpecimenKind) {
  await life.push(40, 41, 8900);
  await life.commit((draft) => {
    draft.archive(...life.live.slice(3, 6));
    draft.setHeader(draft.push(150));
  });
  await life.push(70);
  if (checkpoint) await life.checkpoint();
  await life.commit((draft) => {
    touch(life, draft, 20);
    draft.push(1800);
    // A record of several sectors.
    if (large) for (let at = 0; at < 70; at++) draft.push(12 + (at % 3));
  });
}

/**
 * The oldest values go, and the store is compacted: maps, move into their place before
 * its last settle. Values of those maps are archived, freed and replaced since, unless it
 * is the end.
 */
async function compacted(life: Life, isEnd: boolean): Promise<void> {
  const { values } = life.expected.current;
  await life.commit((draft) => {
    draft.archive(...life.live.filter((id) => isLongLength(values.get(id)?.bytes.length)));
    draft.push(300);
  });
  await life.checkpoint();
  await life.compact();
  if (isEnd) return;
  for (let round = 0; round < 3; round++)
    await life.commit((draft) => touch(life, draft, 30 + round));
  await life.checkpoint();
  await life.push(31);
}

function isLongLength(length = 0): boolean {
  return longLengths.includes(length);
}

/** Carried values that stay, one that was archived, and a last record of several sectors. */
async function carriedValues(life: Life): Promise<void> {
  for (const length of [20, 33, 90]) await life.push(length);
  await life.commit((draft) => {
    draft.archive(...life.live.slice(-2, -1));
    draft.push(44);
  });
  await life.push(60, 300, 900);
}

export interface SpecimenKind {
  readonly closed: boolean;
  /** With a record that has a body of its own, and values in several places. */
  readonly large?: boolean;
  /** The log goes on in a second segment, which the last days fill from the end of the first. */
  readonly rolled?: boolean;
  /** One of the last batches checkpoints all before it. */
  readonly checkpoint?: boolean;
  /** Records carry the values of small batches. */
  readonly carrying?: boolean;
  /** It has been compacted; nothing follows if it is closed. */
  readonly compacted?: boolean;
}

export async function specimenOf(kind: SpecimenKind): Promise<Specimen> {
  return await repeatably(async () => {
    const { closed, large = false, checkpoint = false, rolled = false, carrying = false } = kind;
    let life = await youth(new SimulatedDisk(), kind);
    if (large) await severalPlaces(life);
    if (large) await longRecords(life);
    await middleAge(life, large);
    if (rolled) life = await rolledOver(life, carrying);
    if (kind.compacted) await compacted(life, closed);
    if (!kind.compacted || !closed) await lastDays(life, kind);
    if (carrying) await carriedValues(life);
    if (closed) await life.close();
    const { disk, expected } = life;
    const image = powerCut(disk.state, () => true);
    const bytes = new Uint8Array(image.length);
    image.read(bytes, 0);
    const ids = new Set<GrainId>();
    for (const { changes } of expected.current.log) for (const { id } of changes) ids.add(id);
    const size = large ? 'larger' : 'small';
    const late = checkpoint ? ', with a late checkpoint' : '';
    const long = rolled ? ', with a long log' : '';
    const carried = carrying ? ', with carried values' : '';
    const moved = kind.compacted ? ', compacted' : '';
    const end = closed ? 'closed' : 'not closed';
    const name = `a ${size} store that was ${end}${late}${long}${carried}${moved}`;
    return { name, bytes, closed, expected, ids: [...ids], disk };
  });
}
